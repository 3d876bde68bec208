"""
The hand-over's SQL, statement by statement, on a real server.
"""

import itertools
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import psycopg
import pytest

from oaflow.ledger.handover import answers_of, completion_values
from oaflow.ledger.limits import limit
from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.statements import sql
from tests.integration.handovers import OUTCOMES, Book, args_of, counters, recount


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    made = Book(database)
    yield made
    assert made.counters() == recount(made.connection, made.run), "counters and recount differ"
    made.connection.close()


STATUS = {
    "done": "succeeded",
    "failed": "failed",
    "diverted": "failed",
    "cancelled": "aborted",
    "retried": "todo",
    "crashed": "todo",
    "paused": "todo",
}


@pytest.mark.parametrize("outcome", STATUS)
def test_an_outcome_moves_row_counter_and_history_together(book: Book, outcome: str) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)

    answers = book.complete(worker, book.done(job, outcome, follow=int(outcome in ("done", "diverted"))))

    assert answers == {job: "applied"}
    assert book.job(job) == (STATUS[outcome], 1, None)
    opened = 0 if outcome in OUTCOMES else 1
    assert book.counters().get("a", {}).get("open", 0) == opened
    assert [o for (o,) in book.sql("SELECT outcome FROM oaflow.hops WHERE job = %s", job)] == [outcome]
    assert book.counters().get("b", {}).get("open", 0) == int(outcome in ("done", "diverted"))


@pytest.mark.parametrize(
    ("outcome", "charge"), [("retried", (1, 0, False)), ("crashed", (0, 1, False)), ("paused", None)]
)
def test_what_goes_back_is_charged_for_what_it_did(book: Book, outcome: str, charge: tuple[Any, ...] | None) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)

    book.complete(worker, book.done(job, outcome))

    assert book.charge(job) == charge


