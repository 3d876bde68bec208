"""
`@task` in a stock worker on a real Postgres, and where `job.defer()` goes.
"""

import asyncio

import psycopg
import pytest
from procrastinate import App, PsycopgConnector

from oaflow import DatasetJob, Job, task
from oaflow.jobs import InvalidJobError, bindings
from oaflow.runtime.app import make_app
from oaflow.runtime.tasks import ReturnedError, returned_jobs

NEXT = Job(queue="next", task="elsewhere.task")


@pytest.fixture
def app(database):
    return App(connector=PsycopgConnector(conninfo=database))


@pytest.fixture
def rows(database):
    def read():
        with psycopg.connect(database) as connection:
            query = "SELECT queue_name, task_name, status::text, priority, attempts FROM procrastinate_jobs ORDER BY id"
            return connection.execute(query).fetchall()

    return read


def work(app, *jobs):
    with app.open():
        for job in jobs:
            job.defer(app)
    app.run_worker(queues=["q"], wait=False, install_signal_handlers=False, listen_notify=False)


def job_for(registered, **payload):
    return Job(queue="q", task=registered.name, payload=payload)


def returning(value):
    """
    The four kinds of functions, each returning or yielding the same.
    """

    def sync(job):
        return value() if value else None

    async def asynchronous(job):
        await asyncio.sleep(0)
        return value() if value else None

    def generator(job):
        yield from value()

    async def async_generator(job):
        for item in value():
            yield item

    return {"sync": sync, "async": asynchronous, "generator": generator, "async generator": async_generator}


