"""
What a hop takes where there is little to do: from the end of a stage to the start of the next, one root every 0.1 s.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.ground import Ground, args_of, begin, chain, finished, ground, worker
from benchmarks.harness import Figure, Report, Size, Target, interleaved
from benchmarks.rates import ASYNC, SYNC, stock_workers
from oaflow.ledger import runs as ledger
from oaflow.ledger.runs import FirstJob
from oaflow.plan import Plan

ROOTS: dict[Size, int] = {"tiny": 10, "small": 45, "full": 300}

EVERY = 0.1  # seconds
WARM = 20  # roots that are not counted: processes start, and each connection makes its plans

# Of a hop in oaflow, with async stages. Those in executors cross two pipes more, and are only told.
MEDIAN, MOST = Target("at most", 2.5), Target("at most", 10.0)

OF_OURS = """
SELECT 1000 * extract(epoch FROM child.started - parent.ended)::float8
  FROM oaflow.hops child JOIN oaflow.hops parent ON parent.run = child.run AND parent.job = child.parent
 WHERE parent.outcome = 'done' AND parent.started > (
    SELECT started FROM oaflow.hops WHERE stage = 'a' ORDER BY started OFFSET %s LIMIT 1)
"""

# The last thing that a task does is to defer the next.
OF_PROCRASTINATE = """
SELECT 1000 * extract(epoch FROM started.at - deferred.at)::float8
  FROM procrastinate_jobs j
  JOIN procrastinate_events started ON started.job_id = j.id AND started.type = 'started'
  JOIN procrastinate_events deferred ON deferred.job_id = j.id AND deferred.type = 'deferred'
 WHERE j.queue_name <> 'a' AND deferred.at > (
    SELECT e.at FROM procrastinate_events e JOIN procrastinate_jobs r ON r.id = e.job_id
     WHERE r.queue_name = 'a' AND e.type = 'started' ORDER BY e.at OFFSET %s LIMIT 1)
"""


def measure(size: Size, rounds: int) -> Report:
    """
    The median and the 95th of a hundred, in milliseconds.
    """
    roots = ROOTS[size]
    variants: dict[str, Callable[[Ground, int], list[float]]] = {
        "async stages": partial(_ours, ASYNC),
        "sync stages in executors": partial(_ours, SYNC),
        "procrastinate": partial(_procrastinate, "pool"),
        "procrastinate, lean pool": partial(_procrastinate, "lean"),
    }
    with ground() as place:
        found = interleaved({name: partial(call, place, roots) for name, call in variants.items()}, rounds)
    figures: list[Figure] = []
    for name, of_rounds in found.items():
        medians = tuple(statistics.median(hops) for hops in of_rounds)
        nineties = tuple(statistics.quantiles(hops, n=20)[-1] for hops in of_rounds)
        aimed = name == "async stages"
        figures += [
            Figure(f"{name}: half of the hops", "ms", medians, MEDIAN if aimed else None),
            Figure(f"{name}: 95 of 100 hops", "ms", nineties, MOST if aimed else None),
        ]
    return Report("latency", f"a hop, {roots} roots one every {EVERY} s, two hops each", tuple(figures))


def _ours(tasks: Sequence[str], place: Ground, roots: int) -> list[float]:
    address = place.database("latency")
    plan = chain(tasks)
    run = begin(address, plan, 0, seal=False)
    with worker(place, address, executors=1):
        with psycopg.connect(address, autocommit=True) as connection:
            for number in range(roots + WARM):
                ledger.enter(connection, run, [_first(plan, run, number)], seal=number == roots + WARM - 1)
                time.sleep(EVERY)
        state = finished(address, run, patience=60)
    if state != "finished":
        raise RuntimeError(f"the run is {state}")
    return _hops(address, OF_OURS)


def _first(plan: Plan, run: str, number: int) -> FirstJob:
    stage = plan.stages["a"]
    return FirstJob(stage.queue, stage.task, "a", 50, args_of(stage, "a", run, number), (f"doc-{number}",))


def _procrastinate(kind: str, place: Ground, roots: int) -> list[float]:
    address = place.database("latency")
    with stock_workers(place, address, kind), psycopg.connect(address, autocommit=True) as connection:
        for number in range(roots + WARM):
            connection.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES ('a', 'a', %s)",
                [Jsonb({"number": number})],
            )
            time.sleep(EVERY)
        while connection.execute("SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')").fetchone():
            time.sleep(0.2)
    return _hops(address, OF_PROCRASTINATE)


def _hops(address: str, statement: str) -> list[float]:
    with psycopg.connect(address) as connection:
        return [milliseconds for (milliseconds,) in connection.execute(statement, [WARM - 1])]  # pyright: ignore