def test_a_job_that_ends_leaves_no_charge(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.complete(worker, book.done(job, "retried"))
    book.claim(worker)
    book.complete(worker, book.done(job, attempt=1))

    assert book.charge(job) is None


def test_a_retry_waits_for_its_delay(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.complete(worker, book.done(job, "retried", delay=60.0))

    assert book.claimed(worker) == []

    book.sql("UPDATE procrastinate_jobs SET scheduled_at = now() - interval '1 s'")
    assert book.claimed(worker) == [job]


def test_a_completion_sent_again_says_already_and_changes_nothing(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    item = book.done(job, follow=3)
    book.complete(worker, item)
    before = book.counters()

    assert book.complete(worker, item) == {job: "already"}

    assert book.counters() == before
    assert book.one("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 't.b'") == 3


def test_a_completion_of_another_attempt_or_worker_is_fenced(book: Book) -> None:
    worker, other = book.worker(), book.worker()
    (job,) = book.enter()
    book.claim(worker)

    assert book.complete(worker, book.done(job, attempt=1, follow=1)) == {job: "fenced"}
    assert book.complete(other, book.done(job, follow=1)) == {job: "fenced"}
    assert book.job(job) == ("doing", 0, worker)
    assert book.counters() == {"a": {"open": 1}}


# What is taken out, and the test that has to fail then.
MUTATIONS = {
    "attempt": ("complete_done_v1", "((j.id, j.attempts) IN (SELECT c.id, c.attempt FROM c)) IS TRUE", "true"),
    "attempt, the long way": ("complete_v1", "AND j.attempts = m.attempt", ""),
    "worker": ("complete_done_v1", "AND j.worker_id IS NOT DISTINCT FROM p_worker", ""),
    "worker, the long way": ("complete_v1", "AND j.worker_id IS NOT DISTINCT FROM p_worker", ""),
}


@pytest.mark.parametrize("fence", MUTATIONS)
def test_that_test_fails_without_a_fence(book: Book, fence: str) -> None:
    if "long" in fence:
        take_the_long_way(book)
    mutate(book, *MUTATIONS[fence])

    with pytest.raises(AssertionError):
        test_a_completion_of_another_attempt_or_worker_is_fenced(book)


def mutate(book: Book, function: str, old: str, new: str) -> None:
    """
    Put something else into a function of the database.
    """
    text = book.one(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'oaflow' AND p.proname = %s",
        function,
    )
    assert old in text, "the mutation no longer fits the function"
    book.sql(text.replace(old, new))


def take_the_long_way(book: Book) -> None:
    """
    Have `complete_v1` do all itself, also where all of a group is done.
    """
    mutate(book, "complete_v1", "IF 'done' = ALL (p_outcomes)", "IF false")


@pytest.mark.parametrize("seed", range(6))
def test_the_short_way_and_the_long_one_leave_the_same(book: Book, seed: int) -> None:
    rng = random.Random(seed)
    worker, other = book.worker(), book.worker()
    for _ in range(10):
        jobs = book.enter(8)
        book.claim(worker)
        book.complete(worker, book.done(jobs[5]))
        book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", jobs[0])
        book.sql("UPDATE procrastinate_jobs SET worker_id = %s WHERE id = %s", other, jobs[1])
        book.sql("UPDATE procrastinate_jobs SET attempts = 3 WHERE id = %s", jobs[2])
        if rng.random() < 0.2:
            book.sql("INSERT INTO oaflow.charges (job, retries) VALUES (%s, 1)", jobs[3])
        if rng.random() < 0.2:
            book.sql("INSERT INTO oaflow.chunks (job, position, digest, size) VALUES (%s, 0, 'd', 1)", jobs[4])
        group = [any_end(book, rng, job) for job in rng.sample(jobs, 8)]

        short, long = (left_by(book, worker, group, long=long) for long in (False, True))

        assert short == long
    book.sql("DELETE FROM procrastinate_jobs")  # so that the recount at the end has nothing to compare
    book.sql("DELETE FROM oaflow.counters")
    book.sql("DELETE FROM oaflow.hops")


def any_end(book: Book, rng: random.Random, job: int) -> Completion:
    """
    One of the many ways in which an attempt ends that is done.
    """
    documents = [f"d{number}" for number in range(rng.choice((0, 1, 1, 1, 2)))]
    detail: dict[str, Any] = {"documents": documents} if documents else {}
    if rng.random() < 0.3:
        kind = rng.choice(("unmatched", "dropped", "ended"))
        detail |= {"lost": [[kind, "default", "why", documents, 2]], kind: 2}
    if rng.random() < 0.03:
        detail["notes"] = [{"kind": "skipped", "document": "d", "name": "n", "reason": "r"}]
    if rng.random() < 0.03:
        detail |= {"lost": [["too_deep", "default", "why", documents, 1]], "too_deep": 1}
    item = book.done(job, follow=rng.choice((0, 1, 1, 3)), detail=detail, version=rng.choice(("", "v")))
    ids = iter(range(10_000_000 + 10 * job, 10_000_000 + 10 * job + 10))
    return item._replace(
        successors=tuple(
            successor._replace(
                id=next(ids) if rng.random() < 0.5 else None,
                priority=rng.choice((40, 50)),
                lock=f"lock-{job}-{number}" if rng.random() < 0.3 else None,
                collect='["k", ["d"]]' if rng.random() < 0.01 else None,
            )
            for number, successor in enumerate(item.successors)
        )
    )


def left_by(book: Book, worker: int, group: list[Completion], *, long: bool) -> list[Any]:
    """
    The answers to a group, and all that it leaves in the tables, which are then as they were before.
    """
    book.sql("SELECT setval('procrastinate_jobs_id_seq', max(id)) FROM procrastinate_jobs")
    with book.connection.transaction(force_rollback=True):
        if long:
            take_the_long_way(book)
        answers = book.complete(worker, *group)
        return [
            answers,
            book.sql("SELECT to_jsonb(t) FROM procrastinate_jobs t ORDER BY id"),
            # But for the moment, and for numbers that are counted on where something was taken back.
            *(book.sql(f"SELECT to_jsonb(t) - '{{at,arrived,id}}'::text[] AS row FROM oaflow.{table} t ORDER BY 1")
              for table in ("hops", "counters", "failures", "documents", "charges", "chunks", "collected")),
        ]  # fmt: skip


# How the ways of `complete_v1` lock rows in another order than that of their ids.
UNORDERED = {
    "short": (
        "complete_done_v1",
        "BEGIN",
        "BEGIN FOR n IN 1..cardinality(p_ids) LOOP"
        " PERFORM FROM procrastinate_jobs j WHERE j.id = p_ids[n] FOR NO KEY UPDATE; END LOOP;",
    ),
    "long": ("complete_v1", "ORDER BY c.id", ""),
}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("way", UNORDERED)
def test_two_groups_that_cross_do_not_wait_for_each_other_as_long_as_rows_are_locked_in_one_order(
    book: Book, database: str, way: str, ordered: bool
) -> None:
    if way == "long":
        take_the_long_way(book)
    if not ordered:
        mutate(book, *UNORDERED[way])
    worker = book.worker()
    jobs = book.enter(3)
    book.claim(worker)
    said: list[dict[int, str] | str] = []

    def lane(shard: int, group: list[int]) -> None:
        items = [book.done(job, follow=1) for job in group]
        values = completion_values(worker, shard, items)
        with psycopg.connect(database, autocommit=True) as connection:
            try:
                said.append(answers_of(items, connection.execute(sql("complete"), values).fetchall()))
            except psycopg.errors.DeadlockDetected:
                said.append("deadlock")

    lanes = [threading.Thread(target=lane, args=(n, group)) for n, group in enumerate([jobs, jobs[::-1]])]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(database) as held:
        # Both have begun, each at its own end, when the row in the middle lets them go on.
        held.execute("SELECT id FROM procrastinate_jobs WHERE id = %s FOR UPDATE", (jobs[1],))
        for each in lanes:
            each.start()
        limit = time.monotonic() + 30
        while book.one(waiting) < 2:
            assert time.monotonic() < limit
            time.sleep(0.01)
    for each in lanes:
        each.join()

    assert ("deadlock" in said) is not ordered
    applied = [answers for answers in said if answers == dict.fromkeys(jobs, "applied")]
    assert len(applied) == 1
    assert book.counters() == {"a": {"done": 3}, "b": {"open": 3}}


def test_a_completion_of_a_row_that_was_deleted_says_gone(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", job)

    assert book.complete(worker, book.done(job, follow=2)) == {job: "gone"}
    assert book.counters() == {"a": {"open": 1}}
    book.one("SELECT oaflow.vanish_v1(%s)", book.run)


def test_a_group_is_answered_one_by_one(book: Book) -> None:
    worker, other = book.worker(), book.worker()
    first, second, third, fourth = book.enter(4)
    book.claim(worker, 3)
    book.claim(other)
    book.complete(worker, book.done(third))
    book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", second)

    answers = book.complete(worker, *(book.done(job, follow=2) for job in (fourth, first, second)), book.done(third))

    assert answers == {first: "applied", second: "gone", third: "already", fourth: "fenced"}
    assert book.counters() == {"a": {"open": 2, "done": 2}, "b": {"open": 2}}
    book.one("SELECT oaflow.vanish_v1(%s)", book.run)


def test_successors_keep_their_order_and_their_parents(book: Book) -> None:
    worker = book.worker()
    jobs = book.enter(2)
    book.claim(worker)

    book.complete(worker, *(book.done(job, follow=3) for job in jobs))

    rows = book.sql("SELECT successors, detail FROM oaflow.hops WHERE outcome = 'done' ORDER BY job")
    for successors, detail in rows:
        documents = [
            book.one("SELECT args #>> '{payload,entities,0,id}' FROM procrastinate_jobs WHERE id = %s", id)
            for id in successors
        ]
        assert [[name] for name in documents] == [handed[1] for handed in detail["handed"]]


def test_losses_are_counted_by_kind(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    lost = [[kind, "p", "because", [kind]] for kind in ("unmatched", "dropped", "dropped", "ended", "too_deep")]

    book.complete(
        worker,
        book.done(job, detail={"lost": lost, "unmatched": 1, "dropped": 2, "ended": 1, "too_deep": 1}),
    )

    assert book.counters() == {"a": {"done": 1, "unmatched": 1, "dropped": 2, "ended": 1, "failed": 1}}
    assert book.sql("SELECT type, documents FROM oaflow.failures") == [("TooDeep", ["too_deep"])]


# -- streams ---------------------------------------------------------------------------------------------------------


def test_a_part_of_a_stream_sent_twice_is_handed_over_once(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    part = book.done(job, "chunk", follow=2, position=0, digest="one")

    assert book.complete(worker, part) == {job: "applied"}
    assert book.complete(worker, part) == {job: "already"}
    assert book.complete(worker, book.done(job, "chunk", follow=2, position=0, digest="two")) == {job: "fenced"}

    assert book.job(job) == ("doing", 0, worker)
    assert book.counters() == {"a": {"open": 1}, "b": {"open": 2}}


def test_the_parts_of_a_stream_are_kept_until_it_is_done(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.complete(worker, book.done(job, "chunk", follow=1, position=0, digest="one"))
    book.complete(worker, book.done(job, "failed"))
    assert book.one("SELECT count(*) FROM oaflow.chunks WHERE job = %s", job) == 1

    assert book.one("SELECT oaflow.reopen_v1(%s, NULL)", book.run) == 1

    ((new, position, digest),) = book.sql("SELECT job, position, digest FROM oaflow.chunks")
    assert (position, digest) == (0, "one")
    assert new != job
    assert new in book.claimed(worker)
    book.complete(worker, book.done(new, follow=1, attempt=book.job(new)[1]))
    assert book.one("SELECT count(*) FROM oaflow.chunks") == 0


@pytest.mark.parametrize("end", ["diverted", "cancelled", "cancelled where it waits", "deleted"])
def test_the_parts_of_a_stream_that_nobody_will_ask_for_are_swept_away(book: Book, end: str) -> None:
    worker = book.worker()
    job, failed, live = book.enter(3)
    book.claim(worker)
    for one in (job, failed, live):
        book.complete(worker, book.done(one, "chunk", follow=1, position=0, digest="one"))
    book.complete(worker, book.done(failed, "failed"))
    match end:
        case "diverted":
            book.complete(worker, book.done(job, end, follow=1))
        case "cancelled":
            book.complete(worker, book.done(job, end))
        case "cancelled where it waits":
            book.sql("SELECT oaflow.release_v1(%s, %s)", worker, [job])
            book.sql("SELECT oaflow.cancel_v1(%s, 'by me')", book.run)
        case _:
            book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", job)

    book.sql("SELECT * FROM oaflow.sweep_v2(true)")

    assert {row[0] for row in book.sql("SELECT job FROM oaflow.chunks")} == {failed, live}


def test_a_part_of_a_stream_takes_back_crashes_and_suspicion(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.sql("INSERT INTO oaflow.charges VALUES (%s, 1, 2, true)", job)

    book.complete(worker, book.done(job, "chunk", position=0, digest="one"))

    assert book.charge(job) == (1, 0, False)


# -- claims ----------------------------------------------------------------------------------------------------------


def test_a_claim_takes_pairs_of_queue_and_task_and_nothing_else(book: Book) -> None:
    worker = book.worker()
    mine = book.enter(2)
    book.enter(2, stage="other")
    book.sql("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('elsewhere', 't.a'), ('q', 'theirs')")
    book.sql("INSERT INTO procrastinate_jobs (queue_name, task_name, lock) VALUES ('q', 't.a', 'locked')")

    assert book.claimed(worker) == mine


def test_a_claim_takes_the_best_priority_first_and_then_the_oldest(book: Book) -> None:
    worker = book.worker()
    low, high, middle = book.enter(2, priority=10), book.enter(2, priority=90), book.enter(2)
    urgent = book.enter(1, stage="b", priority=95)  # of another task
    book.sql("UPDATE procrastinate_jobs SET scheduled_at = now() - interval '1 s' WHERE id = %s", middle[0])

    assert book.claimed(worker, 3) == [*urgent, *high]
    assert book.claimed(worker, 3) == [*middle, low[0]]
    assert book.claimed(worker, 3) == [low[1]]


def test_a_claim_takes_jobs_of_the_runs_that_are_named_and_of_no_other(book: Book, database: str) -> None:
    worker = book.worker()
    book.enter(2)
    other = Book(database, "ledger-bbbbbb")
    theirs = other.enter(2)

    assert [row.id for row in book.claim(worker, runs=[other.run])] == theirs
    other.connection.close()


def test_runs_that_wait_in_the_same_queue_take_turns(book: Book, database: str) -> None:
    other = Book(database, "ledger-bbbbbb")
    many, few, urgent = book.enter(50), other.enter(3), book.enter(2, priority=90)
    worker, runs = book.worker(), [book.run, other.run]

    assert {row.id for row in book.claim(worker, 6, runs=runs)} == {*urgent, *many[:2], *few[:2]}
    assert {row.id for row in book.claim(worker, 6, runs=runs)} == {*many[2:7], few[2]}
    other.connection.close()


@pytest.mark.parametrize("indexed", [True, False])
def test_a_claim_of_several_runs_takes_the_best_priority_of_all_of_them(
    book: Book, database: str, indexed: bool
) -> None:
    if not indexed:
        book.sql("DROP INDEX oaflow_run_ready, oaflow_run_due")
    other, paused = Book(database, "ledger-bbbbbb"), Book(database, "ledger-cccccc")
    paused.enter(5, priority=99)
    middle, low, high = book.enter(2), other.enter(2, priority=10), other.enter(2, priority=90)
    book.sql("UPDATE procrastinate_jobs SET scheduled_at = now() - interval '1 s' WHERE id = %s", middle[0])
    worker, runs = book.worker(), [book.run, other.run]

    assert [row.id for row in book.claim(worker, 3, runs=runs)] == [*high, middle[0]]
    assert [row.id for row in book.claim(worker, runs=runs)] == [middle[1], *low]

    other.connection.close()
    paused.connection.close()


def test_two_claims_at_once_share_and_never_wait(book: Book, database: str) -> None:
    first, second = book.worker(), book.worker()
    jobs = book.enter(10)
    with psycopg.connect(database) as held:
        held.execute("SELECT id FROM procrastinate_jobs WHERE id = ANY (%s) FOR UPDATE", (jobs[:4],))
        assert book.claimed(first, 3) == jobs[4:7]
        assert book.claimed(second, 10) == jobs[7:]


def test_a_job_that_is_given_back_has_spent_nothing(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)

    assert book.one("SELECT oaflow.release_v1(%s, %s)", worker, [job]) == 1

    assert book.job(job) == ("todo", 0, None)


def test_a_claim_whose_answer_was_lost_comes_back_in_two_beats(book: Book) -> None:
    worker = book.worker()
    kept, lost = book.enter(2)
    book.claim(worker)
    beat = "SELECT alive, reclaimed, suspects FROM oaflow.heartbeat_v1(%s, %s::bigint[], %s::bigint[])"

    assert book.sql(beat, worker, [kept], []) == [(True, [], [lost])]
    assert book.sql(beat, worker, [kept], [lost]) == [(True, [lost], [])]

    assert book.job(kept) == ("doing", 0, worker)
    assert book.job(lost) == ("todo", 1, None)


def test_a_worker_without_a_row_learns_that_it_is_dead(book: Book) -> None:
    worker = book.worker()
    book.recover(worker)

    assert book.sql("SELECT alive FROM oaflow.heartbeat_v1(%s, '{}', '{}')", worker) == [(False,)]
    book.enter()
    assert book.claim(worker) == []


# -- recovery --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by name", "by silence", "by a pruned row"])
def test_the_jobs_of_a_dead_worker_come_back_uncharged(book: Book, how: str) -> None:
    dead, alive = book.worker(silent=60 if how == "by silence" else 0), book.worker()
    jobs = book.enter(4)
    book.claim(dead, 3)
    book.claim(alive)
    if how == "by a pruned row":
        book.sql("DELETE FROM procrastinate_workers WHERE id = %s", dead)

    found = book.recover(*[dead] if how == "by name" else [])

    assert found == set(jobs[:3])
    assert [book.job(job) for job in jobs] == [("todo", 1, None)] * 3 + [("doing", 0, alive)]
    assert [book.charge(job) for job in jobs] == [None] * 4
    assert book.sql("SELECT id FROM oaflow.workers") == book.sql("SELECT id FROM procrastinate_workers") == [(alive,)]


@pytest.mark.parametrize("pruned", [False, True])
def test_async_jobs_of_a_dead_worker_are_suspects_then_charged_then_poison(book: Book, pruned: bool) -> None:
    (job,) = book.enter()

    def dies() -> set[int]:
        worker = book.worker(async_tasks=["t.a"])
        assert book.claimed(worker) == [job]
        if book.charge(job) is not None:
            book.alone(worker, job)
        if pruned:
            book.sql("DELETE FROM procrastinate_workers WHERE id = %s", worker)
        return book.recover(*[] if pruned else [worker])

    assert dies() == {job}
    assert book.charge(job) == (0, 0, True)  # others were in the worker too
    for crashes in (1, 2, 3):
        assert dies() == {job}
        assert book.charge(job) == (0, crashes, True)  # it was alone

    # What that means is decided by who claims it: it knows on_error, and so do its counters.
    assert [row.crashes for row in book.claim(book.worker())] == [3]


def plain(book: Book, worker: int | None = None, *, of: str | None = "daily", lock: str | None = None) -> int:
    """
    A plain job of a queueing lock, which waits, or which a worker is at.
    """
    return book.one(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, status, worker_id)"
        " VALUES ('plain', 'tick', %s, %s, %s, %s) RETURNING id",
        lock, of, "todo" if worker is None else "doing", worker,
    )  # fmt: skip


def queueing_lock(book: Book, job: int) -> tuple[Any, ...]:
    return book.sql("SELECT status::text, worker_id, queueing_lock FROM procrastinate_jobs WHERE id = %s", job)[0]


def recovered(book: Book, worker: int, jobs: list[int]) -> None:
    assert set(jobs) <= book.recover(worker)


def reclaimed(book: Book, worker: int, jobs: list[int]) -> None:
    book.sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 h' WHERE id = %s", worker)
    ((alive, back),) = book.sql("SELECT alive, reclaimed FROM oaflow.heartbeat_v1(%s, '{}', %s)", worker, jobs)
    assert (alive, sorted(back)) == (True, jobs)
    assert book.one("SELECT now() - last_heartbeat < '1 min' FROM procrastinate_workers WHERE id = %s", worker)


@pytest.mark.parametrize("back", [recovered, reclaimed])
def test_a_job_comes_back_beside_one_that_waits_under_its_queueing_lock_and_keeps_nobody(
    book: Book, database: str, back: Callable[[Book, int, list[int]], None]
) -> None:
    worker = book.worker()
    stage = book.enter()
    assert book.claimed(worker) == stage
    one, two = plain(book, worker), plain(book, worker)  # the second began while the first was running
    alone, entered = plain(book, worker, of="weekly"), plain(book, worker, of="monthly")
    book.sql("UPDATE procrastinate_jobs SET abort_requested = true WHERE id = %s", alone)
    waits = plain(book, lock="mine")
    with psycopg.connect(database) as somebody:  # who has not committed yet
        somebody.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock) VALUES ('plain', 'tick', 'monthly')"
        )
        began = time.monotonic()
        back(book, worker, [*stage, one, two, alone, entered])
        assert time.monotonic() - began < 5  # nobody waits for that one

    assert queueing_lock(book, waits) == ("todo", None, "daily")
    assert queueing_lock(book, alone) == ("todo", None, "weekly")  # kept, where it can be
    for job in (one, two, entered):
        assert queueing_lock(book, job) == ("todo", None, None)
    assert book.job(stage[0]) == ("todo", 1, None)


def test_of_two_that_come_back_with_one_queueing_lock_one_has_it(book: Book) -> None:
    worker = book.worker()
    one, two = plain(book, worker), plain(book, worker)

    recovered(book, worker, [one, two])

    assert sorted(str(queueing_lock(book, job)[2]) for job in (one, two)) == ["None", "daily"]
    with pytest.raises(psycopg.errors.UniqueViolation):  # as procrastinate means it
        plain(book)


@pytest.mark.parametrize("outcome", ["retried", "crashed", "paused", "released"])
def test_a_queueing_lock_that_others_gave_a_job_of_a_stage_is_in_nobodys_way(book: Book, outcome: str) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.sql("UPDATE procrastinate_jobs SET queueing_lock = 'daily' WHERE id = %s", job)
    plain(book)

    if outcome == "released":
        book.sql("SELECT oaflow.release_v1(%s, %s)", worker, [job])
    else:
        assert book.complete(worker, book.done(job, outcome)) == {job: "applied"}

    assert queueing_lock(book, job) == ("todo", None, None)


@pytest.mark.parametrize("foreign_key", [True, False])
def test_jobs_of_a_worker_without_a_row_come_back_also_where_no_foreign_key_says_so(
    book: Book, foreign_key: bool
) -> None:
    worker = book.worker()
    jobs = book.enter(2)
    book.claim(worker)
    if not foreign_key:  # as OpenAleph leaves it
        book.sql("ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey")
    book.sql("DELETE FROM procrastinate_workers WHERE id = %s", worker)
    book.sql("DELETE FROM oaflow.workers WHERE id = %s", worker)

    assert book.recover() == set(jobs)


@pytest.mark.parametrize("how", ["cancelled", "failed", "succeeded"])
def test_a_job_that_others_ended_is_named_as_vanished(book: Book, how: str) -> None:
    kept, gone = book.enter(2)
    book.sql("UPDATE procrastinate_jobs SET status = %s WHERE id = %s", how, gone)

    book.sql("SELECT * FROM oaflow.sweep_v2(true)")

    assert book.sql("SELECT job FROM oaflow.hops WHERE outcome = 'vanished'") == [(gone,)]
    assert book.job(kept)[0] == "todo"


def test_rows_under_the_same_names_that_are_not_ours_are_left_alone(book: Book) -> None:
    (ours,) = book.enter()
    for args in (
        "{}",
        '{"payload": {"context": "x"}}',
        '{"payload": {"context": {"oaflow": {"run": "other-aaaaaa"}}}}',
    ):
        book.sql(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args) VALUES ('q', 't.a', 99, %s)", args
        )

    assert book.claimed(book.worker()) == [ours]
    assert book.one("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'") == 3


def test_suspects_that_were_held_beside_the_one_that_ran_are_not_charged(book: Book) -> None:
    jobs = book.enter(3)
    for _ in range(5):
        worker = book.worker(async_tasks=["t.a"])
        book.claim(worker)
        if (book.charge(jobs[0]) or (0, 0))[1] < 2:
            book.alone(worker, jobs[0])
        book.recover(worker)

    assert [book.charge(job) for job in jobs] == [(0, 2, True), (0, 0, True), (0, 0, True)]


def test_a_late_result_of_a_worker_declared_dead_is_dropped(book: Book) -> None:
    late, other = book.worker(), book.worker()
    (job,) = book.enter()
    book.claim(late)
    book.recover(late)
    book.claim(other)

    assert book.complete(late, book.done(job, follow=1)) == {job: "fenced"}
    assert book.complete(other, book.done(job, attempt=1, follow=1)) == {job: "applied"}
    assert book.counters()["b"] == {"open": 1}


def test_a_late_result_is_not_taken_for_one_sent_again_while_the_job_waits_for_its_next_worker(book: Book) -> None:
    late = book.worker()
    (job,) = book.enter()
    book.claim(late)
    book.recover(late)

    # `already` would have the worker go on with what follows, and that was never handed over.
    assert book.complete(late, book.done(job, follow=1)) == {job: "fenced"}
    assert "b" not in book.counters()


def test_a_late_part_of_a_stream_is_not_taken_for_one_sent_again_where_somebody_else_handed_it_over(book: Book) -> None:
    late, other = book.worker(), book.worker()
    (job,) = book.enter()
    book.claim(late)
    book.recover(late)
    book.claim(other)
    part = book.done(job, "chunk", attempt=1, follow=1, position=0, digest="one")
    assert book.complete(other, part) == {job: "applied"}

    assert book.complete(late, part._replace(attempt=0)) == {job: "fenced"}
    assert book.complete(other, part) == {job: "already"}


def test_recovery_leaves_what_is_not_ours(book: Book) -> None:
    theirs = book.one("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 d') RETURNING id")
    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id) VALUES ('q', 'theirs', 'doing', %s),"
        " ('q', 'theirs', 'doing', NULL)",
        theirs,
    )

    assert book.recover(theirs) == set()
    assert book.one("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == 2
    assert book.one("SELECT count(*) FROM procrastinate_workers") == 1


# -- the end of a run ------------------------------------------------------------------------------------------------


def test_a_run_ends_when_its_source_is_exhausted_and_nothing_is_open(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter(seal=False)
    book.claim(worker)
    book.complete(worker, book.done(job))
    assert book.one("SELECT oaflow.close_v1(%s)", book.run) is None

    book.enter(0, seal=True)

    assert book.one("SELECT oaflow.close_v1(%s)", book.run) == "finished"
    assert book.one("SELECT oaflow.close_v1(%s)", book.run) is None


def test_of_two_transactions_that_finish_together_one_ends_the_run(book: Book, database: str) -> None:
    first, second = book.worker(), book.worker()
    for _ in range(20):
        one, two = book.enter(2)
        book.claim(first, 1)
        book.claim(second, 1)
        book.sql("UPDATE oaflow.runs SET state = 'running'")
        gate = threading.Barrier(2)
        answers: list[Any] = []

        def finish(worker: int, job: int, gate: threading.Barrier = gate, answers: list[Any] = answers) -> None:
            with psycopg.connect(database) as connection:
                connection.execute(sql("complete"), completion_values(worker, worker % 64, [book.done(job)]))
                gate.wait(10)  # neither sees what the other did
                connection.commit()
                answers.append(connection.execute("SELECT oaflow.close_v1(%s)", (book.run,)).fetchone())

        threads = [threading.Thread(target=finish, args=pair) for pair in ((first, one), (second, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, answers)) == ["('finished',)", "(None,)"]


BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def wait_until(holds: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.01)


@pytest.mark.parametrize("what", ["join", "collect"])
def test_of_two_who_decide_at_once_one_fires_the_join_and_puts_together_what_waits(
    book: Book, database: str, what: str
) -> None:
    worker = book.worker()
    if what == "join":
        args = orjson.dumps(args_of("j", book.run)).decode()
        book.sql("INSERT INTO oaflow.joins VALUES (%s, 'j', '{a}', 'q', 't.j', 50, %s)", book.run, args)
    else:
        book.sql("INSERT INTO oaflow.collects VALUES (%s, 'c', 9, 60, '{a}', 'q', 't.c', 50)", book.run)
    (job,) = book.enter()
    book.claim(worker)
    waits = Successor("q", "t.c", "c", 50, orjson.dumps(args_of("c", book.run, "c-0")), '["k", ["c-0"]]')
    done = book.done(job)
    if what == "collect":
        done = done._replace(detail=b'{"handed": [["c", ["c-0"]]]}', successors=(waits,))
    assert book.complete(worker, done) == {job: "applied"}
    answers: list[Any] = []

    def decide() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            answers.append(connection.execute("SELECT oaflow.close_v1(%s)", (book.run,)).fetchone())

    with psycopg.connect(database) as first:
        (answer,) = first.execute("SELECT oaflow.close_v1(%s)", (book.run,)).fetchone() or (None,)
        second = threading.Thread(target=decide)
        second.start()
        wait_until(lambda: answers or book.one(BLOCKED))
        first.commit()
    second.join()

    assert (answer, answers) == ("joined" if what == "join" else "gathered", [(None,)])
    assert book.one("SELECT count(*) FROM procrastinate_jobs WHERE task_name <> 't.a'") == 1
    assert book.counters() == {"a": {"done": 1}, what[0]: {"open": 1}}


def test_the_history_has_a_join_after_all_that_it_waited_for(book: Book) -> None:
    args = orjson.dumps(args_of("j", book.run)).decode()
    book.sql("INSERT INTO oaflow.joins VALUES (%s, 'j', '{a}', 'q', 't.j', 50, %s)", book.run, args)
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)

    with psycopg.connect(book.uri) as decider:
        decider.execute("SELECT now()")  # its transaction begins before the job ends
        assert book.complete(worker, book.done(job)) == {job: "applied"}
        assert decider.execute("SELECT oaflow.close_v1(%s)", (book.run,)).fetchone() == ("joined",)

    ended, joined = (book.one("SELECT at FROM oaflow.hops WHERE outcome = %s", one) for one in ("done", "joined"))
    assert joined > ended


def test_a_join_fires_also_where_the_last_job_ends_while_it_is_looked_at(book: Book, database: str) -> None:
    args = orjson.dumps(args_of("j", book.run)).decode()
    book.sql("INSERT INTO oaflow.joins VALUES (%s, 'j', '{a}', 'q', 't.j', 50, %s)", book.run, args)
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    # The look at the joins, and after it a wait for the hand-over of the job.
    book.sql("ALTER FUNCTION oaflow.fire_v1(text) RENAME TO look_v1")
    book.sql(
        "CREATE FUNCTION oaflow.fire_v1(p_run text) RETURNS integer LANGUAGE plpgsql AS $$"
        " DECLARE n integer := oaflow.look_v1(p_run);"
        " BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN n; END $$"
    )
    answers: list[Any] = []

    def decide() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            answers.append(connection.execute("SELECT oaflow.close_v1(%s)", (book.run,)).fetchone())

    second = threading.Thread(target=decide)
    with psycopg.connect(database, autocommit=True) as beside, book.connection.transaction():
        book.sql("SELECT pg_advisory_xact_lock(7)")
        assert book.complete(worker, book.done(job)) == {job: "applied"}
        second.start()
        wait_until(lambda: answers or beside.execute(BLOCKED).fetchall() != [(0,)])
    second.join()

    assert answers == [("joined",)]
    assert book.one("SELECT state FROM oaflow.runs") == "running"
    assert book.counters() == {"a": {"done": 1}, "j": {"open": 1}}


def test_the_sweeper_ends_what_a_kill_left_open(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.complete(worker, book.done(job))  # and killed before it could ask

    assert book.sql("SELECT * FROM oaflow.sweep_v2(false)") == [(book.run, "finished")]


def test_rows_that_somebody_deletes_are_named_and_the_run_is_incomplete(book: Book) -> None:
    worker = book.worker()
    waits, runs, ends = book.enter(3)
    book.claim(worker)
    book.complete(worker, book.done(ends, follow=1), book.done(waits, "paused"))
    book.claim(worker)
    book.complete(worker, book.done(waits, "paused", attempt=1))
    (child,) = book.one("SELECT successors FROM oaflow.hops WHERE job = %s AND outcome = 'done'", ends)
    book.sql("DELETE FROM procrastinate_jobs WHERE id = ANY (%s)", [waits, runs, child])

    events = book.sql("SELECT * FROM oaflow.sweep_v2(true)")

    assert events == [(book.run, "vanished"), (book.run, "incomplete")]
    named = book.sql("SELECT job, stage, parent, documents FROM oaflow.hops WHERE outcome = 'vanished' ORDER BY job")
    assert named == [(waits, "a", None, ["a-0"]), (runs, "a", None, ["a-1"]), (child, "b", ends, ["b-0"])]
    assert book.counters() == {"a": {"done": 1, "vanished": 2}, "b": {"vanished": 1}}


def test_rows_of_jobs_that_ended_may_be_deleted(book: Book) -> None:
    worker = book.worker()
    book.enter(3)
    book.complete(worker, *(book.done(job) for job in book.claimed(worker, 2)))
    book.sql("DELETE FROM procrastinate_jobs WHERE status = 'succeeded'")

    assert book.sql("SELECT * FROM oaflow.sweep_v2(true)") == []
    assert book.one("SELECT oaflow.vanish_v1(%s)", book.run) == 0


def test_a_cancelled_run_takes_out_what_waits_and_lets_what_runs_end(book: Book) -> None:
    worker = book.worker()
    running, _ = book.enter(2)
    book.claim(worker, 1)

    assert book.one("SELECT oaflow.cancel_v1(%s, 'by me')", book.run) == 1

    assert book.state() == "cancelled"
    assert book.counters() == {"a": {"open": 1}}
    book.complete(worker, book.done(running, "cancelled"))
    assert book.counters() == {}


def test_what_comes_back_to_a_cancelled_run_is_taken_out_by_the_sweeper(book: Book) -> None:
    worker = book.worker()
    (running,) = book.enter()
    book.claim(worker)
    book.one("SELECT oaflow.cancel_v1(%s, 'by me')", book.run)
    book.recover(worker)

    book.sql("SELECT * FROM oaflow.sweep_v2(true)")

    assert book.job(running)[0] == "cancelled"
    assert book.counters() == {}


def test_what_is_handed_over_to_a_cancelled_run_is_taken_out_and_what_was_deleted_is_counted(book: Book) -> None:
    worker = book.worker()
    running, gone = book.enter(2)
    book.claim(worker)
    book.one("SELECT oaflow.cancel_v1(%s, 'by me')", book.run)
    book.complete(worker, book.done(running, follow=2))
    book.sql("DELETE FROM procrastinate_jobs WHERE id = %s", gone)

    assert book.sql("SELECT oaflow.cancel_rest_v1()") == [(book.run,)]

    assert book.counters() == {"a": {"done": 1, "vanished": 1}}
    assert book.state() == "cancelled"
    assert book.sql("SELECT oaflow.cancel_rest_v1()") == []


def test_a_new_round_sends_what_failed_again(book: Book) -> None:
    worker = book.worker()
    jobs = book.enter(3)
    book.claim(worker)
    book.complete(
        worker, *(book.done(job, "failed", detail={"documents": [f"d{job}"]}) for job in jobs[:2]), book.done(jobs[2])
    )
    assert book.one("SELECT oaflow.close_v1(%s)", book.run) == "finished"

    assert book.one("SELECT oaflow.reopen_v1(%s, %s)", book.run, [jobs[0]]) == 1

    assert book.state() == "running"
    assert book.counters() == {"a": {"open": 1, "failed": 1, "done": 1}}
    (again,) = book.claimed(worker)
    assert again not in jobs
    assert book.complete(worker, book.done(again, attempt=book.job(again)[1])) == {again: "applied"}
    assert book.one("SELECT oaflow.close_v1(%s)", book.run) == "finished"
    assert book.one("SELECT oaflow.reopen_v1(%s, %s)", book.run, [jobs[0]]) == 0


def test_history_needs_no_partition_of_the_day(book: Book) -> None:
    for (table,) in book.sql(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'oaflow.hops'::regclass"
    ):
        if not table.endswith("hops_default"):
            book.sql(f"DROP TABLE {table}")
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    book.complete(worker, book.done(job))

    tables = {table for (table,) in book.sql("SELECT tableoid::regclass::text FROM oaflow.hops")}
    assert {table.rpartition(".")[2] for table in tables} == {"hops_default"}


def test_counters_of_many_mixed_fates_equal_a_recount(book: Book) -> None:
    worker = book.worker()
    book.enter(60)
    fates = ["done", "failed", "retried", "diverted", "crashed", "paused", "cancelled"]
    for turn in range(8):
        rows = book.claim(worker, 40)
        items = [
            book.done(
                row.id,
                fate := "done" if turn == 7 else fates[(row.id + turn) % len(fates)],
                attempt=row.attempts,
                stage=row.task.removeprefix("t."),
                follow=int(fate == "diverted" or (fate == "done" and row.task == "t.a")),
            )
            for row in rows
        ]
        book.complete(worker, *items)
        book.complete(worker, *items)

        assert counters(book.connection, book.run) == recount(book.connection, book.run)


# -- what it costs on a full table ------------------------------------------------------------------------------------


@pytest.fixture
def crowded(book: Book) -> Book:
    """
    1,000 rows that are doing, as many dead ones of before, 20,000 of another queue, and 20,000 of a paused run on the
    same queues and tasks, some of them given back: all of a higher priority than what there is to claim.
    """
    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args)"
        " SELECT 'others', 'their.task', 90, '{}' FROM generate_series(1, 20000)"
    )
    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, scheduled_at)"
        " SELECT 'q', CASE n %% 2 WHEN 0 THEN 't.a' ELSE 't.b' END, 80, %s, CASE WHEN n %% 10 = 0 THEN now() END"
        "   FROM generate_series(1, 20000) n",
        orjson.dumps(args_of("a", "ledger-paused")).decode(),
    )
    worker = book.worker()
    for _ in range(2):
        jobs = book.enter(1000)
        for _ in range(10):
            book.claim(worker, 100)
        if len(book.sql("SELECT 1 FROM procrastinate_jobs WHERE status = 'doing'")) == 1000:
            book.complete(worker, *(book.done(job) for job in jobs))
    book.enter(200)
    book.sql("ANALYZE procrastinate_jobs")
    return book


def plans_of(book: Book, act: Any) -> list[str]:
    """
    The plans of all statements inside the functions that an act calls.
    """
    heard: list[str] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        heard.append(str(notice.message_primary))

    book.sql("LOAD 'auto_explain'")
    book.sql("SET auto_explain.log_min_duration = 0")
    book.sql("SET auto_explain.log_nested_statements = on")
    book.sql("SET auto_explain.log_level = notice")
    book.sql("SET auto_explain.log_analyze = on")
    book.connection.add_notice_handler(hear)
    act()
    book.sql("SET auto_explain.log_min_duration = -1")
    return [text for text in heard if "procrastinate_jobs j" in text]


# Rows of the jobs themselves, by their priority or by anything else; what was picked is sorted under another name.
SORTED = re.compile(r"Sort Key: [(\- ]*j(_\d+)?\.")


def test_claims_and_completions_go_by_their_indexes_on_a_full_table(crowded: Book) -> None:
    worker = crowded.worker()
    ends = {"short": ["done"], "long": ["done", "failed", "retried", "paused", "cancelled"]}
    for way, outcomes in ends.items():
        if way == "long":
            take_the_long_way(crowded)
        for _ in range(6):  # past the custom plans of a connection, to the generic one
            claimed: list[Claimed] = []
            (fetch,) = plans_of(crowded, lambda claimed=claimed: claimed.extend(crowded.claim(worker, 10)))
            group = [
                crowded.done(row.id, outcome, attempt=row.attempts, delay=60.0, follow=int(outcome == "done"))
                for row, outcome in zip(claimed, itertools.cycle(outcomes), strict=False)
            ]
            (complete,) = plans_of(crowded, lambda group=group: crowded.complete(worker, *group))
            assert len(claimed) == 10

            by_indexes(fetch, "oaflow_run_ready", "oaflow_run_due")
            by_indexes(complete, "procrastinate_jobs_pkey")
            assert "Rows Removed by Filter" not in fetch, "other runs' backlog is walked over"
            assert not SORTED.search(fetch), "all that waits is read and sorted"


def by_indexes(plan: str, *indexes: str) -> None:
    for index in indexes:
        assert index in plan
    assert "Seq Scan on procrastinate_jobs" not in plan, plan
    assert "procrastinate_jobs_lock_idx" not in plan, plan


def test_so_do_claims_under_a_limit_and_what_comes_back(crowded: Book) -> None:
    worker = crowded.worker()
    limit(crowded.connection, "q", "t.a", 1000, None)
    values = {
        "worker": worker,
        "queue": "q",
        "task": "t.a",
        "runs": [crowded.run],
        "most": 5,
        "late": 0.25,
        "look": 0.2,
    }
    beat = "SELECT reclaimed, suspects FROM oaflow.heartbeat_v1(%s, %s, %s)"
    for _ in range(6):
        leases, claim = plans_of(
            crowded, lambda: crowded.connection.execute(sql("claim_lane"), values | {"after": None})
        )
        mine = [id for (id,) in crowded.sql("SELECT id FROM procrastinate_jobs WHERE worker_id = %s", worker)]
        assert len(mine) == 5
        by_indexes(leases)
        by_indexes(claim, "oaflow_run_ready", "oaflow_run_due")
        assert "Rows Removed by Filter" not in claim, "other runs' backlog is walked over"
        assert not SORTED.search(claim), "all that waits is read and sorted"
        (back,) = plans_of(crowded, lambda mine=mine: crowded.sql("SELECT oaflow.release_v1(%s, %s)", worker, mine[:2]))
        by_indexes(back, "procrastinate_jobs_pkey")
        lost, suspects = plans_of(crowded, lambda mine=mine: crowded.sql(beat, worker, [], mine[2:]))
        by_indexes(lost)
        assert "Seq Scan on procrastinate_jobs" not in suspects  # of what runs, once in a beat: by any index on that


def rows_read(book: Book, act: Any) -> int:
    # What earlier transactions read may not have been passed on yet, and counts as this one's.
    count = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables"
    with book.connection.transaction():
        before = book.one(count)
        act()
        return book.one(count) - before


def blocks_read(book: Book, act: Any) -> int:
    """
    Of tables and indexes: entries of an index that a condition passes by are no rows.
    """
    count = "SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int FROM pg_statio_user_tables"
    count += " WHERE relname LIKE 'procrastinate%%'"

    def so_far() -> int:
        book.sql("SELECT pg_stat_force_next_flush()")
        return book.one(count)

    before = so_far()
    act()
    return so_far() - before


def test_a_connection_keeps_no_plan_that_is_good_for_small_tables_only(book: Book) -> None:
    worker = book.worker()

    def turn() -> None:
        ((job, attempt),) = [(row.id, row.attempts) for row in book.claim(worker, 1)]
        book.complete(worker, book.done(job, attempt=attempt, follow=1))

    # Statistics would make plans anew; a run of a minute has none.
    book.sql("ALTER TABLE procrastinate_jobs SET (autovacuum_enabled = off)")
    book.enter(20)
    for _ in range(8):  # past the custom plans of a connection, to the generic one
        turn()
    young = rows_read(book, turn)
    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status)"
        " SELECT 'q', 't.a', 50, %s, 'succeeded' FROM generate_series(1, 20000)",
        orjson.dumps(args_of("a", book.run)).decode(),
    )
    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args)"
        " SELECT 'others', 'their.task', 90, '{}' FROM generate_series(1, 20000)"
    )

    assert rows_read(book, turn) <= young + 10