@pytest.mark.parametrize("kind", ["sync", "async", "generator", "async generator"])
def test_an_iterable_of_jobs_is_deferred_in_order(app, rows, kind):
    others = [Job(queue="next", task=f"elsewhere.{name}") for name in "aab"]
    registered = task(app=app, name="t")(returning(lambda: others)[kind])

    work(app, job_for(registered))

    assert [row[1] for row in rows()[1:]] == ["elsewhere.a", "elsewhere.a", "elsewhere.b"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_job_is_taken_for_a_job_and_not_for_an_iterable_of_its_fields(app, rows, kind):
    registered = task(app=app, name="t")(returning(lambda: NEXT)[kind])

    work(app, job_for(registered))

    assert rows()[1:] == [("next", "elsewhere.task", "todo", 50, 0)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_a_plain_task_returns_is_no_job_of_a_run(app, database, kind):
    marked = Job(queue="next", task="t", payload={"context": {"oaflow": {"run": "r-aaaaaa", "stage": "s"}, "x": 1}})
    registered = task(app=app, name="t")(returning(lambda: marked)[kind])

    work(app, job_for(registered))

    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT args FROM procrastinate_jobs WHERE queue_name = 'next'").fetchone()
    assert row == ({"queue": "next", "task": "t", "payload": {"context": {"x": 1}}},)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_tasks_of_oaflows_own_app_are_tasks_alike(database, rows, kind):
    app = make_app(database)
    registered = task(app=app, name="t", retry=2)(returning(lambda: NEXT)[kind])

    work(app, job_for(registered))

    assert rows() == [("q", "t", "succeeded", 50, 1), ("next", "elsewhere.task", "todo", 50, 0)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nothing_returned_defers_nothing(app, rows, kind):
    registered = task(app=app, name="t")(returning(None)[kind])

    work(app, job_for(registered))

    assert [row[2] for row in rows()] == ["succeeded"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_two_retries_are_three_runs(app, rows, kind):
    runs = []

    def fail(job):
        runs.append(job)
        raise ValueError("again")

    async def fail_async(job):
        fail(job)

    registered = task(app=app, name="t", retry=2)({"sync": fail, "async": fail_async}[kind])

    work(app, job_for(registered))

    assert len(runs) == 3
    assert [row[2] for row in rows()] == ["failed"]


def test_a_task_is_tried_again_also_where_another_one_of_its_queueing_lock_waits_by_now(database, rows):
    app, runs = make_app(database), []

    async def fail(job):
        runs.append(job.payload["n"])
        if len(runs) == 1:
            await defer(2)
            raise ValueError("again")

    def defer(n):
        payload = {"queue": "q", "task": "t", "payload": {"n": n}}
        return registered.configure(queue="q", queueing_lock="daily").defer_async(**payload)

    registered = task(app=app, name="t", retry=1)(fail)

    async def main():
        async with app.open_async():
            await defer(1)
            await app.run_worker_async(queues=["q"], wait=False, install_signal_handlers=False, listen_notify=False)

    asyncio.run(main())

    assert sorted(runs) == [1, 1, 2]
    assert [(row[2], row[4]) for row in rows()] == [("succeeded", 2), ("succeeded", 1)]


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_function_that_fails_in_the_middle_has_sent_nothing(app, rows, kind):
    def jobs():
        yield NEXT
        raise ValueError("in the middle")

    registered = task(app=app, name="t")(returning(jobs)[kind])

    work(app, job_for(registered))

    assert [row[2] for row in rows()] == ["failed"]


def test_the_function_gets_the_class_that_it_is_annotated_with(app, rows):
    got = []

    class OrderJob(Job):
        payload: dict[str, int]

    def order(job: OrderJob):
        got.append(job)

    # The class is local, so the annotation is given as the class itself.
    order.__annotations__["job"] = OrderJob
    registered = task(app=app, name="t")(order)

    work(app, job_for(registered, number=3))

    assert got == [OrderJob(queue="q", task="t", payload={"number": 3})]
    assert type(got[0]) is OrderJob


def test_a_row_without_what_the_function_needs_fails_with_the_name_of_the_field(app):
    def index(job: DatasetJob):
        raise AssertionError("not reached")

    registered = task(app=app, name="t")(index)

    with pytest.raises(InvalidJobError, match="DatasetJob: field 'dataset' is required"):
        registered.func(queue="q", task="t")


def test_the_context_of_procrastinate_comes_first_where_it_is_asked_for(app):
    got = []

    @task(app=app, name="t", pass_context=True)
    def with_context(context, job: Job):
        got.append((context.job.task_name, job.payload))

    work(app, job_for(with_context, a=1))

    assert got == [("t", {"a": 1})]


def test_called_directly_it_is_the_plain_function(app):
    @task(app=app)
    def sync(job: Job):
        return NEXT

    @task(app=app)
    async def asynchronous(job: Job):
        return NEXT

    assert sync(job_for(sync)) is NEXT
    assert asyncio.run(asynchronous(job_for(sync))) is NEXT
    assert sync.name == f"{__name__}.sync"


@pytest.mark.parametrize("value", [3, "job", {"queue": "q"}, [NEXT, 3], object()])
def test_what_is_no_job_is_an_error_with_the_name_of_the_task(value):
    with pytest.raises(ReturnedError, match=r"task 'here\.there' returned (int|str|dict|object)"):
        returned_jobs("here.there", value)


def test_a_none_among_jobs_is_left_out():
    assert returned_jobs("t", [NEXT, None]) == [NEXT]


def test_a_sync_task_may_defer_through_the_app_of_its_worker(app, rows):
    @task(app=app, name="t")
    def defers(job: Job):
        NEXT.defer(app)

    work(app, job_for(defers))

    assert [row[:3] for row in rows()] == [("q", "t", "succeeded"), ("next", "elsewhere.task", "todo")]


def test_an_async_task_may_defer_through_the_app_of_its_worker(app, rows):
    @task(app=app, name="t")
    async def defers(job: Job):
        await NEXT.defer_async(app)

    work(app, job_for(defers))

    assert [row[:3] for row in rows()] == [("q", "t", "succeeded"), ("next", "elsewhere.task", "todo")]


def test_priority_is_what_is_said_then_what_the_context_says_then_fifty(app, rows):
    asking = Job(queue="next", task="t", payload={"context": {"priority": 97}})
    with app.open():
        NEXT.defer(app)
        asking.defer(app)
        asking.defer(app, priority=3)

    assert [row[3] for row in rows()] == [50, 97, 3]


def test_without_an_app_a_job_goes_to_the_database_of_the_settings(database, home, rows, monkeypatch):
    monkeypatch.setenv("OAFLOW_DB_URI", database)
    monkeypatch.setattr(bindings, "_program", None)

    NEXT.defer()
    with DatasetJob(dataset="d", queue="q", task="t").get_writer() as writer:
        writer.add({"id": "a", "schema": "Person", "properties": {"name": ["Ada"]}})

    assert [row[:3] for row in rows()] == [("next", "elsewhere.task", "todo")]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT id, origin, fragment FROM ftm_d").fetchall() == [("a", "oaflow", "default")]
    program = bindings.current()
    assert program.files.options.path == home / "archive"
    program.entities.close()
    program.queue.close()


def test_deferring_within_a_running_event_loop_works_too(database, home, rows, monkeypatch):
    monkeypatch.setenv("OAFLOW_DB_URI", database)
    monkeypatch.setattr(bindings, "_program", None)

    async def main():
        NEXT.defer()

    asyncio.run(main())

    assert len(rows()) == 1
    bindings.current().queue.close()
