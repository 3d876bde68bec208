"""
Memory of each kind of process while many small files pass.
"""

import psutil

from benchmarks import documents
from benchmarks.ground import ground
from benchmarks.harness import Figure, Report, Size, Target
from benchmarks.watch import ROLES, Watch, quarters

FILES: dict[Size, int] = {"tiny": 50, "small": 1_000, "full": 100_000}

MB = 1_000_000


def measure(size: Size, rounds: int) -> Report:
    """
    One run, whatever the rounds. Resident memory as `ps` shows it: what processes share is counted in each.
    """
    count = FILES[size]
    cores = psutil.cpu_count() or 1
    with ground() as place:
        folder = documents.small_files(place.folder / "small", count)
        address = place.database("memory")
        process = place.ingest(folder, address, cores)
        with Watch(psutil.Process(process.pid)) as watch:
            process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the run ended with exit code {process.returncode}")
    figures: list[Figure] = []
    for role in ROLES:
        second, last = quarters(watch.resident[role])
        largest = "the largest executor" if role == "executor" else role
        figures += [
            Figure(f"{largest}: most", "MB", (watch.most[role] / MB,), Target("at most", 400.0)),
            # Flat: what a process holds in the last quarter it held in the second, but for a tenth.
            Figure(f"{largest}: last quarter to second", "times", (last / second,), Target("at most", 1.1)),
        ]
    series = {role: watch.resident[role][:: max(1, len(watch.resident[role]) // 200)] for role in ROLES}
    return Report("memory", f"resident memory while {count:,} small files pass", tuple(figures), raw={"series": series})
