"""
What a database takes down of the jobs of services: by the very functions with which procrastinate's workers claim and
end them, and enter what these hand over.
"""

import threading
from collections.abc import Iterator
from typing import Any

import orjson
import psycopg
import pytest

from oaflow.postgres import migrate
from oaflow.postgres.schema import inspect
from tests.integration.handovers import recount
from tests.integration.services import Service
from tests.waiting import waited


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    migrate(database, own=True, capture=True)
    made = Service(database)
    yield made
    assert made.counters() == recount(made.connection, made.run), "counters and recount differ"
    assert made.sql("SELECT * FROM oaflow.emitted") == []
    assert made.sql("SELECT * FROM procrastinate_jobs WHERE task_name = 'oaflow.captured'") == []
    made.connection.close()


def test_at_its_end_an_answer_with_all_that_was_handed_over_takes_the_place_of_a_job(service: Service) -> None:
    job = service.ask()
    service.fetch()
    service.hands_over(job, "one")
    service.hands_over(job, "two", "geocode")
    assert service.answers == []

    service.end(job)

    ((answer, handed),) = service.answers
    assert handed == ["one", "two"]
    assert service.counters()["a"] == {"open": 1}
    worker = service.worker()
    assert service.take(worker) == answer
    service.complete(worker, service.done(answer, follow=2))
    assert service.counters() == {"a": {"done": 1}, "b": {"open": 2}}


def test_a_service_gets_the_number_of_what_it_enters_and_nobody_else_claims_that(service: Service) -> None:
    job = service.ask()
    service.fetch()

    row = service.hands_over(job, "one")

    assert row > job
    assert service.sql("SELECT 1 FROM procrastinate_fetch_job_v2(NULL, %s) WHERE id > 0", service.stock_worker()) == []
    service.end(job)


def test_of_several_attempts_the_last_one_counts(service: Service) -> None:
    job = service.ask()
    for number in range(5):
        service.fetch()
        service.hands_over(job, f"of attempt {number}")
        service.again(job)
    service.fetch()
    service.hands_over(job, "of the last")

    service.end(job)

    assert [handed for _, handed in service.answers] == [["of the last"]]


@pytest.mark.parametrize(("emit", "goes_out"), [("success", []), ("always", ["of the last"])])
def test_what_was_handed_over_before_a_failure_goes_out_under_always_only(
    service: Service, emit: str, goes_out: list[str]
) -> None:
    job = service.ask(emit=emit)
    service.fetch()
    service.hands_over(job, "of the first")
    service.again(job)
    service.fetch()
    service.hands_over(job, "of the last")

    service.end(job, "failed")

    assert [handed for _, handed in service.answers] == [goes_out]


def test_a_stream_goes_on_as_it_comes_and_another_attempt_says_nothing_twice(service: Service) -> None:
    job = service.ask(emit="stream")
    service.fetch()
    service.hands_over(job, "one")
    service.hands_over(job, "two")
    service.hands_over(job, "two")
    assert [handed for _, handed in service.answers] == [["one"], ["two"], ["two"]]
    assert service.counters()["a"] == {"open": 4}

    service.again(job)
    service.fetch()
    service.hands_over(job, "one")
    service.hands_over(job, "two")
    service.hands_over(job, "three")
    service.end(job, "failed")

    assert [handed for _, handed in service.answers] == [["one"], ["two"], ["two"], ["three"], []]
    assert service.counters()["a"] == {"open": 5}


@pytest.mark.parametrize(("silent", "comes_back"), [(50, False), (70, True)])
def test_a_job_whose_worker_is_silent_for_a_minute_comes_back_to_its_service(
    service: Service, silent: int, comes_back: bool
) -> None:
    job = service.ask()
    worker = service.stock_worker()
    service.fetch(worker)
    service.hands_over(job, "of the dead")
    service.sql(
        "UPDATE procrastinate_workers SET last_heartbeat = now() - make_interval(secs => %s) WHERE id = %s",
        silent,
        worker,
    )

    assert service.recover(timeout="15 s") == ({job} if comes_back else set())

    if comes_back:
        assert service.fetch() == job
    service.end(job)
    assert [handed for _, handed in service.answers] == [[] if comes_back else ["of the dead"]]
    assert service.sql("SELECT 1 FROM procrastinate_workers WHERE id = %s", worker) == [(1,)]


def test_a_job_that_its_service_runs_again_after_its_end_answers_no_second_time(service: Service) -> None:
    job = service.ask()
    service.fetch()
    service.end(job, "failed")

    service.again(job)
    service.fetch()
    service.hands_over(job, "too late")
    service.end(job)

    assert len(service.answers) == 1


