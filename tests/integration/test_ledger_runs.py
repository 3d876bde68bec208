"""
The sync side of the ledger, on a real server.
"""

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from oaflow.ledger import crawled, history, runs, workers
from oaflow.ledger.runs import FirstJob
from oaflow.ledger.statements import sql


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as made:
        runs.store_plan(made, "digest", 1, "p", b'{"pipeline": "p"}')
        yield made


def _job(run: str, stage: str = "a") -> FirstJob:
    return FirstJob(stage, f"t.{stage}", stage, 50, {"payload": {"context": {"oaflow": {"run": run, "stage": stage}}}})


def test_a_plan_is_stored_once_and_stays_as_it_was(connection: psycopg.Connection[Any]) -> None:
    runs.store_plan(connection, "digest", 1, "p", b'{"pipeline": "another"}')

    stored = runs.stored_plan(connection, "digest")

    assert stored is not None
    assert stored.definition == {"pipeline": "p"}


def test_a_run_id_that_is_taken_is_drawn_again(connection: psycopg.Connection[Any]) -> None:
    with patch("oaflow.ledger.runs.new_run_id", side_effect=["p-aaaaaa", "p-aaaaaa", "p-bbbbbb"]):
        assert runs.start_run(connection, "p", "digest", "d", {}) == "p-aaaaaa"
        assert runs.start_run(connection, "p", "digest", "d", {}) == "p-bbbbbb"


def test_a_run_id_is_the_pipeline_and_six_letters_of_base32() -> None:
    pipeline, _, letters = runs.new_run_id("my-pipeline").rpartition("-")

    assert pipeline == "my-pipeline"
    assert len(letters) == 6
    assert set(letters) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_the_latest_run_is_found_by_dataset_pipeline_and_state(connection: psycopg.Connection[Any]) -> None:
    first = runs.start_run(connection, "p", "digest", "d", {"source": ["/a"]})
    second = runs.start_run(connection, "p", "digest", "e", {})
    runs.cancel(connection, second, "test")

    found = runs.latest_run(connection, dataset="d")
    assert found is not None
    assert (found.id, found.params) == (first, {"source": ["/a"]})
    assert runs.latest_run(connection, dataset="e", states=runs.OPEN_STATES) is None
    assert runs.latest_run(connection, pipeline="q") is None


def test_what_entered_is_counted_as_open_at_its_stage(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})

    assert runs.enter(connection, run, [_job(run), _job(run), _job(run, "b")], seal=True) == 3

    assert {stage.stage: stage.open for stage in runs.run_progress(connection, run)} == {"a": 2, "b": 1}
    found = runs.find_run(connection, run)
    assert found is not None
    assert found.sealed


def test_a_run_without_work_ends_when_it_is_closed(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [], seal=True)

    runs.close(connection, run)

    found = runs.find_run(connection, run)
    assert found is not None
    assert found.state == "finished"


def test_a_run_that_has_ended_cannot_be_marked(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})

    assert runs.mark(connection, run, "interrupted", "by SIGINT")
    runs.cancel(connection, run, "test")

    assert not runs.mark(connection, run, "running")


def test_a_cancelled_run_takes_out_what_waits(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [_job(run), _job(run)], seal=True)

    assert runs.cancel(connection, run, "test") == 2

    assert [stage.open for stage in runs.run_progress(connection, run)] == [0]


def test_a_job_that_no_live_worker_can_run_is_named(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [_job(run), _job(run, "b")], seal=True)
    pairs = [("a", "t.a"), ("b", "t.b"), ("c", "t.c")]

    waiting = workers.unserved(connection, run, pairs, 15.0)
    assert [(job.queue, job.task) for job in waiting] == [("a", "t.a"), ("b", "t.b")]
    assert all(job.seconds is not None and 0 <= job.seconds < 60 for job in waiting)

    row = connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id").fetchone()
    assert row is not None
    connection.execute(
        "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks) VALUES (%s, 'h', 1, 'p', '{1}', '{t.a}')",
        row,
    )

    assert [job.task for job in workers.unserved(connection, run, pairs, 15.0)] == ["t.b"]
    assert [worker.tasks for worker in workers.workers(connection, 15.0)] == [["t.a"]]

    connection.execute("UPDATE oaflow.workers SET formats = '{2}'")  # of another version, which does not know the plan
    assert [job.task for job in workers.unserved(connection, run, pairs, 15.0)] == ["t.a", "t.b"]