def test_nothing_that_a_worker_sends_again_and_again_reads_what_has_ended(book: Book) -> None:
    worker = book.worker()
    limit(book.connection, "q", "t.limited", 1000, None)
    book.enter(100)
    book.enter(50, stage="limited")
    lane = {"worker": worker, "queue": "q", "task": "t.limited", "runs": [book.run], "most": 1, "after": None}

    def send(name: str, **values: Any) -> None:
        book.connection.execute(sql(name), values).fetchall()

    def turn(outcome: str, **more: Any) -> None:
        ((job, attempt),) = [(row.id, row.attempts) for row in book.claim(worker, 1)]
        assert book.complete(worker, book.done(job, outcome, attempt=attempt, **more)) == {job: "applied"}

    sent: dict[str, Callable[[], object]] = {
        "done": lambda: turn("done", follow=1),
        "retried": lambda: turn("retried", delay=60.0),
        "failed": lambda: turn("failed", detail={"error": {"type": "E"}}),
        "a part of a stream": lambda: turn("chunk", position=0, digest="1:x", follow=1),
        "a claim under a limit": lambda: send("claim_lane", **lane, late=0.25, look=0.2),
        "a beat": lambda: book.sql("SELECT * FROM oaflow.heartbeat_v1(%s, '{}', '{}')", worker),
        "recovery": book.recover,
        "what is due in a run": lambda: send("close_quiet", runs=[book.run]),
        "open runs": lambda: send("open_runs"),
        "limits": lambda: send("limited"),
    }
    for act in [*sent.values()] * 6:  # past the custom plans of a connection
        act()
    before = {name: rows_read(book, act) for name, act in sent.items()}

    book.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status)"
        " SELECT 'q', CASE n %% 2 WHEN 0 THEN 't.a' ELSE 't.limited' END, 90, %s, 'succeeded'"
        "   FROM generate_series(1, 20000) n",
        orjson.dumps(args_of("a", book.run)).decode(),
    )
    book.sql(
        "INSERT INTO oaflow.hops (run, stage, job, attempt, outcome, version, documents, successors)"
        " SELECT %s, 'a', id, 0, 'done', '', ARRAY['d'], ARRAY[id] FROM procrastinate_jobs WHERE status = 'succeeded'",
        book.run,
    )
    book.sql(
        "INSERT INTO oaflow.documents (run, document, name, kind)"
        " SELECT %s, n::text, 'x', 'found' FROM generate_series(1, 20000) n",
        book.run,
    )
    book.sql(
        "INSERT INTO oaflow.failures (run, stage, job, type, message)"
        " SELECT %s, 'a', -n, 'E', 'x' FROM generate_series(1, 20000) n",
        book.run,
    )
    book.sql(
        "INSERT INTO oaflow.runs (id, pipeline, plan, dataset, state)"
        " SELECT 'ended-' || n, 'ledger', 'd', 'x', 'finished' FROM generate_series(1, 2000) n"
    )

    for name, act in sent.items():
        # A few more of what is in hand: each turn before left one.
        assert rows_read(book, act) <= before[name] + 10, name
    for table in ("hops", "counters"):  # so that the recount at the end has nothing to compare
        book.sql(f"DELETE FROM oaflow.{table}")
    book.sql("DELETE FROM procrastinate_jobs")


