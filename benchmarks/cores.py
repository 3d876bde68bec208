"""
A stage that only computes, on one executor and on as many as there are cores.
"""

import statistics
import time
from functools import partial

import psutil

from benchmarks.ground import Ground, begin, chain, finished, ground, passed, worker
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.stages import work

JOBS: dict[Size, int] = {"tiny": 10, "small": 80, "full": 400}

# Seconds that one job computes: at least 0.1 are asked for.
JOB_SECONDS = 0.12


def measure(size: Size, rounds: int) -> Report:
    """
    Rates of both, and what the cores bring.
    """
    cores = psutil.cpu_count() or 1
    turns = calibrated(JOB_SECONDS)
    with ground() as place:
        found = interleaved(
            {
                "one": partial(_rate, place, 1, JOBS[size], turns),
                "all": partial(_rate, place, cores, JOBS[size], turns),
            },
            rounds,
        )
    return Report(
        "cores",
        f"a stage that computes for about {JOB_SECONDS} s, {JOBS[size]} jobs",
        (
            Figure("one executor", "jobs/s", tuple(found["one"])),
            Figure(f"{cores} executors", "jobs/s", tuple(found["all"])),
            Figure(
                f"{cores} executors to one",
                "times",
                ratios(found["all"], found["one"]),
                Target("at least", 0.85 * cores),
            ),
        ),
        raw={"turns": turns},
    )


def calibrated(seconds: float) -> int:
    """
    How many turns of `work` take so long here. A fixed amount, not a time: waiting for a core must not count as work.
    """

    def took(turns: int) -> float:
        began = time.process_time()
        work(turns)
        return time.process_time() - began

    return round(2_000 * seconds / statistics.median(took(2_000) for _ in range(5)))


def _rate(place: Ground, executors: int, jobs: int, turns: int) -> float:
    address = place.database("cores")
    run = begin(address, chain(["benchmarks.stages.burn"], {"turns": turns}), jobs)
    with worker(place, address, executors=executors):
        state = finished(address, run)
    if state != "finished":
        raise RuntimeError(f"the run is {state}")
    return passed(address, run).rate
