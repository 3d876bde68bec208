"""
A second run over a folder in which nothing has changed, beside the first.
"""

import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import documents
from benchmarks.ground import Ground, ground
from benchmarks.harness import Figure, Report, Size, Target, ratios
from benchmarks.rates import executors_of_all_cores

FILES: dict[Size, int] = {"tiny": 30, "small": 1_000, "full": 10_000}

# Of the first run. Of few files the second is what it takes to start a command: they are held to nothing.
SHARE: dict[Size, Target | None] = {"tiny": None, "small": None, "full": Target("at most", 5.0)}


class Taken(NamedTuple):
    """
    Seconds of the commands: the first, the second, and one more after it.
    """

    first: float
    second: float
    third: float


def measure(size: Size, rounds: int) -> Report:
    """
    Seconds of `oaflow run ingest` over one folder, three times; each round has a database and an archive of its own.
    """
    count = FILES[size]
    with ground() as place:
        folder = documents.small_files(place.folder / "small", count)
        found = [_round(place, folder, count, number) for number in range(rounds)]
    first, second, third = (tuple(times) for times in zip(*found, strict=True))
    return Report(
        "again",
        f"`oaflow run ingest` over {count:,} small files, and again",
        (
            Figure("the first run", "s", first),
            Figure("the second", "s", second),
            Figure("the third", "s", third),
            Figure("the second, of the first", "%", tuple(100 * part for part in ratios(second, first)), SHARE[size]),
            Figure("the third, of the first", "%", tuple(100 * part for part in ratios(third, first)), SHARE[size]),
        ),
        ("Each from the start of the command to its end, its worker's start and end included.",),
    )


def _round(place: Ground, folder: Path, count: int, number: int) -> Taken:
    address = place.database(f"again{number}", events=False)
    archive = place.folder / f"archive{number}"
    return Taken(*(_run(place, folder, address, archive, count, unchanged=turn > 0) for turn in range(3)))


def _run(place: Ground, folder: Path, address: str, archive: Path, count: int, *, unchanged: bool) -> float:
    began = time.perf_counter()
    status = place.ingested(folder, address, executors_of_all_cores(), ARCHIVE_PATH=str(archive))
    took = time.perf_counter() - began
    read = status["stages"].get("analyze", {"done": 0})["done"]
    if read != (0 if unchanged else count):
        raise RuntimeError(f"{read} of {count} files were read: {status}")
    return took
