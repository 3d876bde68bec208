"""
Statements that are sent until they are answered: what a slow server, a lost answer and a cut line do to one.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oaflow.ledger.handover import complete
from oaflow.ledger.rows import Completion
from oaflow.ledger.wire import Pool, Wire, autocommit, lean_pool
from tests.integration.handovers import Book

HANG = 60.0  # a hang guard, several times what is expected
LIMIT = 0.3  # after which the wire asks


class Line:
    """
    Between a pool and its server: can withhold what the server says, and hang up without telling the server.
    """

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.accepted = 0
        self.asked = 0  # how often somebody said something, and waited for an answer
        self._clients: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def to(self, uri: str) -> AsyncIterator[str]:
        """
        The address of this end.
        """
        known = conninfo_to_dict(uri)
        name = f".s.PGSQL.{known.get('port', 5432)}"

        async def connected(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
            self.accepted += 1
            self._clients.append(answers)
            server, questions = await asyncio.open_unix_connection(str(Path(str(known["host"])) / name))
            with suppress(ConnectionError):
                await asyncio.gather(self._ask(client, questions), self._pass(server, answers, self.open))

        with tempfile.TemporaryDirectory(prefix="oaflow-line-") as folder:
            listening = await asyncio.start_unix_server(connected, Path(folder) / name)
            try:
                yield make_conninfo(uri, host=folder)
            finally:
                listening.close()

    async def _ask(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 20):
            self.asked += 1
            target.write(data)
            await target.drain()

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, may: asyncio.Event | None = None
    ) -> None:
        while data := await source.read(65536):
            if may is not None:
                await may.wait()
            target.write(data)
            await target.drain()

    def hang_up(self) -> None:
        """
        Cut the clients off. The server is not told.
        """
        for client in self._clients:
            client.transport.abort()


class Sending:
    """
    A hand-over on a wire: how often it was sent, and what the server has of it.
    """

    def __init__(self, book: Book, pool: Pool) -> None:
        self.book, self.wire, self.sent, self.pid = book, Wire(lambda: pool, timeout=LIMIT), 0, 0
        self.worker = book.worker()
        (self.job,) = book.enter()
        book.claim(self.worker)

    def begin(self) -> asyncio.Task[dict[int, str]]:
        item = self.book.done(self.job, follow=3)
        return asyncio.create_task(self.wire.send("complete", self._complete, item))

    async def _complete(self, connection: Any, item: Completion) -> dict[int, str]:
        self.sent += 1
        self.pid = connection.info.backend_pid
        return await complete(connection, self.worker, 0, [item])

    def at_it(self, seconds: float = 0.0) -> list[int]:
        """
        The sessions of the server that have been at the hand-over for so long.
        """
        return [
            pid
            for (pid,) in self.book.sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%%complete_v1%%'"
                " AND pid <> pg_backend_pid() AND state = 'active'"
                " AND query_start < clock_timestamp() - make_interval(secs => %s)",
                seconds,
            )
        ]

    def hops(self) -> int:
        return self.book.one("SELECT count(*) FROM oaflow.hops WHERE job = %s", self.job)

    def was_done_once(self) -> bool:
        return (
            self.hops() == 1
            and self.book.counters() == {"a": {"done": 1}, "b": {"open": 3}}
            and self.book.one("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 't.b'") == 3
        )


async def until(holds: Callable[[], Any]) -> None:
    while not holds():
        await asyncio.sleep(0.02)


Scene = Callable[[Callable[[Line, Sending], Awaitable[None]]], None]


@pytest.fixture
def scene(database: str) -> Iterator[Scene]:
    book = Book(database)

    async def played(act: Callable[[Line, Sending], Awaitable[None]]) -> None:
        async with asyncio.timeout(HANG), AsyncExitStack() as stack:
            line = Line()
            address = await stack.enter_async_context(line.to(database))
            pool = lean_pool(conninfo=address, min_size=1, max_size=2, configure=autocommit, open=False)
            await stack.enter_async_context(pool)
            await pool.wait()
            await act(line, Sending(book, pool))

    yield lambda act: asyncio.run(played(act))
    book.connection.close()


@pytest.fixture
def locked(database: str) -> Iterator[psycopg.Connection[Any]]:
    """
    Somebody who holds every job's row until the block is left or the connection is committed.
    """
    with psycopg.connect(database) as made:
        yield made


def hold(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT FROM procrastinate_jobs FOR UPDATE")


def test_a_statement_is_one_round_trip(scene: Scene) -> None:
    async def act(line: Line, sending: Sending) -> None:
        before = line.asked

        assert await sending.begin() == {sending.job: "applied"}

        assert line.asked == before + 1

    scene(act)


def test_a_hand_over_that_the_server_is_at_is_waited_for_however_long_it_takes(
    scene: Scene, locked: psycopg.Connection[Any]
) -> None:
    async def act(line: Line, sending: Sending) -> None:
        hold(locked)
        answer = sending.begin()
        await until(lambda: sending.at_it(5 * LIMIT))
        assert len(sending.at_it()) == 1
        locked.commit()

        assert await answer == {sending.job: "applied"}
        assert sending.sent == 1
        assert sending.was_done_once()

    scene(act)


def test_an_answer_that_is_lost_is_asked_for_again(scene: Scene) -> None:
    async def act(line: Line, sending: Sending) -> None:
        line.open.clear()
        answer = sending.begin()
        await until(sending.hops)
        before = line.accepted
        await until(lambda: line.accepted > before)  # somebody tries to ask, and is not answered either
        line.open.set()
        line.hang_up()

        assert await answer == {sending.job: "already"}
        assert sending.was_done_once()

    scene(act)


def test_a_session_that_was_cut_off_at_its_work_is_ended_before_the_statement_is_sent_again(
    scene: Scene, locked: psycopg.Connection[Any]
) -> None:
    async def act(line: Line, sending: Sending) -> None:
        hold(locked)
        answer = sending.begin()
        await until(lambda: sending.at_it(2.0))  # clocks are trusted within a second
        left = sending.pid
        line.hang_up()
        await until(lambda: sending.pid != left and sending.at_it())

        assert sending.at_it() == [sending.pid]
        locked.commit()
        assert await answer == {sending.job: "applied"}
        assert sending.was_done_once()

    scene(act)


def test_a_session_that_stands_still_is_left_behind_and_does_nothing_when_it_goes_on(scene: Scene) -> None:
    async def act(line: Line, sending: Sending) -> None:
        ((stopped,),) = sending.book.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert await sending.begin() == {sending.job: "applied"}
            assert sending.pid != stopped
        finally:
            os.kill(stopped, signal.SIGCONT)
        await until(lambda: not sending.book.sql("SELECT FROM pg_stat_activity WHERE pid = %s", stopped))

        assert sending.was_done_once()

    scene(act)
