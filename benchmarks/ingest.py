"""
The whole ingest pipeline against kreuzberg alone, in as many processes, over the same files.
"""

import json
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil

from benchmarks import documents
from benchmarks.ground import Ground, ground
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.watch import processor_time

SCANS: dict[Size, int] = {"tiny": 2, "small": 12, "full": 60}
SMALL: dict[Size, int] = {"tiny": 30, "small": 400, "full": 2_000}
# So many times as many small files: what these take more is what each file takes, without the start.
MORE = 4

# Reading a scan is work for seconds, beside which the rest must not show; reading a small file is not, and what is
# asked for is what the rest costs.
RATIO = {"scans": Target("at least", 0.8)}
ABOVE = {"small files": Target("at most", 4.0)}

Taken = tuple[float, float]  # seconds; CPU seconds
Variants = dict[str, Callable[[], Taken]]


def measure(size: Size, rounds: int) -> Report:
    """
    Documents a second of both, and CPU seconds a document of both.
    """
    processes = psutil.cpu_count() or 1
    counts = {"scans": SCANS[size], "small files": SMALL[size]}
    figures: list[Figure] = []
    with ground() as place:
        folders = {
            "scans": documents.scans(place.folder / "scans", counts["scans"]),
            "small files": documents.small_files(place.folder / "small", counts["small files"]),
        }
        more = MORE * counts["small files"]
        folders["more small files"] = documents.small_files(place.folder / "more", more)
        for name in counts:
            folder, count = folders[name], counts[name]
            variants: Variants = {
                "alone": partial(_alone, folder, processes),
                "whole": partial(_whole, place, folder, processes, count),
            }
            if name == "small files":
                variants["more alone"] = partial(_alone, folders["more small files"], processes)
                variants["more"] = partial(_whole, place, folders["more small files"], processes, more)
            found = interleaved(variants, rounds)
            rates = {key: tuple(count / seconds for seconds, _ in taken) for key, taken in found.items()}
            used = {key: tuple(1000 * cpu / count for _, cpu in taken) for key, taken in found.items()}
            above = tuple(whole - alone for whole, alone in zip(used["whole"], used["alone"], strict=True))
            figures += [
                Figure(f"{name} ({count:,}): kreuzberg alone", "documents/s", rates["alone"]),
                Figure(f"{name}: oaflow run ingest", "documents/s", rates["whole"]),
                Figure(f"{name}: ratio", "times", ratios(rates["whole"], rates["alone"]), RATIO.get(name)),
                Figure(f"{name}: CPU of kreuzberg alone", "ms/document", used["alone"]),
                Figure(f"{name}: CPU above it", "ms/document", above, ABOVE.get(name)),
            ]
            if name == "small files":
                figures += _apart(found, count, more)
    return Report(
        "ingest",
        f"documents a second, {processes} processes each",
        tuple(figures),
        (
            "Both from nothing to the end: processes started, libraries loaded. CPU above: that of oaflow and of the"
            " database, less kreuzberg's. Each further file: what more files take, less what kreuzberg takes for them;"
            " the start is what is left of the first ones, kreuzberg's own start included.",
        ),
    )


def _apart(found: dict[str, list[Taken]], count: int, more: int) -> list[Figure]:
    """
    What each file takes, and what all of them together take once, however many they are.
    """
    rounds = zip(*([cpu for _, cpu in found[name]] for name in ("alone", "whole", "more alone", "more")), strict=True)
    each, start = [], []
    for alone, whole, more_alone, more_whole in rounds:
        each.append(1000 * (more_whole - whole - (more_alone - alone)) / (more - count))
        start.append(whole - count * (more_whole - whole) / (more - count))
    return [
        Figure("small files: CPU above it of each further file", "ms/document", tuple(each)),
        Figure("small files: CPU of start and end", "s", tuple(start)),
    ]


def _alone(folder: Path, processes: int) -> Taken:
    files = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    before, began = _ended(), time.perf_counter()
    # spawn: what this process has loaded is not a gift to those.
    with get_context("spawn").Pool(processes) as pool:
        lengths = pool.map(read_alone, files, chunksize=max(1, min(20, len(files) // processes // 4)))
        pool.close()
        pool.join()
    seconds = time.perf_counter() - began
    if not all(lengths):
        raise RuntimeError(f"kreuzberg read nothing in {files[lengths.index(0)]}")
    return seconds, _ended() - before


def read_alone(path: str) -> int:
    """
    What kreuzberg makes of a file with the options that `extract` gives it, and nothing else; the length of the text.
    """
    from kreuzberg import extract_file_sync

    from oaflow.stages import documents as stage
    from oaflow.stages.desk import Desk
    from oaflow.stages.limits import limits
    from oaflow.stages.ocr import languages, muted

    desk = Desk(limits(), Path(path).parent, time.monotonic() + 600)
    types = {
        ".txt": "text/plain",
        ".html": "text/html",
        ".png": "image/png",
        ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
    mime = types[Path(path).suffix]
    ocr = languages(desk.limits.ocr_languages) if mime == "image/png" else None
    with muted():
        # Its own function for the options, so that they cannot drift apart.
        return len(extract_file_sync(path, mime, stage._config(desk, ocr=ocr)).content)


def _whole(place: Ground, folder: Path, processes: int, count: int) -> Taken:
    """
    `oaflow run` with a worker, a database and an archive of its own, timed from the start of the command to its end.
    """
    address, archive = place.database("ingest"), tempfile.mkdtemp(prefix="archive", dir=place.folder)
    before, began = _ended() + processor_time(place.postmaster), time.perf_counter()
    process = place.ingest(folder, address, processes, OAFLOW_ARCHIVE_PATH=archive)
    out, _ = process.communicate()
    seconds = time.perf_counter() - began
    status = json.loads(out)
    # The stage before `index`, which gets many documents in one job.
    if process.returncode != 0 or status["stages"]["analyze"]["done"] < count:
        raise RuntimeError(f"the run ended with exit code {process.returncode}: {status}")
    return seconds, _ended() + processor_time(place.postmaster) - before


def _ended() -> float:
    """
    CPU seconds of all processes below this one that have ended and were waited for.
    """
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
