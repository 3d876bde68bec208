"""
How fast one chain of three empty stages passes: in oaflow, in procrastinate, in openaleph-procrastinate, and as the
statements alone. All first jobs are entered before the workers start.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import psutil

from benchmarks import floor, openaleph, stock
from benchmarks.ground import Ground, args_of, begin, chain, finished, passed, worker
from benchmarks.watch import processor_time

ASYNC = ("benchmarks.stages.async_a", "benchmarks.stages.async_b", "benchmarks.stages.async_c")
SYNC = ("benchmarks.stages.a", "benchmarks.stages.b", "benchmarks.stages.c")

Rate = tuple[float, float]  # jobs a second; CPU seconds of the server for a job
Way = Callable[[str], str]  # from the address of a database to the one that workers are given


def direct(address: str) -> str:
    """
    The way that is no detour.
    """
    return address


def ours(
    place: Ground,
    tasks: Sequence[str],
    roots: int,
    executors: int,
    *,
    events: bool = True,
    workers: int = 1,
    way: Way = direct,
    prepare: Way = direct,
    **more: str,
) -> Rate:
    """
    The chain in `oaflow worker`.

    Args:
        events: whether procrastinate writes its rows of events; they are left out on oaflow's own server.
        workers: processes, with so many executors each.
        prepare: called with the new database before the run begins.
        more: variables of the worker.
    """
    address = prepare(place.database("ours", events=events))
    run = begin(address, chain(tasks), roots)
    before = processor_time(place.postmaster)
    with worker(place, way(address), executors=executors, workers=workers, **more):
        state = finished(address, run)
        time.sleep(0.5)  # what the server's processes used is told when they are idle
        used = processor_time(place.postmaster) - before
    there = passed(address, run)
    if state != "finished" or there.attempts != 3 * roots:
        raise RuntimeError(f"the run is {state} after {there.attempts} of {3 * roots} jobs")
    return there.rate, used / there.attempts


def procrastinate(place: Ground, kind: str, roots: int, *, workers: int = 1, way: Way = direct) -> Rate:
    """
    The chain in procrastinate; the kinds are those of `benchmarks.stock`.
    """
    address = place.database("stock")
    plan = chain(SYNC)
    jobs = [args_of(plan.stages["a"], "a", "bench-aaaaaa", number) for number in range(roots)]
    for job in jobs:  # its own names
        job["job_task"], job["job_queue"] = job.pop("task"), job.pop("queue")
    stock.enqueue(address, jobs)
    before = processor_time(place.postmaster)
    with stock_workers(place, way(address), kind, workers) as processes:
        number, seconds = _drained(address, 3 * roots, lambda: all(process.poll() is None for process in processes))
        used = processor_time(place.postmaster) - before
    return number / seconds, used / number


@contextmanager
def stock_workers(place: Ground, address: str, kind: str, workers: int = 1) -> Generator[list[subprocess.Popen[str]]]:
    """
    Worker processes of procrastinate for the time of a block.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from benchmarks.stock import main; main({kind!r})"],
            env=place.environment(),
            stdin=subprocess.PIPE,
            text=True,
        )
        for _ in range(workers)
    ]
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(address + "\n")
            process.stdin.flush()
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate()


def openaleph_procrastinate(place: Ground, roots: int) -> Rate:
    """
    The chain in the real openaleph-procrastinate, with sync tasks.
    """
    address = place.database("openaleph")
    openaleph.enqueue(address, roots)
    before = processor_time(place.postmaster)
    with openaleph.worker(place, address) as process:
        number, seconds = _drained(address, 3 * roots, lambda: process.poll() is None)
        used = processor_time(place.postmaster) - before
    return number / seconds, used / number


def _drained(address: str, jobs: int, alive: Callable[[], bool]) -> tuple[int, float]:
    """
    How many jobs procrastinate has ended, and in how many seconds, once these are all.

    Raises:
        RuntimeError: nobody works any more, and there are some left.
    """
    number, seconds = 0, 0.0
    while number < jobs and alive():
        time.sleep(0.5)
        number, seconds = stock.passed(address)
    if number != jobs:
        raise RuntimeError(f"{number} of {jobs} jobs have ended")
    return number, seconds


def statements_alone(place: Ground, roots: int, *, events: bool = True, loop: bool = False) -> Rate:
    """
    What a worker sends for the chain, with nothing in between: from as many connections as it has, or in a loop from
    one.
    """
    address = place.database("floor", events=events)
    plan = chain(ASYNC)
    run = begin(address, plan, roots)
    before = processor_time(place.postmaster)
    rate = floor.rate(address, plan, run, loop=loop)
    time.sleep(0.5)
    return rate, (processor_time(place.postmaster) - before) / (3 * roots)


def executors_of_all_cores() -> int:
    """
    One for each core.
    """
    return psutil.cpu_count() or 1
