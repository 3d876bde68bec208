"""
How many jobs went along each way, of runs whose history is read with each look, and of such as are too large for that.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from oaflow.errors import EnvironmentProblem
from oaflow.ledger import runs
from oaflow.ledger.passed import passed
from oaflow.ledger.runs import Run
from oaflow.operations.ways import Way, Ways
from tests.integration.webpage import Page, page_on

KEPT = "SELECT oaflow.keep_timings_v1(1, 1, 1, %s::jsonb, '[]')"


@pytest.fixture
def page(database: str) -> Iterator[Page]:
    with page_on(database) as page:
        yield page


def handed(connection: psycopg.Connection[Any], run: str, jobs: int, outcome: str = "done") -> None:
    """
    Writes what the hand-over of jobs of `reads` leaves, each with one to `keeps`; a diverted one with one to `saves`.
    """
    to = "keeps" if outcome == "done" else "saves"
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, successors, detail)"
        " SELECT %s, 'reads', n, %s, ARRAY[n], %s::jsonb FROM generate_series(1, %s) n",
        [run, outcome, json.dumps({"handed": [[to, []]]}), jobs],
    )


def summed(connection: psycopg.Connection[Any], run: str, jobs: int) -> None:
    """
    Writes what a worker says of them, seconds later.
    """
    sums = {
        "run": run,
        "stage": "reads",
        "media": "",
        "in_loop": False,
        "attempts": jobs,
        "jobs": jobs,
        "members": jobs,
        "seconds": 1.0,
        "squares": 1.0,
        "times": [0] * 4,
        "successors": {"keeps": jobs},
    }
    connection.execute(KEPT, [json.dumps([sums])])


def found(page: Page, run: str) -> Run:
    known = runs.find_run(page.connection, run)
    assert known is not None
    return known


def counted(page: Page, ways: Ways, run: Run) -> dict[str, Way]:
    """
    The ways by where they lead, as soon as they are counted.
    """
    for _ in range(600):
        looked = ways.look(page.connection, run, 100)
        if looked:
            return {way.stage: way for way in looked}
        time.sleep(0.05)
    raise AssertionError("they are not counted")


def test_of_a_small_run_each_look_says_what_the_history_says_and_how_fast_that_grows(page: Page) -> None:
    run = found(page, page.run())
    clock = iter([10.0, 15.0, 20.0])
    ways = Ways(page.desk, lambda: next(clock))
    handed(page.connection, run.id, 5)
    handed(page.connection, run.id, 2, "diverted")

    first = {(way.stage, way.error): way for way in ways.look(page.connection, run, 7)}
    assert {key: way.jobs for key, way in first.items()} == {("keeps", False): 5, ("saves", True): 2}
    handed(page.connection, run.id, 10)
    second = {way.stage: way for way in ways.look(page.connection, run, 17)}
    assert (second["keeps"].jobs, second["keeps"].rate) == (15, 2.0)
    assert (second["saves"].jobs, second["saves"].rate) == (2, 0.0)


def test_a_large_run_is_counted_beside_the_pages_and_what_came_since_is_added(page: Page) -> None:
    run = found(page, page.run())
    clock = [100.0]
    ways = Ways(page.desk, lambda: clock[0], countable=10)
    handed(page.connection, run.id, 50)
    summed(page.connection, run.id, 50)

    assert counted(page, ways, run)["keeps"].jobs == 50
    # Its history is not read again so soon: what workers say is added, and makes the rate.
    clock[0] += 5
    handed(page.connection, run.id, 20)
    summed(page.connection, run.id, 20)
    later = counted(page, ways, run)["keeps"]
    assert (later.jobs, later.rate) == (70, 4.0)
    # A worker that was killed has not said all of what it did: when the run ends, it is counted for good.
    handed(page.connection, run.id, 7)
    page.connection.execute("UPDATE oaflow.runs SET state = 'finished', finished_at = now() WHERE id = %s", [run.id])
    ended = found(page, run.id)
    for _ in range(600):
        last = counted(page, ways, ended)["keeps"]
        if last.jobs == 77:
            break
        time.sleep(0.05)
    assert (last.jobs, last.rate) == (77, 0.0)
    assert [way.jobs for way in passed(page.connection, run.id)] == [77]


def test_who_comes_later_finds_what_was_counted(page: Page) -> None:
    run = found(page, page.run())
    handed(page.connection, run.id, 50)
    counted(page, Ways(page.desk, time.monotonic, countable=10), run)

    assert [way.jobs for way in Ways(page.desk, time.monotonic, countable=10).look(page.connection, run, 100)] == [50]


def test_what_cannot_be_counted_is_not_shown_and_keeps_nobody_from_what_else_there_is(page: Page) -> None:
    run = found(page, page.run())
    ways = Ways(page.desk, time.monotonic, countable=10)

    def away() -> None:
        raise EnvironmentProblem("the database is away")

    with pytest.raises(EnvironmentProblem):
        page.desk.background.ask(("ways", run.id), away, patience=60)

    assert ways.look(page.connection, run, 100) == []