def test_what_comes_when_its_job_has_ended_is_not_taken(service: Service) -> None:
    job = service.ask()
    service.fetch()
    service.end(job)

    late = service.hands_over(job, "too late")

    assert [handed for _, handed in service.answers] == [[]]
    assert service.sql("SELECT queue_name, status::text FROM procrastinate_jobs WHERE id = %s", late) == [
        ("oaflow", "succeeded")
    ]
    service.sql("SELECT oaflow.prune_v1(0, 100, now(), false)")
    assert service.sql("SELECT 1 FROM procrastinate_jobs WHERE id = %s", late) == []


@pytest.mark.parametrize("running", [False, True])
def test_a_job_that_others_delete_is_found_gone_with_what_it_had_handed_over(service: Service, running: bool) -> None:
    job = service.ask()
    if running:
        service.fetch()
        service.hands_over(job, "one")

    service.sql("DELETE FROM procrastinate_jobs WHERE id = %s", job)
    service.sweep()

    assert service.counters() == {"a": {"vanished": 1}}
    assert service.state() == "incomplete"


def test_a_cancelled_run_takes_out_what_waits_for_a_service_and_drops_what_comes_of_the_rest(service: Service) -> None:
    running, waiting = service.ask("one"), service.ask("two")
    assert service.fetch() == running

    service.sql("SELECT oaflow.cancel_v1(%s, 'enough')", service.run)
    assert service.job(waiting)[0] == "cancelled"
    service.hands_over(running, "three")
    service.end(running)
    service.sweep()

    assert service.counters().get("a", {}) == {}
    assert service.answers == []


def test_a_failed_job_is_asked_of_its_service_again_in_the_next_round(service: Service) -> None:
    job = service.ask()
    service.fetch()
    service.end(job, "failed")
    worker = service.worker()
    answer = service.take(worker)
    service.complete(worker, service.done(answer, "failed", detail={"error": {"type": "E", "message": "m"}}))

    assert service.one("SELECT oaflow.reopen_v1(%s, NULL)", service.run) == 1

    again = service.fetch()
    mark = service.args(again)["payload"]["context"]["oaflow"]
    assert mark == {"run": service.run, "stage": "a", "external": "success", "parent": 7, "job": again}
    service.hands_over(again, "at last")
    service.end(again)
    assert [handed for _, handed in service.answers] == [["at last"]]


def test_a_job_put_together_of_several_that_fails_is_taken_apart_for_its_service(service: Service) -> None:
    members = [service.ask("one"), service.ask("two")]
    rows = [(job, service.args(job)) for job in members]
    service.sql("DELETE FROM procrastinate_jobs WHERE id = ANY (%s)", members)
    for job, args in rows:
        del args["payload"]["context"]["oaflow"]["job"]
        service.sql(
            "INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args)"
            " VALUES (%s, %s, 'a', 'k', 1, '[]', %s::jsonb)",
            job, service.run, orjson.dumps(args).decode(),
        )  # fmt: skip
    service.sql("SELECT oaflow.put_together_v1(%s, 'a', 's', 'there.s', 50, %s)", service.run, members)
    service.end(service.fetch(), "failed")
    worker = service.worker()
    answer = service.take(worker)

    parted = service.done(answer, "parted", detail={"collected": 2, "error": {"type": "E", "message": "m"}})
    service.complete(worker, parted)

    apart = [service.fetch(), service.fetch()]
    names = [service.args(job)["payload"]["entities"][0]["id"] for job in apart]
    assert names == ["one", "two"]
    for job in apart:
        service.end(job)
    assert service.counters()["a"] == {"open": 2}


def test_no_statement_of_a_service_fails_and_the_sweeper_finds_what_was_missed(service: Service) -> None:
    job = service.ask()
    service.fetch()
    notices: list[str] = []
    service.connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    service.sql("ALTER TABLE oaflow.emitted RENAME TO gone")

    row = service.hands_over(job, "one")
    service.end(job)

    assert service.sql("SELECT queue_name, status::text FROM procrastinate_jobs WHERE id = %s", row) == [
        ("index", "todo")
    ]
    assert service.job(job)[0] == "succeeded"
    assert [f"job {row} was not captured" in notices[0], f"end of job {job} was" in notices[1]] == [True, True]
    service.sql("ALTER TABLE oaflow.gone RENAME TO emitted")
    service.sweep()
    assert [handed for _, handed in service.answers] == [["one"]]
    assert service.sql("SELECT 1 FROM procrastinate_jobs WHERE id = %s", row) == []


