"""
How near to its limits a stage comes, over four workers: so many in a minute, and so many at once.
"""

import time
from typing import LiteralString

import psycopg

from benchmarks.ground import Ground, begin, chain, finished, ground, worker
from benchmarks.harness import Figure, Report, Size, Target

WORKERS = 4
RATE = 50.0
AT_ONCE = 3
TAKES = 0.5  # seconds of a job of which only so many run at once
SETTLE = 5.0
SECONDS: dict[Size, float] = {"tiny": 3.0, "small": 20.0, "full": 60.0}


def measure(size: Size, rounds: int) -> Report:
    """
    A task of no time with a rate, and one that takes half a second with a concurrency.
    """
    seconds = SECONDS[size]
    begun: list[float] = []
    used: list[float] = []
    with ground() as place:
        for _ in range(rounds):
            begun.append(100 * _begun(place.database("rate"), place, seconds) / (RATE * seconds))
            used.append(100 * _used(place.database("places"), place, seconds))
    return Report(
        "limits",
        f"limits over {WORKERS} workers, {seconds:.0f} s each",
        (
            Figure(f"begun, of {RATE:g} a second: at most", "%", tuple(begun), Target("at most", 102.0)),
            Figure(f"begun, of {RATE:g} a second: at least", "%", tuple(begun), Target("at least", 98.0)),
            Figure(f"used, of {AT_ONCE} places, jobs of {TAKES:g} s", "%", tuple(used), Target("at least", 95.0)),
        ),
    )


def _begun(address: str, place: Ground, seconds: float) -> float:
    """
    How many began in so many seconds, from the first on.
    """
    plan = chain(["benchmarks.stages.c"], rate=RATE)
    with worker(place, address, executors=1, workers=WORKERS):
        run = begin(address, plan, int(RATE * seconds * 1.2))
        finished(address, run)
    query = """
        SELECT count(*)::float8 FROM oaflow.hops h, (SELECT min(started) AS began FROM oaflow.hops) f
         WHERE h.outcome = 'done' AND h.started < f.began + make_interval(secs => %s)
    """
    return _one(address, query, seconds)


def _used(address: str, place: Ground, seconds: float) -> float:
    """
    How much of the time that there was in all places something ran there.
    """
    plan = chain(["benchmarks.stages.crash"], {"seconds": TAKES}, concurrency=AT_ONCE)
    with worker(place, address, executors=1, workers=WORKERS):
        time.sleep(SETTLE)  # until all of them are there
        run = begin(address, plan, int(AT_ONCE * seconds / TAKES))
        finished(address, run)
    query = """
        SELECT sum(extract(epoch FROM ended - started))::float8 / extract(epoch FROM max(ended) - min(started)) / %s
          FROM oaflow.hops WHERE outcome = 'done'
    """
    return _one(address, query, AT_ONCE)


def _one(address: str, query: LiteralString, value: float) -> float:
    with psycopg.connect(address) as connection:
        row = connection.execute(query, [value]).fetchone()
    assert row is not None
    return row[0]
