"""
The database in numbers, while something waits and something runs.
"""

from typing import Any

import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg.rows import tuple_row

from oaflow.ledger import runs as ledger
from oaflow.ledger.measured import Measured, measured
from oaflow.ledger.runs import FirstJob
from oaflow.operations.metrics import encoded, of_database

PLAN = b'{"stages": {"first": {"queue": "slow", "task": "m.first"}, "then": {"queue": "fast", "task": "m.then"}}}'


def test_what_waits_and_what_runs_is_told_apart_and_what_is_open_is_both(database: str) -> None:
    with psycopg.connect(database, autocommit=True, row_factory=tuple_row) as made:
        ledger.store_plan(made, "digest", 1, "p", PLAN)
        runs = [ledger.start_run(made, "p", "digest", "mine", {}) for _ in range(2)]
        for run in runs:
            ledger.enter(made, run, [first_job(run)] * 3, seal=True)
        worker = made.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id").fetchone()
        assert worker is not None
        made.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id <= 2", worker)
        made.execute("UPDATE oaflow.runs SET created_at = created_at - interval '1 hour' WHERE id = %s", runs[:1])
        ledger.cancel(made, ledger.start_run(made, "q", "digest", "mine", {}), None)

        found = samples(measured(made, silent=15, seconds=5))

    assert found["oaflow_jobs"]["p", "first", "waiting"] == 4
    assert found["oaflow_jobs"]["p", "first", "running"] == 2
    assert found["oaflow_queue_waiting_jobs"] == {("slow",): 4}
    ((labels, seconds),) = found["oaflow_oldest_waiting_seconds"].items()
    assert set(labels) == {"p", "first", "slow"}
    assert 3600 <= seconds < 3900
    assert found["oaflow_runs"] == {("p", "running"): 2, ("q", "cancelled"): 1}
    assert found["oaflow_workers"] == {(): 0}  # it is not oaflow's


def first_job(run: str) -> FirstJob:
    mark = {"run": run, "stage": "first"}
    return FirstJob("slow", "m.first", "first", 50, {"payload": {"context": {"oaflow": mark}}})


def samples(found: Measured) -> dict[str, dict[tuple[str, ...], Any]]:
    """
    By name and the values of the labels, as they are read back.
    """
    read: dict[str, dict[tuple[str, ...], Any]] = {}
    for family in text_string_to_metric_families(encoded(of_database(found), "")[1].decode()):
        for sample in family.samples:
            read.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return read
