"""
What a worker takes that has nothing to do, for itself and of the database.
"""

import time
from functools import partial

import psutil
import psycopg

from benchmarks.ground import Ground, begin, chain, ground, worker
from benchmarks.harness import Figure, Report, Size, Target, interleaved
from benchmarks.rates import ASYNC, executors_of_all_cores
from benchmarks.watch import processor_time, roles

SECONDS: dict[Size, float] = {"tiny": 5.0, "small": 20.0, "full": 120.0}

SETTLE = 8.0  # seconds until modules are loaded, executors are warm, and the first heartbeat is over

Idle = tuple[float, float, float]  # CPU of oaflow and of the server, percent of a core; transactions a second


def measure(size: Size, rounds: int) -> Report:
    """
    With nothing at all, and beside a run that is open and waits for its source.
    """
    seconds = SECONDS[size]
    with ground() as place:
        found = interleaved(
            {
                "no run": partial(_idle, place, seconds, open_run=False),
                "a run that waits": partial(_idle, place, seconds, open_run=True),
            },
            rounds,
        )
    figures: list[Figure] = []
    for name, of_rounds in found.items():
        own, server, queries = (tuple(values) for values in zip(*of_rounds, strict=True))
        figures += [
            Figure(f"{name}: CPU of supervisor, worker and executors", "% of a core", own, Target("at most", 1.0)),
            Figure(f"{name}: CPU of the database", "% of a core", server),
            # Each statement is a transaction of its own.
            Figure(f"{name}: statements", "a second", queries, Target("at most", 2.0)),
        ]
    return Report("idle", f"a worker with nothing to do, for {seconds:.0f} s", tuple(figures))


def _idle(place: Ground, seconds: float, *, open_run: bool) -> Idle:
    address = place.database("idle")
    if open_run:
        begin(address, chain(ASYNC), 0, seal=False)
    with worker(place, address, executors=executors_of_all_cores()) as root:
        time.sleep(SETTLE)
        before = _used(root), processor_time(place.postmaster), _transactions(place, "idle")
        began = time.monotonic()
        time.sleep(seconds)
        after = _used(root), processor_time(place.postmaster), _transactions(place, "idle")
        took = time.monotonic() - began
    own, server, transactions = (late - early for late, early in zip(after, before, strict=True))
    return 100 * own / took, 100 * server / took, transactions / took


def _used(root: psutil.Process) -> float:
    times = [process.cpu_times() for _, process in roles(root)]
    return sum(time.user + time.system for time in times)


def _transactions(place: Ground, database: str) -> int:
    """
    Of all sessions of a database; asked from another one, so that the question is not counted.
    """
    with psycopg.connect(place.server.address.uri, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s", [database]
        ).fetchone()
    assert row is not None
    return row[0]
