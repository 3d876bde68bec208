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

from oaflow.entities.statements import for_table
from oaflow.entities.store import EntityStore
from oaflow.ledger import crawled, deletions, failures, receipts, reruns
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
    return sum(map(_handled, plans_of(connection, act)))


def plans_of(connection: psycopg.Connection[Any], act: Callable[[], object]) -> list[dict[str, Any]]:
    """
    The plans of what an act says to the database, with what came out of each part.
    """
    heard: list[str] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        heard.append(str(notice.message_primary))

    connection.execute("LOAD 'auto_explain'")
    for setting in (
        "log_analyze = on",
        "log_timing = off",
        "log_verbose = on",
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
    return plans


def _parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _parts(part)


def _handled(plan: dict[str, Any]) -> float:
    return sum(
        (part["Actual Rows"] + sum(count for name, count in part.items() if name.startswith("Rows Removed")))
        * part["Actual Loops"]
        for part in _parts(plan)
    )


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


def test_the_account_of_a_run(connection: psycopg.Connection[Any], run: str) -> None:
    # One after the other: handed on, lost, handed on in two parts of which one is another's, and nothing returned.
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, documents, detail)"
        " SELECT %s, 's', at, 'done', ARRAY[f], CASE at %% 4"
        "   WHEN 0 THEN jsonb_build_object('handed', jsonb_build_array(jsonb_build_array('t', jsonb_build_array(f))))"
        "   WHEN 1 THEN jsonb_build_object('lost', jsonb_build_array(jsonb_build_array("
        "               'unmatched', 'default', 'no', jsonb_build_array(f), 1)))"
        "   WHEN 2 THEN jsonb_build_object('handed', jsonb_build_array("
        "               '[\"t\", [\"other\"]]'::jsonb, jsonb_build_array('u', jsonb_build_array(f)))) END"
        " FROM unnest(%s::text[]) WITH ORDINALITY AS u (f, at)",
        [run, FILES],
    )
    found: list[receipts.Receipt] = []

    plans = plans_of(connection, lambda: found.append(receipts.receipt(connection, run, ["index"])))

    quarter = len(FILES) // 4
    counts = {line: count for line, count in found[0].counts.items() if count}
    assert (found[0].found, counts) == (len(FILES), {"unmatched": quarter, "ended": quarter})
    assert sum(map(_handled, plans)) < 100 * len(FILES)
    # What a job handed on is taken apart only where it is not what it worked on: two documents each.
    taken_apart = [part for plan in plans for part in _parts(plan) if part.get("Function Name") == "jsonb_path_query"]
    of_handed = [part for part in taken_apart if "handed" in part["Function Call"]]
    assert sum(part["Actual Rows"] * part["Actual Loops"] for part in of_handed) == 2 * quarter


@pytest.mark.parametrize("name", ["hashes", "wanted_files"])
def test_files_that_others_may_use(connection: psycopg.Connection[Any], database: str, name: str) -> None:
    with EntityStore(database) as store:
        store.make_table("d")
    asked = {"hashes": for_table("hashes", "ftm_d").decode(), "wanted_files": deletions.sql("wanted_files")}[name]
    statement = asked.replace("%(of)s", "$1").replace("%(hashes)s", "$1").replace("%%", "%")
    # As from some sending on: then the server makes a plan for any files, which cannot tell how many are asked for.
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(f"PREPARE asked (text[]) AS {statement}".encode())

    plan = "\n".join(line for (line,) in connection.execute("EXPLAIN EXECUTE asked ('{hash}')"))

    assert "hashed SubPlan" in plan or "Hash Semi Join" in plan or "Hash Join" in plan, plan
    assert "= ANY ($1)" not in plan
