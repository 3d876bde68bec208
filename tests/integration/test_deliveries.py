"""
What is to be told of the end of a run: written down by whatever ends it, in its transaction, and taken by one alone.
"""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from oaflow.ledger import runs as ledger
from oaflow.ledger import webhooks
from oaflow.ledger.deletions import take_out_run

URL = "http://127.0.0.1:1/"


def cancelled(made: psycopg.Connection[Any], run: str) -> None:
    ledger.cancel(made, run, "by hand")


def closed(made: psycopg.Connection[Any], run: str) -> None:
    ledger.enter(made, run, [], seal=True)
    ledger.close(made, run)


def lost(made: psycopg.Connection[Any], run: str) -> None:
    made.execute(
        "INSERT INTO oaflow.counters (run, stage, shard, vanished, done) VALUES (%s, 'a', 0, 2, 5)"
        " ON CONFLICT DO NOTHING",
        (run,),
    )
    closed(made, run)


def begun(made: psycopg.Connection[Any], pipeline: str = "p") -> str:
    ledger.store_plan(made, "digest", 1, "p", b"{}")
    return ledger.start_run(made, pipeline, "digest", "mine", {})


@pytest.fixture
def made(database: str) -> Any:
    with psycopg.connect(database, autocommit=True, row_factory=tuple_row) as connection:
        yield connection


@pytest.mark.parametrize(("ends", "state"), [(closed, "finished"), (lost, "incomplete"), (cancelled, "cancelled")])
def test_whatever_ends_a_run_tells_it_once_to_each_that_wants_it(
    made: psycopg.Connection[Any], ends: Callable[[psycopg.Connection[Any], str], None], state: str
) -> None:
    assert webhooks.add(made, "all", URL, None)
    assert webhooks.add(made, "mine", URL, "p")
    assert webhooks.add(made, "others", URL, "q")
    assert not webhooks.add(made, "all", URL, None)
    run = begun(made)
    for _ in range(2):  # an answer was lost: it is sent again
        ends(made, run)

    told = [webhooks.take(made, 60), webhooks.take(made, 60)]
    assert {one.webhook for one in told if one} == {"all", "mine"}
    assert webhooks.take(made, 60) is None
    for one in told:
        assert one is not None
        body = json.loads(one.body)
        assert body["type"] == f"run.{state}"
        facts = body["data"]
        assert (facts["run"], facts["dataset"], facts["state"], facts["round"]) == (run, "mine", state, 1)
        assert facts["jobs"] == {
            "done": 5 if state == "incomplete" else 0,
            "failed": 0,
            "diverted": 0,
            "vanished": 2 if state == "incomplete" else 0,
        }


def test_what_did_not_end_is_not_told(made: psycopg.Connection[Any]) -> None:
    webhooks.add(made, "all", URL, None)
    run = begun(made)
    ledger.mark(made, run, "paused")
    ledger.mark(made, run, "running")
    with made.transaction(force_rollback=True):
        cancelled(made, run)
        assert webhooks.take(made, 60) is not None

    assert webhooks.take(made, 60) is None


def test_of_several_senders_each_takes_another_one(made: psycopg.Connection[Any], database: str) -> None:
    webhooks.add(made, "all", URL, None)
    for _ in range(2):
        cancelled(made, begun(made))
    with psycopg.connect(database) as first, psycopg.connect(database) as second:
        one, two = webhooks.take(first, 60), webhooks.take(second, 60)  # the first has not committed
        assert one is not None
        assert two is not None
        assert one.id != two.id
        assert webhooks.take(made, 60) is None
        first.rollback()  # killed before it had it
    again = webhooks.take(made, 0)
    assert again is not None
    assert (again.id, again.attempts) == (one.id, 1)
    killed = webhooks.take(made, 60)  # its sender said nothing for as long as it held it
    assert killed is not None
    assert (killed.id, killed.attempts) == (one.id, 2)

    webhooks.refused(made, again, "too late", None)  # it lives after all, and is not asked any more
    assert found(made) == (2, 0, None)
    webhooks.refused(made, killed, "answered 500", None)
    assert found(made) == (1, 1, "answered 500")
    assert webhooks.take(made, 60) is None
    assert webhooks.again(made, "all") == 2
    for _ in range(2):
        taken = webhooks.take(made, 60)
        assert taken is not None
        assert taken.attempts == 1
        webhooks.accepted(made, taken)
    assert found(made) == (0, 0, None)


def test_a_run_that_is_deleted_is_not_told_any_more(made: psycopg.Connection[Any]) -> None:
    webhooks.add(made, "all", URL, None)
    run = begun(made)
    cancelled(made, run)
    take_out_run(made, run)

    assert made.execute("SELECT count(*) FROM oaflow.deliveries").fetchone() == (0,)


def found(made: psycopg.Connection[Any]) -> tuple[int, int, str | None]:
    (webhook,) = webhooks.webhooks(made)
    return webhook.waiting, webhook.given_up, webhook.problem
