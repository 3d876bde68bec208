"""
Limits in the database: who gets a job of a task that has one, and when.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from oaflow.ledger.lanes import LATE_SECONDS, LOOK_SECONDS
from oaflow.ledger.limits import Limit, clear, declare, is_known, limit, limits
from oaflow.ledger.statements import sql
from tests.integration.handovers import Book


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    made = Book(database)
    yield made
    made.connection.close()


def claim_lane(
    book: Book,
    worker: int,
    most: int = 10,
    *,
    late: float = LATE_SECONDS,
    runs: Sequence[str] = (),
    connection: psycopg.Connection[Any] | None = None,
) -> tuple[list[int], float | None]:
    values = {"worker": worker, "queue": "q", "task": "t.a", "runs": list(runs) or [book.run], "most": most}
    values |= {"late": late, "look": LOOK_SECONDS, "after": None}
    *rows, last = (connection or book.connection).execute(sql("claim_lane"), values).fetchall()
    return [row[0] for row in rows], last[-1]


def test_no_more_run_at_once_than_the_limit_and_an_end_makes_room(book: Book) -> None:
    one, other = book.worker(), book.worker()
    jobs = book.enter(5)
    limit(book.connection, "q", "t.a", 3, None)

    assert claim_lane(book, one, 2) == (jobs[:2], None)
    assert claim_lane(book, other) == ([jobs[2]], LOOK_SECONDS)
    assert claim_lane(book, one) == ([], LOOK_SECONDS)

    book.complete(one, book.done(jobs[0]))
    assert claim_lane(book, other) == ([jobs[3]], LOOK_SECONDS)


ENDS = {
    "ended": lambda book, worker, job: book.complete(worker, book.done(job)),
    "failed": lambda book, worker, job: book.complete(worker, book.done(job, "failed")),
    "retried": lambda book, worker, job: book.complete(worker, book.done(job, "retried", delay=60.0)),
    "given back": lambda book, worker, job: book.sql("SELECT oaflow.release_v1(%s, %s)", worker, [job]),
    "of a dead worker": lambda book, worker, job: book.recover(worker),
    "deleted": lambda book, worker, job: book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", job),
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_becomes_of_a_job_its_place_is_free_with_it(book: Book, end: str) -> None:
    worker, other = book.worker(), book.worker()
    first, *rest = book.enter(3)
    limit(book.connection, "q", "t.a", 1, None)
    assert claim_lane(book, worker, 1)[0] == [first]
    assert claim_lane(book, other, 1)[0] == []

    ENDS[end](book, worker, first)

    (taken,) = claim_lane(book, other, 1)[0]
    assert taken in (first, *rest)
    assert claim_lane(book, other, 1)[0] == []
    assert book.one("SELECT count(*) FROM oaflow.leases") == 1  # and none is left behind


def test_what_has_a_limit_is_passed_over_by_claims_that_know_nothing_of_it(book: Book) -> None:
    worker = book.worker()
    limited, (free,) = book.enter(2), book.enter(1, stage="b")
    limit(book.connection, "q", "t.a", 1, None)

    assert book.claimed(worker) == [free]

    clear(book.connection, "q", "t.a")
    assert book.claimed(worker) == limited


def test_what_runs_when_a_limit_comes_counts(book: Book) -> None:
    worker = book.worker()
    jobs = book.enter(4)
    assert book.claimed(worker, 2) == jobs[:2]
    limit(book.connection, "q", "t.a", 3, None)

    assert claim_lane(book, worker)[0] == [jobs[2]]

    limit(book.connection, "q", "t.a", 1, None)
    for job in jobs[:2]:
        book.complete(worker, book.done(job))
        assert claim_lane(book, worker)[0] == []  # more than the new limit still run
    book.complete(worker, book.done(jobs[2]))
    assert claim_lane(book, worker)[0] == [jobs[3]]


def test_the_smallest_of_open_runs_holds_unless_an_operator_says_otherwise(book: Book, database: str) -> None:
    other = Book(database, "ledger-bbbbbb")
    declare(book.connection, book.run, [("q", "t.a", 5, 100.0), ("q", "t.a", 7, None)])
    declare(book.connection, other.run, [("q", "t.a", 2, 1000.0)])

    assert limits(book.connection) == [Limit("q", "t.a", 2, 100.0, None, None, 0, 0)]

    limit(book.connection, "q", "t.a", 9, None)
    assert limits(book.connection) == [Limit("q", "t.a", 9, 100.0, 9, None, 0, 0)]
    clear(book.connection, "q", "t.a")
    other.sql("UPDATE oaflow.runs SET state = 'finished' WHERE id = %s", other.run)
    assert limits(book.connection) == [Limit("q", "t.a", 5, 100.0, None, None, 0, 0)]
    book.sql("UPDATE oaflow.runs SET state = 'finished' WHERE id = %s", book.run)
    assert limits(book.connection) == []
    other.connection.close()


def test_workers_that_ask_at_the_same_moment_share_the_places(book: Book, database: str) -> None:
    workers = [book.worker() for _ in range(8)]
    book.enter(100)
    limit(book.connection, "q", "t.a", 5, None)
    taken: list[int] = []
    start = threading.Barrier(len(workers))

    def ask(worker: int) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            start.wait()
            for _ in range(20):
                taken.extend(claim_lane(book, worker, 2, connection=connection)[0])

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 5


def test_a_rate_lets_one_begin_in_each_interval_and_says_when_the_next_is_due(book: Book) -> None:
    worker = book.worker()
    jobs = book.enter(6)
    limit(book.connection, "q", "t.a", None, 1 / 50)

    assert claim_lane(book, worker)[0] == jobs[:1]
    nothing, again = claim_lane(book, worker)
    assert nothing == []
    assert again is not None
    assert 20 < again <= 50

    book.sql("UPDATE oaflow.lanes SET due = clock_timestamp() - interval '1 hour'")
    # Long idle: the one that is due, and what was due in the time that is made up for.
    assert claim_lane(book, worker, late=100.0)[0] == jobs[1:4]

    book.sql("UPDATE oaflow.lanes SET due = clock_timestamp() + interval '1 day'")  # by a slower rate of before
    assert claim_lane(book, worker)[0] == jobs[4:5]


def test_a_rate_is_met_whoever_asks_and_however_often(book: Book, database: str) -> None:
    workers = [book.worker() for _ in range(4)]
    book.enter(1000)
    limit(book.connection, "q", "t.a", None, 100.0)
    taken: list[int] = []
    began = time.monotonic()
    end = began + 3.0

    def ask(worker: int) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            while time.monotonic() < end:
                jobs, again = claim_lane(book, worker, connection=connection)
                taken.extend(jobs)
                time.sleep(min(again or 0.0, 0.05))

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken))
    # What is made up for is the most that can be too many; a machine that stands still for longer loses some.
    assert 100 <= len(taken) <= 100 * (time.monotonic() - began + LATE_SECONDS) + 2


def test_where_nothing_waits_nobody_needs_to_ask_again(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter(1)
    limit(book.connection, "q", "t.a", 1, 1.0)

    assert claim_lane(book, worker)[0] == [job]
    assert claim_lane(book, worker) == ([], None)


def test_what_nobody_has_heard_of_is_known_for_it(book: Book) -> None:
    book.enter(1)

    assert is_known(book.connection, "q", "t.a")
    assert not is_known(book.connection, "q", "t.typo")


def test_that_test_fails_without_the_lock_of_the_lane(book: Book, database: str) -> None:
    text = book.one(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'oaflow' AND p.proname = 'fetch_lane_v1'"
    )
    old = "n.task = p_task FOR UPDATE;"
    assert old in text
    book.sql(text.replace(old, "n.task = p_task; PERFORM pg_sleep(0.05);"))

    with pytest.raises(AssertionError):
        test_workers_that_ask_at_the_same_moment_share_the_places(book, database)