def test_a_sweep_reads_no_run_that_has_ended(book: Book) -> None:
    book.enter(5)

    def look() -> None:
        assert book.sql("SELECT * FROM oaflow.sweep_v2(true)") == []

    for _ in range(8):  # past the custom plans of a connection
        look()
    before = rows_read(book, look)
    book.sql(
        "INSERT INTO oaflow.runs (id, pipeline, plan, dataset, state, sealed, finished_at)"
        " SELECT 'ended-' || n, 'ledger', 'd', 'x', CASE n % 2 WHEN 0 THEN 'finished' ELSE 'cancelled' END, true,"
        "        now() - interval '2 days' FROM generate_series(1, 5000) n"
    )
    book.sql("ANALYZE oaflow.runs")  # as autovacuum does where a table has grown

    assert rows_read(book, look) <= before + 10


@pytest.mark.parametrize("what", ["scheduled_at", "lock"])
def test_a_claim_passes_by_what_is_scheduled_for_later_and_what_waits_for_a_lock(book: Book, what: str) -> None:
    worker = book.worker()
    book.enter(60)

    def claim() -> None:
        assert len(book.claim(worker, 5)) == 5

    for _ in range(6):  # past the custom plans of a connection
        claim()
    before = blocks_read(book, claim)
    value = {"scheduled_at": "now() + interval '1 h'", "lock": "'lock-' || n % 200"}[what].replace("%", "%%")
    book.sql(
        f"INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, {what})"
        f" SELECT 'q', 't.a', 90, %s, {value} FROM generate_series(1, 20000) n",
        orjson.dumps(args_of("a", book.run)).decode(),
    )

    assert blocks_read(book, claim) < before + 100  # 20 more, as its indexes are deeper; 2,300 without these
    book.sql(f"DELETE FROM procrastinate_jobs WHERE {what} IS NOT NULL")


