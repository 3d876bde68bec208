"""
A worker of a service that collects what its jobs hand over, in this process, on a real server and without capture.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from procrastinate import App, PsycopgConnector, RetryStrategy

from oaflow import shim
from oaflow.ledger.external import unseen
from tests.integration.handovers import recount
from tests.integration.services import Service


class Desk:
    """
    The service: what its tasks do, by the name of the document.
    """

    def __init__(self, database: str, service: Service) -> None:
        self.service = service
        self.app = App(connector=PsycopgConnector(conninfo=database))
        self.attempts: list[int] = []
        self.numbers: list[int] = []
        self.app.task(name="there.s", queue="s", retry=RetryStrategy(max_attempts=1), pass_context=True)(self.work)
        self.app.task(name="there.async", queue="s")(self.work_in_loop)
        shim.prepare(self.app)

    def work(self, context: Any, **args: Any) -> None:
        self.attempts.append(context.job.attempts)
        (entity,) = args["payload"]["entities"]
        follow = {**args, "queue": "index", "task": "there.index"}
        defer = self.app.configure_task("there.index", queue="index", allow_unknown=True)
        self.numbers.append(defer.defer(**follow))
        self.numbers += defer.batch_defer(follow, {**follow, "payload": {"context": {}}})
        if entity["id"] == "taken over":
            self.service.sql("UPDATE procrastinate_jobs SET attempts = attempts + 1 WHERE id = %s", context.job.id)
        if entity["id"] in ("fails", f"fails at {context.job.attempts}"):
            raise ValueError("no such file\x00")

    async def work_in_loop(self, **args: Any) -> None:
        follow = {**args, "queue": "index", "task": "there.index"}
        defer = self.app.configure_task("there.index", queue="index", allow_unknown=True)
        self.numbers.append(await defer.defer_async(**follow))

    def run(self) -> None:
        self.app.run_worker(queues=["s"], wait=False, install_signal_handlers=False, listen_notify=False)

    @property
    def elsewhere(self) -> int:
        """
        Jobs that are nobody's but the service's.
        """
        return self.service.one("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'index'")


def test_a_worker_in_a_database_without_oaflow_says_what_is_missing(empty_database: str) -> None:
    app = App(connector=PsycopgConnector(conninfo=empty_database))
    with app.open():
        app.schema_manager.apply_schema()
    shim.prepare(app)

    with pytest.raises(shim.UnpreparedError, match="help:  oaflow db migrate"):
        app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)


@pytest.fixture
def desk(database: str) -> Iterator[Desk]:
    service = Service(database)
    yield Desk(database, service)
    assert service.counters() == recount(service.connection, service.run), "counters and recount differ"
    assert service.sql("SELECT * FROM oaflow.emitted") == []
    service.connection.close()


def test_what_is_deferred_for_a_job_leaves_with_its_end_and_all_else_at_once(desk: Desk) -> None:
    job = desk.service.ask("doc")

    desk.run()

    assert [handed for _, handed in desk.service.answers] == [["doc", "doc"]]
    assert desk.elsewhere == 1
    assert desk.numbers[:2] == [job, job]
    assert desk.service.job(job)[0] == "succeeded"


def test_tasks_that_are_coroutines_are_collected_too(desk: Desk) -> None:
    job = desk.service.ask("doc")
    desk.service.sql("UPDATE procrastinate_jobs SET task_name = 'there.async' WHERE id = %s", job)

    desk.run()

    assert [handed for _, handed in desk.service.answers] == [["doc"]]
    assert (desk.numbers, desk.elsewhere) == ([job], 0)


@pytest.mark.parametrize(("emit", "goes_out"), [("success", []), ("always", ["fails"] * 2)])
def test_a_job_that_is_given_up_says_why_and_what_earlier_attempts_deferred_is_gone(
    desk: Desk, emit: str, goes_out: list[str]
) -> None:
    desk.service.ask("fails", emit=emit)

    desk.run()

    assert desk.attempts == [0, 1]
    ((answer, handed),) = desk.service.answers
    assert handed == goes_out
    answered = desk.service.args(answer)["payload"]["context"]["oaflow"]["answered"]
    assert (answered["attempts"], answered["failed"]) == (2, {"message": "ValueError: no such file"})


def test_the_attempt_that_succeeds_is_the_one_that_counts(desk: Desk) -> None:
    desk.service.ask("fails at 0")

    desk.run()

    assert [handed for _, handed in desk.service.answers] == [["fails at 0"] * 2]


def test_a_job_that_another_worker_has_taken_over_is_not_heard(desk: Desk) -> None:
    desk.service.ask("taken over")

    desk.run()

    assert desk.service.answers == []
    desk.service.sweep()
    assert desk.service.counters() == {"a": {"vanished": 1}}


def test_an_end_is_told_once_whoever_tells_it(desk: Desk) -> None:
    job = desk.service.ask("doc")
    desk.service.fetch()

    said = [desk.service.one("SELECT oaflow.end_v1(%s, 0, '[]', NULL)", job) for _ in range(2)]

    assert said == [True, False]
    desk.service.end(job)
    assert len(desk.service.answers) == 1


def test_a_run_knows_which_tasks_are_seen_while_such_a_worker_lives(desk: Desk) -> None:
    connection, tasks = desk.service.connection, ["there.s", "there.other"]
    assert unseen(connection, tasks) == {"there.s", "there.other"}

    worker = desk.service.stock_worker()
    desk.service.sql("INSERT INTO oaflow.shims VALUES (%s, '{there.s}')", worker)
    assert unseen(connection, tasks) == {"there.other"}

    desk.service.sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    assert unseen(connection, tasks) == {"there.s", "there.other"}


def test_a_worker_says_which_tasks_it_has_and_clears_away_those_that_have_ended(desk: Desk) -> None:
    desk.service.sql("INSERT INTO oaflow.shims VALUES (-1, '{old}')")

    desk.run()

    ((worker, tasks),) = desk.service.sql("SELECT worker, tasks FROM oaflow.shims")
    assert worker > 0
    assert {"there.s", "there.async"} <= set(tasks)
