"""
How long a small run takes beside a large one that waits in the same queues, against the same alone.
"""

import time

import psycopg

from benchmarks.ground import begin, chain, finished, ground, worker
from benchmarks.harness import Figure, Report, Size, Target, ratios
from benchmarks.rates import executors_of_all_cores
from oaflow.plan import Plan

ROWS: dict[Size, int] = {"tiny": 2_000, "small": 50_000, "full": 1_000_000}
DOCUMENTS = 100
SECONDS = 0.01  # that a stage takes


def measure(size: Size, rounds: int) -> Report:
    """
    Seconds of both, and their ratio. One worker does all of it; the large run has begun when the small one comes.
    """
    plan = chain(["benchmarks.stages.crash"] * 3, {"seconds": SECONDS})
    alone: list[float] = []
    beside: list[float] = []
    with ground() as place:
        for _ in range(rounds):
            address = place.database("fair")
            with worker(place, address, executors=executors_of_all_cores()):
                _seconds(address, plan)  # until its executors are there
                alone.append(_seconds(address, plan))
                begin(address, plan, ROWS[size])
                time.sleep(2)  # until the large run has filled what there is to fill
                beside.append(_seconds(address, plan))
    return Report(
        "fairness",
        f"{DOCUMENTS} documents through three stages of {SECONDS * 1000:g} ms, beside a run of {ROWS[size]:,} in the"
        " same queues",
        (
            Figure("alone", "s", tuple(alone)),
            Figure("beside the large run", "s", tuple(beside)),
            Figure("beside it to alone", "times", ratios(beside, alone), Target("at most", 3.0)),
        ),
    )


def _seconds(address: str, plan: Plan) -> float:
    run = begin(address, plan, DOCUMENTS)
    if (state := finished(address, run)) != "finished":
        raise RuntimeError(f"the run is {state}")
    with psycopg.connect(address) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM finished_at - created_at)::float8 FROM oaflow.runs WHERE id = %s", [run]
        ).fetchone()
    assert row is not None
    return row[0]