def test_the_sweeper_goes_through_parts_of_streams_from_job_to_job(book: Book) -> None:
    worker = book.worker()
    gone, failed, goes_on = book.enter(3)
    book.claim(worker)
    book.complete(worker, book.done(gone), book.done(failed, outcome="failed", detail={"error": {"type": "E"}}))
    book.sql(
        "INSERT INTO oaflow.chunks (job, position, digest, size)"
        " SELECT job, position, '', 1 FROM unnest(%s::bigint[]) AS job, generate_series(1, 3) AS position",
        [gone, failed],
    )
    book.sql("INSERT INTO oaflow.chunks SELECT %s, n, '', 1 FROM generate_series(1, 5000) AS n", goes_on)

    read = rows_read(book, lambda: book.sql("SELECT oaflow.sweep_chunks_v1()"))

    assert book.sql("SELECT job, count(*) FROM oaflow.chunks GROUP BY 1 ORDER BY 1") == [(failed, 3), (goes_on, 5000)]
    assert read < 50


def test_the_sweeper_goes_through_what_is_put_together_from_job_to_job_and_past_what_waits(book: Book) -> None:
    worker = book.worker()
    gone, goes_on = book.enter(2)
    book.claim(worker)
    book.complete(worker, book.done(gone))
    members = (
        "INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args, job)"
        " SELECT nextval('procrastinate_jobs_id_seq'), %s, 'b', 'k', 1, '[]', '{}', %s FROM generate_series(1, %s)"
    )
    for job, number in ((gone, 3), (goes_on, 3000), (None, 3000)):
        book.sql(members, book.run, job, number)

    read = rows_read(book, lambda: book.sql("SELECT oaflow.sweep_collected_v1()"))

    left = book.sql("SELECT job, count(*) FROM oaflow.collected GROUP BY 1 ORDER BY 1")
    assert left == [(goes_on, 3000), (None, 3000)]
    assert read < 50
    assert book.sql("SELECT * FROM oaflow.sweep_v2(true)") == []  # which calls it
    book.complete(worker, book.done(goes_on))
    book.sql("UPDATE oaflow.runs SET state = 'running'")
    book.sql("SELECT * FROM oaflow.sweep_v2(true)")
    assert book.one("SELECT count(*) FROM oaflow.collected WHERE job IS NOT NULL") == 0
    book.sql("DELETE FROM oaflow.collected")  # no hand-over has counted it


