"""
Transactions that meet: each test holds one of them open at the point that decides, and lets the other one come.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any, LiteralString

import orjson
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from oaflow.ledger.handover import close, completion_values, shard_of
from oaflow.ledger.rows import Successor
from oaflow.ledger.statements import sql
from tests.integration.handovers import Book, args_of, recount
from tests.integration.services import Service

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    made = Book(database)
    yield made
    assert made.counters() == recount(made.connection, made.run), "counters and recount differ"
    made.connection.close()


class Beside:
    """
    A statement that another session sends, as soon as this is made.
    """

    def __init__(self, book: Book, statement: LiteralString, *values: Any, **named: Any) -> None:
        self._book = book
        self.rows: list[Any] = []
        self.problem: psycopg.Error | None = None
        self._thread = threading.Thread(target=self._send, args=(statement, named or values or None))
        self._thread.start()

    def _send(self, statement: LiteralString, values: Any) -> None:
        with psycopg.connect(self._book.uri, autocommit=True) as connection:
            try:
                cursor = connection.execute(statement, values)
                self.rows = cursor.fetchall() if cursor.description else []
            except psycopg.Error as problem:
                self.problem = problem

    def waits(self, *, sessions: int = 1) -> None:
        """
        Come back when so many sessions wait for a lock, or this one is done.
        """
        limit = time.monotonic() + 30
        while self._thread.is_alive() and self._book.one(WAITS) < sessions:
            assert time.monotonic() < limit, "it never waited"
            time.sleep(0.01)

    def answer(self) -> list[Any]:
        """
        Its rows, when it is done.
        """
        self._thread.join(60)
        assert not self._thread.is_alive(), "it never ended"
        if self.problem is not None:
            raise self.problem
        return self.rows


def test_a_part_of_a_stream_that_is_sent_twice_at_the_same_time_is_handed_over_once(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    part = book.done(job, "chunk", follow=3, position=0, digest="x")

    with psycopg.connect(book.uri) as first:
        first.execute(sql("complete"), completion_values(worker, 1, [part]))
        again = Beside(book, sql("complete"), **completion_values(worker, 2, [part]))
        again.waits()
        first.commit()

    assert again.answer() == [(job, "already")]
    assert book.one("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 't.b'") == 3


def plain(book: Book) -> int:
    insert = "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('plain', 'plain.task') RETURNING id"
    return book.one(insert)


@pytest.fixture
def without_key(book: Book) -> Book:
    """
    As on our own server.
    """
    book.sql("ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey")
    return book


def test_a_worker_that_was_declared_dead_claims_no_plain_job(without_key: Book) -> None:
    job = plain(without_key)
    worker = without_key.worker(silent=60)
    without_key.recover()

    claim = {"worker": worker, "queues": None, "tasks": ["plain.task"]}
    assert without_key.connection.execute(sql("claim_plain"), claim).fetchall() == []
    assert without_key.job(job)[0] == "todo"


@pytest.mark.parametrize("key", [True, False], ids=["foreign key", "none"])
def test_a_plain_job_that_a_silent_worker_claims_while_it_is_declared_dead_comes_back(
    book: Book, key: bool, request: pytest.FixtureRequest
) -> None:
    if not key:
        request.getfixturevalue("without_key")
    worker = book.worker(silent=60)
    job = plain(book)

    with psycopg.connect(book.uri) as awake:
        awake.execute(sql("claim_plain"), {"worker": worker, "queues": None, "tasks": ["plain.task"]})
        recovery = Beside(book, "SELECT job FROM oaflow.recover_v1('30 s', '{}')")
        recovery.waits()
        awake.commit()
    recovery.answer()
    book.recover()

    assert book.job(job)[0] == "todo"


def test_a_plain_job_of_a_dead_worker_that_somebody_is_at_comes_back_later(book: Book) -> None:
    worker = book.worker(silent=60)
    job = plain(book)
    book.sql("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id = %s", worker, job)

    with psycopg.connect(book.uri) as at_it:
        at_it.execute("SELECT FROM procrastinate_jobs WHERE id = %s FOR UPDATE", (job,))
        recovery = Beside(book, "SELECT job FROM oaflow.recover_v1('30 s', '{}')")
        recovery.waits()
        at_it.commit()
    recovery.answer()
    book.recover()

    assert book.job(job)[0] == "todo"


def test_a_plain_job_whose_claim_nobody_waited_for_comes_back_from_a_worker_that_has_left(book: Book) -> None:
    worker = book.worker()
    job = plain(book)

    with psycopg.connect(book.uri) as left:
        left.execute(sql("claim_plain"), {"worker": worker, "queues": None, "tasks": ["plain.task"]})
        farewell = Beside(book, sql("unregister"), id=worker)
        farewell.waits()
        left.commit()
    farewell.answer()
    book.recover()

    assert book.job(job)[0] == "todo"
    assert book.sql("SELECT FROM procrastinate_workers") == []


def test_a_run_ends_while_a_webhook_is_removed(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.complete(worker, book.done(job))
    book.sql("INSERT INTO oaflow.webhooks (name, url) VALUES ('w', 'http://localhost/')")

    with psycopg.connect(book.uri) as remover:
        remover.execute(sql("webhook_remove"), {"name": "w"})
        end = Beside(book, "SELECT oaflow.close_v1(%s)", book.run)
        end.waits()
        remover.commit()

    assert end.answer() == [("finished",)]


def test_a_partition_of_a_day_whose_first_row_is_being_written_is_left_out(book: Book) -> None:
    for (name,) in book.sql("SELECT relname FROM pg_class WHERE relname ~ '^hops_[0-9]{8}$'"):
        book.sql(SQL("DROP TABLE oaflow.{}").format(Identifier(name)))

    with psycopg.connect(book.uri) as writer:
        writer.execute("INSERT INTO oaflow.hops (run, outcome) VALUES (%s, 'root')", (book.run,))
        made = Beside(book, "SELECT oaflow.partitions_v1(2)")
        made.waits()
        writer.commit()

    assert len(made.answer()) == 2


def test_a_claim_with_locks_leaves_what_a_cancellation_has_in_hand(book: Book) -> None:
    worker = book.worker()
    first, second = book.enter(2)
    for job, lock in ((first, "a"), (second, "b")):
        book.sql("UPDATE procrastinate_jobs SET lock = %s WHERE id = %s", lock, job)

    # `b` first, behind the lock that it had before, and then `a`, which the cancellation has.
    claim = "SELECT id FROM oaflow.take_locked_v1(%s, 'q', 't.a', %s, 2, 'a')"
    with psycopg.connect(book.uri) as canceller:
        canceller.execute("SELECT FROM procrastinate_jobs WHERE id = %s FOR UPDATE", (first,))
        taken = Beside(book, claim, worker, [book.run])
        taken.waits()
        canceller.execute("SELECT FROM procrastinate_jobs WHERE id = %s FOR UPDATE", (second,))

    assert taken.answer() == [(second,), (None,)]


def test_a_run_that_is_sent_again_is_not_given_up_for_what_had_failed_before(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.sql("UPDATE oaflow.runs SET stop_after = 1")
    book.claim(worker)
    book.complete(worker, book.done(job, "failed", detail={"error": {"type": "E"}}))
    with psycopg.connect(book.uri) as operator:
        operator.execute("SELECT oaflow.reopen_v1(%s, NULL)", (book.run,))
        stop = Beside(book, "SELECT oaflow.stop_v1(%s)", book.run)
        stop.waits()
        operator.commit()
    assert stop.answer() == []
    assert book.state() == "running"


def test_first_jobs_and_a_hand_over_never_wait_for_each_other_in_a_circle(book: Book) -> None:
    worker = book.worker()
    book.sql("INSERT INTO oaflow.collects VALUES (%s, 'c', 1, 60, '{z}', 'q', 't.c', 50)", book.run)
    first, second = book.enter(2, stage="z", seal=False)
    book.claim(worker, tasks=["t.z"])
    waits = Successor("q", "t.c", "c", 50, orjson.dumps(args_of("c", book.run, "c-0")), '["k", ["c-0"]]')
    collected = [
        book.done(job, stage="z", detail={"handed": [["c", ["c-0"]]]})._replace(successors=(waits,))
        for job in (first, second)
    ]
    book.complete(worker, collected[0])
    enter = "SELECT oaflow.enter_v1(%s, '{q}', '{t.z}', '{z}', '{50}', %s, '[[]]', false)"

    with psycopg.connect(book.uri) as holder:
        holder.execute("SELECT FROM oaflow.counters WHERE run = %s AND stage = 'z' FOR UPDATE", (book.run,))
        entering = Beside(book, enter, book.run, orjson.dumps([args_of("z", book.run)]).decode())
        entering.waits()
        over = Beside(book, sql("complete"), **completion_values(worker, shard_of(64), [collected[1]]))
        over.waits(sessions=2)
        holder.commit()

    entering.answer()
    assert over.answer() == []


def test_two_who_end_runs_never_wait_for_each_other_in_a_circle(book: Book) -> None:
    runs = ["ledger-bbbbbb", book.run]
    book.sql("INSERT INTO oaflow.runs (id, pipeline, plan, dataset) VALUES (%s, 'ledger', 'd', 'x')", runs[0])
    asked: list[Any] = []

    async def ask(order: list[str]) -> None:
        async with await psycopg.AsyncConnection.connect(book.uri, autocommit=True) as connection:
            asked.append(await close(connection, order))

    async def both() -> None:
        with psycopg.connect(book.uri) as holder:
            holder.execute("SELECT pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(%s))", (book.run,))
            tasks = [asyncio.create_task(ask(order)) for order in (runs[::-1], runs)]
            while book.one(WAITS) < 2:
                await asyncio.sleep(0.01)
            holder.commit()
            await asyncio.gather(*tasks)

    asyncio.run(both())

    assert asked == [[], []]


def test_a_job_of_a_service_that_ends_while_the_sweeper_looks_for_what_is_lost_is_answered(book: Book) -> None:
    service = Service(book.uri, "ledger-service")
    lost, job = service.ask("lost"), service.ask("doc")
    for asked in (lost, job):  # as capture does, which was taken away then
        service.sql(
            "UPDATE procrastinate_jobs SET args = jsonb_set(args, '{payload,context,oaflow,job}', to_jsonb(id))"
            " WHERE id = %s",
            asked,
        )
    service.sql("DELETE FROM procrastinate_jobs WHERE id = %s", lost)
    service.fetch()

    with psycopg.connect(book.uri) as decider:
        decider.execute("SELECT pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(%s))", (service.run,))
        sweep = Beside(book, "SELECT run, event FROM oaflow.sweep_v2(true)")
        sweep.waits()
        service.end(job)
        decider.commit()
    assert sweep.answer() == [(service.run, "vanished")]
    book.sql("SELECT oaflow.sweep_v2(true)")

    assert service.counters() == {"a": {"open": 1, "vanished": 1}}
    assert [handed for _, handed in service.answers] == [[]]
    service.connection.close()


LATER = "ledger-later"


@pytest.fixture
def crawled(book: Book) -> Book:
    """
    A run that has ended, with a crawl of `/in` that saw one file; and a later one, which is at work.
    """
    book.sql("UPDATE oaflow.runs SET created_at = now() - interval '1 h', covered = '{/in}', sealed = true")
    book.sql("SELECT oaflow.keep_crawled_v2(%s, '{f}', '{/in/f}', '{f}', '{h}', '{1}', '{f}', '{}')", book.run)
    assert book.sql("SELECT oaflow.close_v1(%s)", book.run) == [("finished",)]
    book.sql("INSERT INTO oaflow.runs (id, pipeline, plan, dataset) VALUES (%s, 'ledger', 'd', 'x')", LATER)
    return book


@pytest.mark.parametrize("ended", [False, True], ids=["at work", "ended"])
def test_what_a_later_run_has_seen_is_not_gone_for_who_is_late_to_settle_the_one_before(
    crawled: Book, ended: bool
) -> None:
    crawled.sql("SELECT oaflow.keep_crawled_v2(%s, '{f}', '{/in/f}', '{f}', '{h}', '{1}', '{t}', '{}')", LATER)
    if ended:
        crawled.sql("UPDATE oaflow.runs SET sealed = true WHERE id = %s", LATER)
        assert crawled.sql("SELECT oaflow.close_v1(%s)", LATER) == [("finished",)]

    assert crawled.sql("SELECT document FROM oaflow.gone_v1(%s)", crawled.run) == []


def test_what_only_an_earlier_run_has_seen_is_gone(crawled: Book) -> None:
    crawled.sql("UPDATE oaflow.runs SET covered = '{/in}' WHERE id = %s", LATER)

    assert crawled.sql("SELECT document FROM oaflow.gone_v1(%s)", LATER) == [("f",)]


def test_what_a_later_run_has_found_in_a_file_is_not_lost_for_who_is_late_to_settle_the_one_before(
    crawled: Book,
) -> None:
    found = "INSERT INTO oaflow.documents (run, document, name, kind, parent) VALUES (%s, %s, 'm', 'found', 'f')"
    crawled.sql(found, crawled.run, "old member")
    crawled.sql(found, LATER, "new member")

    assert crawled.sql("SELECT oaflow.lost_children_v1(%s, '{f}')", crawled.run) == []
    assert crawled.sql("SELECT oaflow.lost_children_v1(%s, '{f}')", LATER) == [("old member",)]
