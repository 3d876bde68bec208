"""
A stage that dies of some documents: what it costs the run, and whether only the guilty are charged.
"""

from functools import partial

import psycopg

from benchmarks.ground import Ground, begin, chain, finished, ground, passed, worker
from benchmarks.harness import Figure, Report, Size, Target, interleaved

# Jobs and executors of the search for innocents; 20 of the jobs, or one in 50, die.
INNOCENT: dict[Size, tuple[int, int]] = {"tiny": (100, 2), "small": (1_000, 8), "full": (10_000, 16)}

# Documents of which one in 50 dies: the folder that the promise is about.
DOCUMENTS = 50
JOB_SECONDS = 0.02

TASKS = ("benchmarks.stages.crash", "benchmarks.stages.c")


def measure(size: Size, rounds: int) -> Report:
    """
    Seconds lost, and who failed.
    """
    jobs, executors = INNOCENT[size]
    guilty = 2 if size == "tiny" else 20
    with ground() as place:
        found = interleaved(
            {
                "crash": partial(_seconds, place, DOCUMENTS, 50, 2),
                "none": partial(_seconds, place, DOCUMENTS, 0, 2),
            },
            rounds,
        )
        seconds, failed, innocent, crashes = _many(place, jobs, jobs // guilty, executors)
    lost = tuple(with_it - without for with_it, without in zip(found["crash"], found["none"], strict=True))
    return Report(
        "crashes",
        f"one document in 50 kills its process; {jobs:,} jobs of which {guilty} do, with {executors} executors",
        (
            Figure("seconds lost by one crash in 50", "s", lost, Target("at most", 2.0)),
            Figure(f"{jobs:,} jobs: failed", "jobs", (failed,), Target("exactly", guilty)),
            Figure(f"{jobs:,} jobs: innocent ones that failed", "jobs", (innocent,), Target("exactly", 0)),
            Figure(f"{jobs:,} jobs: crashes of one culprit, at most", "crashes", (crashes,), Target("at most", 3)),
            Figure(f"{jobs:,} jobs", "s", (seconds,)),
        ),
        ("A job that crashes runs again until OAFLOW_CRASHES (3); each of these crashes is in the seconds.",),
    )


def _run(place: Ground, jobs: int, every: int, executors: int, seconds: float) -> tuple[str, str]:
    address = place.database("crashes")
    options = {"every": every, "seconds": seconds}
    plan = chain(TASKS, options)
    plan = plan.model_copy(update={"stages": {**plan.stages, "b": plan.stages["b"].model_copy(update={"options": {}})}})
    run = begin(address, plan, jobs)
    with worker(place, address, executors=executors):
        state = finished(address, run)
    if state not in ("finished", "incomplete"):
        raise RuntimeError(f"the run is {state}")
    return address, run


def _seconds(place: Ground, jobs: int, every: int, executors: int) -> float:
    return passed(*_run(place, jobs, every, executors, JOB_SECONDS)).seconds


def _many(place: Ground, jobs: int, every: int, executors: int) -> tuple[float, int, int, int]:
    address, run = _run(place, jobs, every, executors, 0.0)
    guilty = {f"doc-{number}" for number in range(jobs) if number % every == every // 2}
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT documents FROM oaflow.failures WHERE run = %s", [run]).fetchall()
        crashes = connection.execute(
            "SELECT count(*)::int FROM oaflow.hops"
            " WHERE run = %s AND (outcome = 'crashed' OR outcome = 'failed' AND detail #>> '{error,type}' = 'Crash')"
            " GROUP BY job ORDER BY 1 DESC LIMIT 1",
            [run],
        ).fetchone()
    condemned = {document for (documents,) in rows for document in documents or ()}
    return passed(address, run).seconds, len(rows), len(condemned - guilty), crashes[0] if crashes else 0