def test_a_service_needs_no_right_on_anything_of_oaflow(service: Service) -> None:
    job = service.ask()
    role = f"service_{service.one('SELECT pg_backend_pid()')}"
    service.sql(f"CREATE ROLE {role}")
    try:
        service.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        service.sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
        service.sql(f"SET ROLE {role}")
        service.fetch()
        service.hands_over(job, "one")
        service.end(job)
        service.sql("RESET ROLE")
    finally:
        service.sql("RESET ROLE")
        service.sql(f"DROP OWNED BY {role}")
        service.sql(f"DROP ROLE {role}")

    assert [handed for _, handed in service.answers] == [["one"]]


def test_jobs_of_others_and_those_of_other_stages_are_left_as_they_are(service: Service) -> None:
    args = {"queue": "index", "task": "there.index", "dataset": "x", "payload": {"context": {"oaflow": {"run": "r"}}}}

    row = service.defer("index", args)

    assert service.args(row) == args
    assert service.job(row)[0] == "todo"
    service.sql("DELETE FROM procrastinate_jobs WHERE id = %s", row)


@pytest.mark.parametrize("back", [False, True])
def test_what_is_handed_over_while_capture_is_away_goes_on_and_the_run_ends(service: Service, back: bool) -> None:
    job = service.ask()
    service.fetch()
    service.hands_over(job, "before")
    migrate(service.uri, own=True, capture=False)
    rows = [service.hands_over(job, "one"), service.hands_over(job, "two", "geocode")]
    if back:
        migrate(service.uri, own=True, capture=True)
    service.end(job)

    service.sweep()

    ((answer, handed),) = service.answers
    assert handed == ["before", "one", "two"]
    assert service.counters() == {"a": {"open": 1}}
    assert service.sql("SELECT 1 FROM procrastinate_jobs WHERE id = ANY (%s)", rows) == []
    service.sweep()
    assert len(service.answers) == 1
    worker = service.worker()
    assert service.take(worker) == answer
    service.complete(worker, service.done(answer))
    service.sweep()
    assert service.state() == "finished"


def test_no_job_answers_before_what_it_handed_over_last_was_heard(service: Service) -> None:
    job = service.ask()
    service.fetch()
    migrate(service.uri, own=True, capture=False)
    service.hands_over(job, "one")
    service.end(job)

    # As where both came after the sweeper had looked for output.
    assert service.one("SELECT oaflow.answer_rest_v1(%s)", service.run) == 1

    assert [handed for _, handed in service.answers] == [["one"]]


def test_what_a_service_has_claimed_itself_meanwhile_is_its_own_and_keeps_no_run_open(service: Service) -> None:
    job = service.ask()
    service.fetch()
    migrate(service.uri, own=True, capture=False)
    for name in ("claimed", "waits"):
        service.hands_over(job, name)
    claimed = service.one("SELECT id FROM procrastinate_fetch_job_v2('{index}', %s)", service.stock_worker())
    service.end(job)

    service.sweep()

    assert [handed for _, handed in service.answers] == [["waits"]]
    assert service.job(claimed)[0] == "doing"
    worker = service.worker()
    service.complete(worker, service.done(service.take(worker)))
    service.sweep()
    assert service.state() == "finished"


@pytest.mark.parametrize("events", [True, False])
def test_of_attempts_while_capture_is_away_the_last_one_counts(service: Service, events: bool) -> None:
    job = service.ask()
    service.fetch()
    service.hands_over(job, "of the first")
    migrate(service.uri, own=True, capture=False)
    service.again(job)
    service.fetch()
    service.hands_over(job, "of the second")
    service.again(job)
    if not events:  # those are taken out while the job waits, as nobody can tell later
        service.sql("DELETE FROM procrastinate_events")
        service.sweep()
    service.fetch()
    service.hands_over(job, "of the last")
    service.end(job)

    service.sweep()

    assert [handed for _, handed in service.answers] == [["of the last"]]
    assert service.sql("SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'index'") == []


