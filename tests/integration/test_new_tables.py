"""
What is asked of many documents takes the same work for each, also where nothing is known of the tables yet.

A first run has tables that nobody has analyzed: a plan that reads one of them once for each row of another looks no
dearer to the server than one that goes by an index.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from oaflow.ledger import crawled, failures, reruns
from oaflow.ledger.runs import start_run, store_plan
from tests.integration.webpage import PLAN

FILES = [f"file{number:03}" for number in range(400)]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        store_plan(connection, PLAN.digest, PLAN.format, "p", PLAN.canonical())
        for table in ("crawled", "steps", "documents", "failures"):
            connection.execute(f"ALTER TABLE oaflow.{table} SET (autovacuum_enabled = off)")
        yield connection


@pytest.fixture
def run(connection: psycopg.Connection[Any]) -> str:
    """
    A run that has read files, which an earlier one had brought through two jobs each.
    """
    run = start_run(connection, "p", PLAN.digest, "d", {})
    connection.execute("UPDATE oaflow.runs SET covered = '{}' WHERE id = %s", [run])
    connection.execute(
        "INSERT INTO oaflow.crawled (dataset, pipeline, document, path, name, content_hash, seen, ran)"
        " SELECT 'd', 'p', f, f::bytea, f, 'hash', %s, %s FROM unnest(%s::text[]) AS f",
        [run, run, FILES],
    )
    connection.execute(
        "INSERT INTO oaflow.documents (run, document, name, kind)"
        " SELECT %s, f, f, 'found' FROM unnest(%s::text[]) AS f",
        [run, FILES],
    )
    connection.execute(
        "INSERT INTO oaflow.steps (dataset, pipeline, document, job, run, parents, stage, well)"
        " SELECT 'd', 'p', f, 2 * at + more, 'earlier', '{}', 's', true"
        " FROM unnest(%s::text[]) WITH ORDINALITY AS u (f, at), generate_series(0, 1) AS more",
        [FILES],
    )
    return run


def rows_handled(connection: psycopg.Connection[Any], act: Callable[[], object]) -> float:
    """
    How many rows came out of all parts of the plans of what an act says to the database, or were thrown away there.
    """
    heard: list[str] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        heard.append(str(notice.message_primary))

    connection.execute("LOAD 'auto_explain'")
    for setting in (
        "log_analyze = on",
        "log_timing = off",
        "log_nested_statements = on",
        "log_format = json",
        "log_level = notice",
        "log_min_duration = 0",
    ):
        connection.execute(f"SET auto_explain.{setting}")
    connection.add_notice_handler(hear)
    act()
    connection.remove_notice_handler(hear)
    plans = [json.loads(text[text.index("{") :])["Plan"] for text in heard if "plan:" in text]
    assert plans
    return sum(map(_handled, plans))


def _handled(plan: dict[str, Any]) -> float:
    thrown_away = sum(count for name, count in plan.items() if name.startswith("Rows Removed"))
    return (plan["Actual Rows"] + thrown_away) * plan["Actual Loops"] + sum(map(_handled, plan.get("Plans", ())))


def test_the_end_of_a_run(connection: psycopg.Connection[Any], run: str) -> None:
    detail = json.dumps({"handed": [["s", [file]] for file in FILES]})
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, version, successors, detail)"
        " VALUES (%s, 'crawl', 1, 'done', '1', (SELECT array_agg(j) FROM generate_series(1001, %s) AS j), %s)",
        [run, 1000 + len(FILES), detail],
    )
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, version, documents)"
        " SELECT %s, 's', 1000 + at, 'done', '1', ARRAY[f] FROM unnest(%s::text[]) WITH ORDINALITY AS u (f, at)",
        [run, FILES],
    )
    values = {"run": run, "files": "[" + ",".join(
        file for (file,) in connection.execute(crawled.sql("unmarked"), {"run": run})) + "]"}  # fmt: skip

    handled = rows_handled(connection, lambda: connection.execute(crawled.sql("mark_done"), values))

    assert connection.execute("SELECT count(*) FROM oaflow.crawled WHERE done IS NOT NULL").fetchone() == (len(FILES),)
    assert connection.execute("SELECT count(*) FROM oaflow.steps WHERE run = 'earlier'").fetchone() == (0,)
    assert handled < 100 * len(FILES)


def test_files_that_begin_at_a_later_stage(connection: psycopg.Connection[Any], run: str) -> None:
    later = start_run(connection, "p", PLAN.digest, "d", {})
    known = crawled.steps(connection, "d", "p", FILES)
    files = [crawled.Beginning(file, run, "changed", ["p/s"], [known[file][1].job], [file], []) for file in FILES]

    handled = rows_handled(connection, lambda: crawled.begin_later(connection, later, files, []))

    assert {
        file: [step.job for step in steps] for file, steps in crawled.steps(connection, "d", "p", FILES).items()
    } == {file: [steps[0].job] for file, steps in known.items()}
    assert handled < 100 * len(FILES)


def test_what_a_later_run_has_had_or_is_gone(connection: psycopg.Connection[Any], run: str) -> None:
    connection.execute("DELETE FROM oaflow.crawled WHERE document = ANY (%s)", [FILES[:3]])
    found: set[str] = set()

    handled = rows_handled(connection, lambda: found.update(reruns.newer(connection, run)))

    assert found == set(FILES[:3])
    assert handled < 100 * len(FILES)


def test_what_failed(connection: psycopg.Connection[Any], run: str) -> None:
    connection.execute(
        "INSERT INTO oaflow.failures (run, stage, job, documents, type, message)"
        " SELECT %s, 's', at, ARRAY[f], 'ValueError', 'no' FROM unnest(%s::text[]) WITH ORDINALITY AS u (f, at)",
        [run, FILES],
    )
    found: list[failures.Failure] = []

    handled = rows_handled(connection, lambda: found.extend(failures.failures(connection, run)))

    assert [(failure.documents, failure.names) for failure in found] == [([file], [file]) for file in FILES]
    assert handled < 100 * len(FILES)
