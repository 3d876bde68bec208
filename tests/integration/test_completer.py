"""
Completions go to a real database in groups.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias

import orjson
import pytest

from oaflow.ledger.rows import Successor
from oaflow.ledger.wire import Wire, autocommit, lean_pool
from oaflow.runtime.completer import BUSY, ENOUGH, GROUP, Completer
from tests.integration.handovers import Book

HANG = 60.0

Answers: TypeAlias = "asyncio.Queue[tuple[int, str]]"


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    made = Book(database)
    yield made
    made.connection.close()


async def sending(
    book: Book, worker: int, act: Callable[[Completer, Answers], Awaitable[None]], **options: Any
) -> None:
    """
    Let an act put completions into a completer, of one channel where nothing else is said, and read what becomes of
    them.
    """
    answers: Answers = asyncio.Queue()
    async with lean_pool(conninfo=book.uri, min_size=1, configure=autocommit, open=False) as pool:
        wire = Wire(lambda: pool)
        wire.worker = worker
        completer = Completer(
            wire,
            lambda item, answer: answers.put_nowait((item.job, answer)),
            **{"channels": 1} | options,
        )
        completer.start()
        async with asyncio.timeout(HANG):
            await act(completer, answers)
        completer.stop()


async def keep_busy(book: Book, completer: Completer, answers: Answers, jobs: Sequence[int]) -> None:
    """
    Hand over so many jobs that their channel is busy afterwards.
    """
    for job in jobs:
        completer.put(book.done(job))
    assert [await answers.get() for _ in jobs] == [(job, "applied") for job in jobs]


def test_what_a_busy_channel_gets_soon_after_a_statement_goes_out_together_with_what_follows(book: Book) -> None:
    worker = book.worker()
    *first, second, third = book.enter(BUSY + 2)
    book.claim(worker)

    async def act(completer: Completer, answers: Answers) -> None:
        await keep_busy(book, completer, answers, first)
        completer.put(book.done(second))
        await asyncio.sleep(0.1)  # in which it would go alone
        completer.put(book.done(third))
        assert [await answers.get(), await answers.get()] == [(second, "applied"), (third, "applied")]

    asyncio.run(sending(book, worker, act, pause=1.0))

    assert groups(book) == [first, [second, third]]


def test_a_busy_channel_waits_for_longer_until_an_answer_is_awaited(book: Book) -> None:
    worker = book.worker()
    *first, second, third = book.enter(BUSY + 2)
    book.claim(worker)

    async def act(completer: Completer, answers: Answers) -> None:
        await keep_busy(book, completer, answers, first)
        completer.put(book.done(second))
        await asyncio.sleep(0.2)  # in which it would go alone
        completer.put(book.done(third))
        assert [await answers.get(), await answers.get()] == [(second, "applied"), (third, "applied")]

    awaited = third.__eq__
    asyncio.run(sending(book, worker, act, awaited=lambda item: awaited(item.job), long_pause=10 * HANG))

    assert groups(book) == [first, [second, third]]


def test_an_answer_that_is_awaited_comes_after_the_short_pause(book: Book) -> None:
    worker = book.worker()
    *first, last = book.enter(BUSY + 1)
    book.claim(worker)

    async def act(completer: Completer, answers: Answers) -> None:
        await keep_busy(book, completer, answers, first)
        completer.put(book.done(last))  # the channel rests
        assert await answers.get() == (last, "applied")

    asyncio.run(sending(book, worker, act, pause=0.2, long_pause=10 * HANG))


def test_a_busy_channel_waits_no_longer_than_until_a_group_is_full(book: Book) -> None:
    worker = book.worker()
    jobs = book.enter(BUSY + GROUP)
    book.claim(worker, BUSY + GROUP)

    async def act(completer: Completer, answers: Answers) -> None:
        for part in (jobs[:BUSY], jobs[BUSY:]):
            for number, job in enumerate(part):
                completer.put(book.done(job))
                if number == GROUP // 2:
                    await asyncio.sleep(0.1)  # the channel rests by now
            assert [await answers.get() for _ in part] == [(job, "applied") for job in part]

    asyncio.run(sending(book, worker, act, pause=10 * HANG))

    assert groups(book) == [jobs[:BUSY], jobs[BUSY:]]


def test_a_channel_with_little_to_do_sends_at_once(book: Book) -> None:
    worker = book.worker()
    jobs = book.enter(BUSY - 1)
    book.claim(worker)

    async def act(completer: Completer, answers: Answers) -> None:
        for job in jobs:
            completer.put(book.done(job))
            assert await answers.get() == (job, "applied")

    asyncio.run(sending(book, worker, act, pause=10 * HANG))

    assert groups(book) == [[job] for job in jobs]


def test_the_parts_of_a_stream_wait_for_nothing_but_each_other(book: Book) -> None:
    worker = book.worker()
    (job,) = book.enter()
    book.claim(worker)
    parts = [book.done(job, "chunk", follow=1, position=number, digest="1:x") for number in range(BUSY + 2)]

    async def act(completer: Completer, answers: Answers) -> None:
        for part in [*parts, book.done(job)]:
            completer.put(part)
        assert [await answers.get() for _ in [*parts, job]] == [(job, "applied")] * (len(parts) + 1)

    asyncio.run(sending(book, worker, act, pause=10 * HANG))


def test_a_second_channel_is_used_where_there_is_enough_for_it(book: Book) -> None:
    worker = book.worker()
    few, many = book.enter(BUSY), book.enter(2 * ENOUGH)
    book.claim(worker, BUSY + 2 * ENOUGH)

    async def act(completer: Completer, answers: Answers) -> None:
        for part in (few, many):
            for job in part:
                completer.put(book.done(job))
            assert sorted([await answers.get() for _ in part]) == [(job, "applied") for job in part]

    asyncio.run(sending(book, worker, act, channels=2, pause=0.1))

    assert groups(book) == [few, many[:ENOUGH], many[ENOUGH:]]


@pytest.mark.parametrize("among", [0, 2 * ENOUGH])
def test_the_parts_of_a_job_and_its_end_keep_their_order_whatever_waits_beside_them(book: Book, among: int) -> None:
    worker = book.worker()
    jobs = book.enter(2 + among)
    book.claim(worker, 2 + among)
    # One whose parts do not go through the channel that all else begins with.
    stream = next(job for job in jobs if job % 2)
    rest = [job for job in jobs if job != stream]
    parts = [book.done(stream, "chunk", follow=1, position=0, digest="1:x"), book.done(stream)]

    async def act(completer: Completer, answers: Answers) -> None:
        completer.put(parts[0])
        for job in rest:
            completer.put(book.done(job))
        completer.put(parts[1])
        told = [await answers.get() for _ in [*rest, *parts]]
        assert {answer for _, answer in told} == {"applied"}

    asyncio.run(sending(book, worker, act, channels=2))

    outcomes = book.sql("SELECT outcome FROM oaflow.hops WHERE job = %s ORDER BY at", stream)
    assert outcomes == [("chunk",), ("done",)]


def groups(book: Book) -> list[list[int]]:
    """
    The jobs whose ends were one statement, in the order of the statements.
    """
    rows = book.sql(
        "SELECT array_agg(job ORDER BY job) FROM oaflow.hops WHERE job IS NOT NULL GROUP BY xmin::text ORDER BY 1"
    )
    return [jobs for (jobs,) in rows]


def test_one_that_postgres_refuses_fails_alone_and_with_the_reason(book: Book) -> None:
    worker = book.worker()
    first, second, third = book.enter(3)
    book.claim(worker)

    async def act(completer: Completer, answers: Answers) -> None:
        completer.put(book.done(first))
        poison = Successor("q", "t.b", "b", 50, orjson.dumps({"payload": {"context": {"a": "\x00"}}}))
        completer.put(book.done(second)._replace(successors=(poison,)))
        completer.put(book.done(third))
        told = sorted([await answers.get() for _ in range(3)])
        assert told == [(first, "applied"), (second, "refused"), (third, "applied")]

    asyncio.run(sending(book, worker, act))

    assert [book.job(job)[0] for job in (first, second, third)] == ["succeeded", "failed", "succeeded"]
    ((job, kind, message),) = book.sql("SELECT job, type, message FROM oaflow.failures")
    assert (job, kind) == (second, "Refused")
    assert "the database refused what stage 'a' returned" in message
    assert book.counters() == {"a": {"done": 2, "failed": 1}}