def test_a_sweep_that_is_cut_off_has_heard_nothing_and_the_next_one_hears_all(service: Service) -> None:
    job = service.ask(emit="stream")
    service.fetch()
    migrate(service.uri, own=True, capture=False)
    service.hands_over(job, "one")
    with psycopg.connect(service.uri) as other:
        other.execute("SELECT * FROM oaflow.sweep_v2(true)")
        assert other.execute("SELECT count(*) FROM oaflow.emitted").fetchone() == (1,)
        service.sql("SELECT pg_terminate_backend(%s)", other.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")
    assert (service.answers, service.counters()["a"]) == ([], {"open": 1})

    service.sweep()

    assert ([handed for _, handed in service.answers], service.counters()["a"]) == ([["one"]], {"open": 2})
    service.end(job)
    service.sweep()
    assert [handed for _, handed in service.answers] == [["one"], []]


def test_capture_that_comes_back_waits_for_a_sweep_and_hears_what_is_handed_over_meanwhile_once(
    service: Service,
) -> None:
    job = service.ask()
    service.fetch()
    migrate(service.uri, own=True, capture=False)
    service.hands_over(job, "one")
    comes_back = threading.Thread(target=migrate, args=(service.uri,), kwargs={"own": True, "capture": True})
    with psycopg.connect(service.uri) as sweeping:
        sweeping.execute("SELECT * FROM oaflow.sweep_v2(true)")
        service.hands_over(job, "two")
        comes_back.start()
        tries = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        assert waited(lambda: service.sql(tries), 30, 0.01)
        service.hands_over(job, "three")
    comes_back.join(30)
    assert inspect(service.uri).captured
    service.hands_over(job, "four")

    service.end(job)

    assert [handed for _, handed in service.answers] == [["one", "two", "three", "four"]]


def test_a_job_that_was_sent_without_capture_gets_its_number_when_capture_comes_and_one_in_work_is_named_as_gone(
    service: Service,
) -> None:
    planned = {"stages": {"a": {"queue": "s", "task": "there.s"}}}
    service.sql("UPDATE oaflow.plans SET definition = %s::jsonb", orjson.dumps(planned).decode())
    migrate(service.uri, own=True, capture=False)
    in_work, waits = service.ask("one"), service.ask("two")
    service.fetch()
    service.hands_over(in_work, "of nobody")

    migrate(service.uri, own=True, capture=True)

    service.hands_over(in_work, "of nobody either")
    assert service.fetch() == waits
    service.hands_over(waits, "heard")
    service.end(in_work)
    service.end(waits)
    assert [handed for _, handed in service.answers] == [["heard"]]
    service.sweep()
    assert service.counters() == {"a": {"open": 1, "vanished": 1}}
    left = "SELECT args #>> '{payload,entities,0,id}' FROM procrastinate_jobs WHERE queue_name = 'index' ORDER BY id"
    assert service.sql(left) == [("of nobody",), ("of nobody either",)]
    worker = service.worker()
    service.complete(worker, service.done(service.take(worker)))
    service.sweep()
    assert service.state() == "incomplete"
    service.sql("DELETE FROM procrastinate_jobs WHERE queue_name = 'index'")


def test_what_has_ended_is_not_read_to_hear_what_came_late(service: Service) -> None:
    job = service.ask()
    service.fetch()
    service.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
        " SELECT 's', 'there.s', 'succeeded', args FROM procrastinate_jobs, generate_series(1, 2000) WHERE id = %s",
        job,
    )
    service.sql(
        "INSERT INTO oaflow.hops (run, job, outcome) SELECT %s, -n, 'done' FROM generate_series(1, 2000) n", service.run
    )
    migrate(service.uri, own=True, capture=False)
    service.hands_over(job, "one")
    read = "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname ~ '^(procrast|hops)'"

    with service.connection.transaction():
        before = service.one(read)  # of statements whose counts were not passed on yet
        assert service.one("SELECT oaflow.hear_rest_v1(%s)", service.run) == 1
        assert service.one(read) - before < 50

    service.sql("DELETE FROM procrastinate_jobs WHERE id <> %s", job)
    service.end(job)
    service.sweep()


def test_a_cancelled_run_counts_no_output_of_services_as_its_jobs(service: Service) -> None:
    job = service.ask()
    service.fetch()
    migrate(service.uri, own=True, capture=False)
    row = service.hands_over(job, "one")

    assert service.one("SELECT oaflow.cancel_v1(%s, 'enough')", service.run) == 0

    assert service.job(row)[0] == "cancelled"
    service.end(job)
    service.sweep()
    assert service.counters().get("a", {}) in ({}, {"vanished": 1})


def test_capture_is_made_once_and_taken_away_whole(database: str) -> None:
    def there() -> list[Any]:
        with psycopg.connect(database) as connection:
            return connection.execute(
                "SELECT tgname::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
                " UNION ALL SELECT proname::text, prosrc FROM pg_proc WHERE proname LIKE 'capture%' ORDER BY 1, 2"
            ).fetchall()

    before = there()
    assert [str(step) for step in migrate(database, own=True, capture=True)] == [
        "capture: triggers on procrastinate_jobs"
    ]
    assert migrate(database, own=True, capture=True) == []
    assert migrate(database, own=True) == []
    assert inspect(database).captured
    assert len(there()) == len(before) + 6

    migrate(database, own=True, capture=False)

    assert there() == before
    assert not inspect(database).captured
