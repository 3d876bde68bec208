"""
Three stages that do nothing, in one worker process, with counters and history, against procrastinate as it comes: in a
database as others have it, and on a server of oaflow's own, where rows of events are left out.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import psutil

from benchmarks import stock
from benchmarks.ground import Ground, args_of, begin, chain, finished, ground, passed, worker
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.watch import processor_time

# Roots; there are three times as many jobs. procrastinate gets fewer: it is the slower one, and its rate does not
# depend on it.
ROOTS: dict[Size, int] = {"tiny": 200, "small": 3_000, "full": 15_000}
STOCK_SHARE = 3

ASYNC = ("benchmarks.stages.async_a", "benchmarks.stages.async_b", "benchmarks.stages.async_c")
SYNC = ("benchmarks.stages.a", "benchmarks.stages.b", "benchmarks.stages.c")

# How many times procrastinate at its best each must reach.
LEAST = {
    "async stages": 15.0,
    "async stages, own server": 20.0,
    "sync stages in executors": None,
    "sync stages in executors, own server": None,
}

Rate = tuple[float, float]  # jobs a second; CPU seconds of the server for a job


def measure(size: Size, rounds: int) -> Report:
    """
    Rates of the chain, side by side.
    """
    roots = ROOTS[size]
    cores = psutil.cpu_count() or 1
    with ground() as place:
        variants: dict[str, Callable[[], Rate]] = {
            "procrastinate": partial(_stock, place, "pool", roots // STOCK_SHARE),
            "procrastinate, lean pool": partial(_stock, place, "lean", roots // STOCK_SHARE),
            "async stages": partial(_ours, place, ASYNC, roots, cores),
            "async stages, own server": partial(_ours, place, ASYNC, roots, cores, events=False),
            "sync stages in executors": partial(_ours, place, SYNC, roots, cores),
            "sync stages in executors, own server": partial(_ours, place, SYNC, roots, cores, events=False),
        }
        found = interleaved(variants, rounds)
    rates = {name: tuple(rate for rate, _ in of_rounds) for name, of_rounds in found.items()}
    best = [max(pair) for pair in zip(rates["procrastinate"], rates["procrastinate, lean pool"], strict=True)]
    return Report(
        "chain",
        f"a chain of three empty stages, {roots:,} roots, one worker process, {cores} executors",
        (
            *(Figure(name, "jobs/s", rate) for name, rate in rates.items()),
            *(
                Figure(f"{name}: CPU of the database", "µs a job", tuple(1e6 * cpu for _, cpu in of_rounds))
                for name, of_rounds in found.items()
            ),
            *(
                Figure(f"{name} to {other}", "times", ratios(rates[name], under), target)
                for name, least in LEAST.items()
                for other, under, target in (
                    ("procrastinate", rates["procrastinate"], None),
                    # At its best: whichever of the two was faster in that round.
                    ("the faster procrastinate", best, Target("at least", least) if least else None),
                )
            ),
        ),
    )


def _stock(place: Ground, kind: str, roots: int) -> Rate:
    address = place.database("stock")
    plan = chain(SYNC)
    jobs = [args_of(plan.stages["a"], "a", "bench-aaaaaa", number) for number in range(roots)]
    for job in jobs:  # its own names
        job["job_task"], job["job_queue"] = job.pop("task"), job.pop("queue")
    stock.enqueue(address, jobs)
    before = processor_time(place.postmaster)
    process = subprocess.Popen(
        [sys.executable, "-c", f"from benchmarks.stock import main; main({kind!r})"],
        env=place.environment(),
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(address + "\n")
    process.stdin.flush()
    number, seconds = 0, 0.0
    while number < 3 * roots and process.poll() is None:
        time.sleep(0.5)
        number, seconds = stock.passed(address)
    used = processor_time(place.postmaster) - before
    process.terminate()
    process.communicate()
    if number != 3 * roots:
        raise RuntimeError(f"procrastinate ended {number} of {3 * roots} jobs")
    return number / seconds, used / number


def _ours(place: Ground, tasks: tuple[str, ...], roots: int, executors: int, *, events: bool = True) -> Rate:
    address = place.database("ours", events=events)
    run = begin(address, chain(tasks), roots)
    before = processor_time(place.postmaster)
    with worker(place, address, executors=executors):
        state = finished(address, run)
        time.sleep(0.5)  # what the server's processes used is told when they are idle
        used = processor_time(place.postmaster) - before
    there = passed(address, run)
    if state != "finished" or there.attempts != 3 * roots:
        raise RuntimeError(f"the run is {state} after {there.attempts} of {3 * roots} jobs")
    return there.rate, used / there.attempts
