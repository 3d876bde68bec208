"""
Locks in the database: of the jobs with the same one, one at a time is claimed.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from oaflow.ledger.lanes import LATE_SECONDS, LOOK_SECONDS
from oaflow.ledger.limits import limit
from oaflow.ledger.statements import sql
from tests.integration.handovers import Book
from tests.integration.test_handover import rows_read

LOCKED = "SELECT id FROM procrastinate_jobs WHERE lock = %s AND status = %s ORDER BY id"


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    made = Book(database)
    yield made
    made.connection.close()


def enter(book: Book, *locks: str | None) -> list[int]:
    """
    A job for each lock, None for a job without one.
    """
    jobs = book.enter(len(locks))
    for job, lock in zip(jobs, locks, strict=True):
        book.sql("UPDATE procrastinate_jobs SET lock = %s WHERE id = %s", lock, job)
    return jobs


def claim(
    book: Book,
    worker: int,
    most: int = 10,
    *,
    after: str | None = "",
    runs: Sequence[str] = (),
    connection: psycopg.Connection[Any] | None = None,
) -> tuple[list[int], float | None]:
    """
    The jobs that come, in order of their ids, and when to ask again.
    """
    values = {"worker": worker, "queue": "q", "task": "t.a", "runs": list(runs) or [book.run], "most": most}
    values |= {"late": LATE_SECONDS, "look": LOOK_SECONDS, "after": after}
    *rows, last = (connection or book.connection).execute(sql("claim_lane"), values).fetchall()
    return sorted(row[0] for row in rows), last[-1]


def test_of_each_lock_the_oldest_job_is_claimed_and_no_other_until_it_has_ended(book: Book) -> None:
    one, other = book.worker(), book.worker()
    jobs = enter(book, "x", "y", "x", "y", None)

    assert claim(book, one) == ([jobs[0], jobs[1], jobs[4]], None)  # whoever has a lock knows when it ends
    assert claim(book, other) == ([], LOOK_SECONDS)

    book.complete(one, book.done(jobs[0]))
    assert claim(book, other) == ([jobs[2]], LOOK_SECONDS)

    book.complete(one, book.done(jobs[1]))
    book.complete(other, book.done(jobs[2]))
    assert claim(book, one) == ([jobs[3]], None)
    assert claim(book, one) == ([], None)


ENDS = {
    "failed": lambda book, worker, job: book.complete(worker, book.done(job, "failed")),
    "retried later": lambda book, worker, job: book.complete(worker, book.done(job, "retried", delay=60.0)),
    "given back and cancelled": lambda book, worker, job: book.sql(
        "UPDATE procrastinate_jobs SET status = 'cancelled', worker_id = NULL WHERE id = %s", job
    ),
    "deleted": lambda book, worker, job: book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", job),
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_becomes_of_a_job_its_lock_is_free_with_it(book: Book, end: str) -> None:
    worker, other = book.worker(), book.worker()
    first, second = enter(book, "x", "x")
    assert claim(book, worker, 1)[0] == [first]

    ENDS[end](book, worker, first)

    assert claim(book, other)[0] == [second]


def test_what_comes_back_of_a_dead_worker_goes_first(book: Book) -> None:
    worker, other = book.worker(), book.worker()
    first, second = enter(book, "x", "x")
    assert claim(book, worker)[0] == [first]
    assert claim(book, other)[0] == []

    assert book.recover(worker) == {first}

    assert claim(book, other)[0] == [first]
    book.complete(other, book.done(first, attempt=1))
    assert claim(book, other)[0] == [second]


def test_a_retry_holds_its_lock_neither_while_it_waits_nor_does_it_get_it_twice(book: Book) -> None:
    worker = book.worker()
    first, second = enter(book, "x", "x")
    claim(book, worker)
    book.complete(worker, book.done(first, "retried", delay=0.3))

    assert claim(book, worker)[0] == [second]
    time.sleep(0.35)
    assert claim(book, worker) == ([], LOOK_SECONDS)
    book.complete(worker, book.done(second))
    assert claim(book, worker) == ([first], None)


def test_a_worker_that_is_gone_claims_nothing(book: Book) -> None:
    enter(book, "x", None)

    assert claim(book, 4711) == ([], None)


def test_where_a_task_has_no_locks_those_with_one_are_left_alone(book: Book) -> None:
    worker = book.worker()
    locked, free = enter(book, "x", None)

    assert claim(book, worker, after=None) == ([free], None)
    assert book.claimed(worker) == []
    assert book.job(locked)[0] == "todo"


def test_locks_take_turns_so_that_none_waits_for_those_before_it_in_the_alphabet(book: Book) -> None:
    worker = book.worker()
    jobs = enter(book, *(lock for lock in "abc" for _ in range(3)))
    order: list[int] = []
    after = ""
    for _ in jobs:
        ((job,), _) = claim(book, worker, 1, after=after)
        after = book.one("SELECT lock FROM procrastinate_jobs WHERE id = %s", job)
        order.append(job)
        book.complete(worker, book.done(job))

    assert order == [jobs[number] for number in (0, 3, 6, 1, 4, 7, 2, 5, 8)]


def test_within_a_lock_what_is_more_urgent_goes_first(book: Book) -> None:
    worker = book.worker()
    jobs = enter(book, "x", "x")
    book.sql("UPDATE procrastinate_jobs SET priority = 90 WHERE id = %s", jobs[1])

    assert claim(book, worker)[0] == [jobs[1]]


def test_what_has_locks_and_what_has_none_both_have_their_turn(book: Book) -> None:
    worker = book.worker()
    jobs = enter(book, *[None] * 200, *(str(number) for number in range(200)))

    taken = [job for _ in range(40) for job in claim(book, worker, 1)[0]]

    assert len(taken) == 40
    assert 5 < sum(job >= jobs[200] for job in taken) < 35  # by chance: one in 10 million is not


def test_runs_take_turns_at_locks(book: Book, database: str) -> None:
    worker = book.worker()
    enter(book, *(f"a{number}" for number in range(10)))
    other = Book(database, "ledger-bbbbbb")
    mine = enter(other, "b1", "b2")

    taken, _ = claim(book, worker, 4, runs=[book.run, other.run])

    assert len(taken) == 4
    assert set(mine) < set(taken)
    other.connection.close()


def test_locks_count_over_runs_and_beside_other_programs(book: Book, database: str) -> None:
    worker = book.worker()
    (mine,) = enter(book, "x")
    other = Book(database, "ledger-bbbbbb")
    (theirs,) = enter(other, "x")
    assert claim(book, worker)[0] == [mine]
    assert claim(book, worker, runs=[other.run]) == ([], LOOK_SECONDS)
    book.complete(worker, book.done(mine))

    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status)"
        " VALUES ('p', 'p', 'x', '{}', 'doing')"
    )

    assert claim(book, worker, runs=[other.run]) == ([], LOOK_SECONDS)
    book.sql("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE queue_name = 'p'")
    assert claim(book, worker, runs=[other.run]) == ([theirs], None)
    other.connection.close()


def test_a_worker_of_another_program_that_is_faster_is_no_error(book: Book, database: str) -> None:
    worker = book.worker()
    enter(book, "x")
    (free,) = enter(book, "y")
    # What it has begun and not committed is not seen: the unique index waits for it, and refuses.
    with psycopg.connect(database) as stock:
        stock.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status)"
            " VALUES ('p', 'p', 'x', '{}', 'doing')"
        )
        later = threading.Timer(0.3, stock.commit)
        later.start()
        assert claim(book, worker) == ([free], LOOK_SECONDS)
        later.join()


def test_limits_and_locks_hold_together(book: Book) -> None:
    worker = book.worker()
    jobs = enter(book, "x", "x", "y", "y", "z", "z")
    limit(book.connection, "q", "t.a", 2, None)

    taken, again = claim(book, worker)

    assert (taken, again) == ([jobs[0], jobs[2]], LOOK_SECONDS)
    assert claim(book, worker) == ([], LOOK_SECONDS)
    book.complete(worker, book.done(jobs[2]))
    assert claim(book, worker, after="y")[0] == [jobs[4]]
    assert book.one("SELECT count(*) FROM oaflow.leases") == 2


def test_a_job_that_came_without_its_lock_goes_back_with_it_and_spends_no_attempt(book: Book) -> None:
    worker, other = book.worker(), book.worker()
    first, second = enter(book, None, "x")
    assert claim(book, worker)[0] == [first, second]

    for _ in range(2):  # sent again after a lost answer
        book.sql("SELECT oaflow.lock_v1(%s, %s, 'x')", worker, first)
    book.sql("SELECT oaflow.lock_v1(%s, %s, 'z')", other, second)

    assert book.job(first) == ("todo", 0, None)
    assert book.sql(LOCKED, "x", "doing") == [(second,)]
    assert claim(book, other) == ([], LOOK_SECONDS)
    book.complete(worker, book.done(second))
    assert claim(book, other)[0] == [first]


def test_two_never_hold_one_lock_and_nothing_is_left_however_they_meet(book: Book, database: str) -> None:
    """
    Six claim and end at once, in whatever order of locks: no two in one lock, no deadlock, no job twice, none left.
    """
    seed = random.randrange(1_000_000)
    print(f"OAFLOW_SEED={seed}")
    locks = [str(number % 7) for number in range(420)]
    jobs = enter(book, *locks)
    lock_of = dict(zip(jobs, locks, strict=True))
    workers = [book.worker() for _ in range(6)]
    holding: set[str] = set()
    guard = threading.Lock()
    wrong: list[str] = []
    ended: list[int] = []

    def work(worker: int) -> None:
        chance = random.Random(seed + worker)
        mine = Book.__new__(Book)
        mine.connection, mine.run, mine.uri = psycopg.connect(database, autocommit=True), book.run, database
        limit = time.monotonic() + 60
        try:
            while len(ended) < len(jobs) and time.monotonic() < limit:
                taken, _ = claim(mine, worker, chance.randint(1, 4), after=chance.choice(["", *"0123456"]))
                with guard:
                    for job in taken:
                        if lock_of[job] in holding:
                            wrong.append(f"job {job} began while {lock_of[job]} was held")
                        holding.add(lock_of[job])
                for job in taken:
                    with guard:
                        holding.discard(lock_of[job])
                    answer = mine.complete(worker, mine.done(job))
                    with guard:
                        ended.append(job)
                        if answer != {job: "applied"}:
                            wrong.append(f"job {job}: {answer}")
        except psycopg.Error as error:
            wrong.append(str(error))
        finally:
            mine.connection.close()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert sorted(ended) == jobs


def test_a_claim_walks_from_lock_to_lock_and_not_through_what_waits_behind_them(book: Book) -> None:
    worker, other = book.worker(), book.worker()
    locks = [f"lock-{number:03}" for number in range(200)]
    first = enter(book, *locks)
    assert claim(book, other, 200)[0] == first
    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args)"
        " SELECT 'q', 't.a', 50, lock, jsonb_build_object('payload', jsonb_build_object('context',"
        " jsonb_build_object('oaflow', jsonb_build_object('run', %s::text, 'stage', 'a'))))"
        " FROM unnest(%s::text[]) AS lock, generate_series(1, 100)",
        book.run,
        locks,
    )
    (free,) = enter(book, "lock-999")
    book.sql("VACUUM ANALYZE procrastinate_jobs")

    taken: list[list[int]] = []
    read = rows_read(book, lambda: taken.append(claim(book, worker)[0]))

    assert taken == [[free]]
    # Of 20,000 that wait behind 200 locks that are held.
    assert read < 2000