def test_jobs_with_a_lock_that_no_live_worker_can_run_are_named_as_others_are(
    connection: psycopg.Connection[Any],
) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [_job(run), _job(run, "b"), _job(run, "b")], seal=True)
    pairs = [("a", "t.a"), ("b", "t.b")]
    connection.execute("UPDATE procrastinate_jobs SET lock = 'l' || id")

    assert [(one.task, one.seconds is not None) for one in workers.unserved(connection, run, pairs, 15.0)] == [
        ("t.a", True),
        ("t.b", True),  # once, though two wait
    ]
    connection.execute("UPDATE procrastinate_jobs SET lock = NULL WHERE id IN (SELECT max(id) FROM procrastinate_jobs)")
    assert [one.task for one in workers.unserved(connection, run, pairs, 15.0)] == ["t.a", "t.b"]
    connection.execute("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE queue_name = 'a'")
    assert [one.task for one in workers.unserved(connection, run, pairs, 15.0)] == ["t.b"]  # not due, so not missed

    # A worker that came along with another run serves nobody else.
    row = connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id").fetchone()
    assert row is not None
    connection.execute(
        "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks, run)"
        " VALUES (%s, 'h', 1, 'p', '{1}', '{t.b}', 'another')",
        row,
    )
    assert [one.task for one in workers.unserved(connection, run, pairs, 15.0)] == ["t.b"]
    connection.execute("UPDATE oaflow.workers SET run = %s", [run])
    assert workers.unserved(connection, run, pairs, 15.0) == []


def test_workers_that_are_silent_serve_nobody(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [_job(run)], seal=True)
    row = connection.execute(
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
    ).fetchone()
    assert row is not None
    connection.execute(
        "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks) VALUES (%s, 'h', 1, 'p', '{1}', '{t.a}')",
        row,
    )

    assert workers.workers(connection, 15.0) == []
    assert len(workers.unserved(connection, run, [("a", "t.a")], 15.0)) == 1


def test_what_runs_is_shown_with_its_stage(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [_job(run)], seal=True)
    row = connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id").fetchone()
    assert row is not None
    connection.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", row)

    (job,) = workers.running(connection, run)

    assert (job.stage, job.worker) == ("a", row[0])
    assert job.seconds is not None


def test_the_latest_of_many_runs_are_found_without_reading_the_others(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO oaflow.runs (id, pipeline, plan, dataset, state, sealed, created_at)"
        " SELECT 'p-' || n, 'p', 'digest', 'd' || n % 50, 'finished', true, now() - n * interval '1 s'"
        " FROM generate_series(1, 5000) AS n"
    )
    values = {"dataset": None, "pipeline": None, "states": None, "limit": 20}

    for before in (None, "p-2500"):
        plan = connection.execute(
            b"EXPLAIN (ANALYZE, TIMING OFF) " + sql("recent_runs").encode(), {**values, "before": before}
        ).fetchall()
        text = "\n".join(line for (line,) in plan)
        assert "runs_by_time" in text, text
        read = [int(rows) for rows in re.findall(r"runs_by_time on runs.*actual rows=(\d+)", text)]
        assert read, text
        assert sum(read) <= 25, text


def test_the_history_of_a_run_begins_with_its_root(connection: psycopg.Connection[Any]) -> None:
    run = runs.start_run(connection, "p", "digest", "d", {})
    runs.enter(connection, run, [_job(run)], seal=True)

    (root,) = history.hops(connection, run).hops

    assert root.outcome == "root"
    assert root.successors is not None
    assert len(root.successors) == 1


def test_what_an_attempt_of_the_same_run_has_crawled_was_not_known_before(connection: psycopg.Connection[Any]) -> None:
    first, second = (runs.start_run(connection, "p", "digest", "d", {}) for _ in range(2))
    columns = "(dataset, pipeline, document, path, name, seen, ran)"
    row = f"INSERT INTO oaflow.crawled {columns} VALUES ('d', 'p', 'a', 'a', 'a', %(run)s, %(run)s)"
    connection.execute(row, {"run": first})  # pyright: ignore[reportArgumentType]

    def before(run: str) -> bool:
        found = crawled.crawling(connection, run)
        assert found is not None
        return found.before

    assert (before(first), before(second)) == (False, True)
    # It was known, and the second run has sent it on.
    connection.execute("UPDATE oaflow.crawled SET ran = %s, again = true", [second])
    assert before(second)
