"""
One job that emits as a stream what nobody takes yet: how fast it is inserted, and in how much memory.
"""

import time
from functools import partial

import psutil
import psycopg

from benchmarks.ground import Ground, begin, chain, ground, worker
from benchmarks.harness import Figure, Report, Size, Target, interleaved
from benchmarks.watch import Watch, quarters

EMITTED: dict[Size, int] = {"tiny": 5_000, "small": 100_000, "full": 1_000_000}

# No worker can run the second stage, so that all that is measured is the insertion.
TASKS = ("benchmarks.stages.spread", "benchmarks.stages.that_is_not_there")

MB = 1_000_000
ROLES = ("worker", "executor")

Spread = tuple[float, dict[str, tuple[float, float]]]  # jobs a second; of each role, most MB and last quarter to second


def measure(size: Size, rounds: int) -> Report:
    """
    Rates of insertion with and without procrastinate's events, and resident memory meanwhile.
    """
    count = EMITTED[size]
    with ground() as place:
        found = interleaved(
            {
                "": partial(_spread, place, count, events=True),
                ", own server": partial(_spread, place, count, events=False),
            },
            rounds,
        )
    figures: list[Figure] = []
    for name, of_rounds in found.items():
        rates = tuple(rate for rate, _ in of_rounds)
        figures.append(Figure(f"inserted{name}", "jobs/s", rates, Target("at least", 20_000)))
        for role in ROLES:
            most = tuple(memory[role][0] for _, memory in of_rounds)
            flat = tuple(memory[role][1] for _, memory in of_rounds)
            figures += [
                Figure(f"{role}{name}: most", "MB", most, Target("at most", 400.0)),
                Figure(f"{role}{name}: last quarter to second", "times", flat, Target("at most", 1.1)),
            ]
    return Report("fanout", f"one job that emits {count:,} as a stream", tuple(figures))


def _spread(place: Ground, count: int, *, events: bool) -> Spread:
    address = place.database("fanout", events=events)
    plan = chain(TASKS)
    first = plan.stages["a"].model_copy(update={"emit": "stream", "options": {"count": count}})
    run = begin(address, plan.model_copy(update={"stages": {**plan.stages, "a": first}}), 1)
    # All of it waits, as nobody takes it: the stream is not to rest for that.
    with worker(place, address, executors=1, OAFLOW_DEEP=str(2 * count)) as root, Watch(root) as watch:
        seconds = _until_done(address, run, root)
    with psycopg.connect(address) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'b'").fetchone()
    if row is None or row[0] != count:
        raise RuntimeError(f"{row and row[0]} of {count} jobs were inserted")
    memory = {role: (watch.most[role] / MB, _growth(watch.resident[role])) for role in ROLES}
    return count / seconds, memory


def _growth(samples: list[tuple[float, int]]) -> float:
    second, last = quarters(samples)
    return last / second


def _until_done(address: str, run: str, root: psutil.Process) -> float:
    """
    Wait until the job has ended, and return its seconds.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        while root.is_running():
            row = connection.execute(
                "SELECT extract(epoch FROM max(ended) - min(started))::float8 FROM oaflow.hops"
                " WHERE run = %s AND stage = 'a' HAVING bool_or(outcome = 'done')",
                [run],
            ).fetchone()
            if row is not None:
                return row[0]
            time.sleep(0.25)
    raise RuntimeError("the worker has ended")