def test_without_our_indexes_claims_and_completions_are_slower_and_right(crowded: Book) -> None:
    crowded.sql("DROP INDEX oaflow_run_ready, oaflow_run_due")
    worker = crowded.worker()

    claimed = crowded.claimed(worker, 50)
    answers = crowded.complete(worker, *(crowded.done(job, follow=1) for job in claimed))

    assert len(claimed) == 50
    assert set(answers.values()) == {"applied"}


def test_a_successor_with_an_id_is_claimed_already_and_is_inserted_once(book: Book) -> None:
    worker = book.worker()
    (parent,) = book.enter(1)
    book.claim(worker)
    (id,) = book.sql("SELECT nextval('procrastinate_jobs_id_seq')")[0]
    done = book.done(parent, follow=2)
    continued, queued = done.successors
    done = done._replace(successors=(continued._replace(id=id), queued))

    assert book.complete(worker, done) == {parent: "applied"}
    assert book.complete(worker, done) == {parent: "already"}  # as after a lost answer

    assert book.job(id) == ("doing", 0, worker)
    (other,) = [job.id for job in book.claim(worker)]  # the one that is continued is nobody else's to claim
    assert book.one("SELECT successors FROM oaflow.hops WHERE job = %s", parent) == [id, other]
    assert book.complete(worker, book.done(id, stage="b"), book.done(other, stage="b")) == {
        id: "applied",
        other: "applied",
    }
    assert book.counters() == {"a": {"done": 1}, "b": {"done": 2}}


def test_nobody_is_notified_of_a_continued_job(book: Book, database: str) -> None:
    worker = book.worker()
    first, second = book.enter(2)
    book.claim(worker)
    (id,) = book.sql("SELECT nextval('procrastinate_jobs_id_seq')")[0]
    continues, queues = book.done(first, follow=1), book.done(second, follow=1)
    continues = continues._replace(successors=(continues.successors[0]._replace(id=id),))
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("LISTEN procrastinate_any_queue_v1")

        assert book.complete(worker, continues) == {first: "applied"}
        assert book.complete(worker, queues) == {second: "applied"}

        # In the order in which these were committed.
        heard = next(listener.notifies(timeout=30))
    (queued,) = book.one("SELECT successors FROM oaflow.hops WHERE job = %s", second)
    assert orjson.loads(heard.payload)["job_id"] == queued


def test_a_continued_job_of_a_worker_that_is_gone_comes_back(book: Book) -> None:
    worker = book.worker()
    (parent,) = book.enter(1)
    book.claim(worker)
    (id,) = book.sql("SELECT nextval('procrastinate_jobs_id_seq')")[0]
    done = book.done(parent, follow=1)
    book.complete(worker, done._replace(successors=(done.successors[0]._replace(id=id),)))

    assert book.recover(worker) == {id}

    assert book.job(id) == ("todo", 1, None)
