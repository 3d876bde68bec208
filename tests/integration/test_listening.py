"""
How a worker listens: what is heard, what becomes of a lost connection, and what procrastinate's Worker is told.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

import psycopg
import pytest

from oaflow.ledger import listening
from oaflow.ledger.listening import Notice, listen
from oaflow.runtime.manager import FlowJobManager

ANY = "procrastinate_any_queue_v1"
BUILTIN = "builtin:procrastinate.builtin_tasks.remove"


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def beside(listening: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(listening)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def listeners(connection: psycopg.Connection[Any], channel: str) -> list[int]:
    """
    The sessions that wait for notifications, of this channel last of all.
    """
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND query = %s",
        [f'LISTEN "{channel}"'],
    ).fetchall()
    return [pid for (pid,) in rows]


@contextlib.asynccontextmanager
async def listened(
    database: str, heard: "Heard", *channels: str, address: Callable[[], str] | None = None
) -> AsyncIterator[psycopg.Connection[Any]]:
    """
    While `heard` listens: a connection beside it.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        async with beside(listen(address or (lambda: database), channels, heard, heard.miss)):
            await until(lambda: listeners(connection, channels[-1]))
            yield connection


def inserted(connection: psycopg.Connection[Any], *jobs: int) -> None:
    """
    Notify as procrastinate does of jobs, in one transaction.
    """
    with connection.transaction():
        for job in jobs:
            connection.execute("SELECT pg_notify(%s, %s)", [ANY, json.dumps({"type": "job_inserted", "job_id": job})])


class Heard:
    """
    What was heard, by group, and how often something was missed.
    """

    def __init__(self) -> None:
        self.groups: list[list[Notice]] = []
        self.missed = 0

    async def __call__(self, group: Sequence[Notice]) -> None:
        self.groups.append(list(group))

    def miss(self) -> None:
        self.missed += 1

    @property
    def payloads(self) -> list[str]:
        return [notice.payload for group in self.groups for notice in group]


def test_all_is_heard_in_order_and_in_few_groups(database: str) -> None:
    heard = Heard()
    wanted = [str(number) for number in range(20_000)]

    async def main() -> None:
        async with listened(database, heard, "one", "Other") as connection:
            await asyncio.to_thread(
                connection.execute, "SELECT pg_notify('one', n::text) FROM generate_series(0, 19999) n"
            )
            connection.execute("SELECT pg_notify('third', 'is not listened to')")
            connection.execute("""SELECT pg_notify('Other', 'the "last"')""")
            await until(lambda: heard.groups and heard.groups[-1][-1].channel == "Other")

    asyncio.run(main())

    assert heard.payloads == [*wanted, 'the "last"']
    # Each costs a turn of the loop: one for each of them would be a timer for each, as in procrastinate's own loop.
    assert len(heard.groups) < len(wanted) / 20
    assert heard.missed == 0


def test_a_lost_connection_is_made_again_and_says_that_something_was_missed(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "SHORTEST_DELAY", 0.05)
    heard = Heard()

    async def main() -> None:
        async with listened(database, heard, "one") as connection:
            [pid] = listeners(connection, "one")
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
            await until(lambda: heard.missed == 2)  # that it was lost, and that it listens again
            connection.execute("SELECT pg_notify('one', 'again')")
            await until(lambda: heard.groups)

    asyncio.run(main())

    assert heard.payloads == ["again"]


def test_a_database_that_is_not_there_is_asked_until_it_is(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "SHORTEST_DELAY", 0.01)
    heard = Heard()
    addresses = iter(["host=/nowhere", "host=/nowhere"])

    async def main() -> None:
        async with listened(database, heard, "one", address=lambda: next(addresses, database)):
            await until(lambda: heard.missed == 3)  # two attempts, and that it listens

    asyncio.run(main())


def test_what_is_notified_while_the_next_channel_is_not_listened_to_yet_is_heard(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()

    async def main() -> None:
        plain = psycopg.AsyncConnection.execute

        async def execute(self: psycopg.AsyncConnection[Any], query: Any, *more: Any, **how: Any) -> Any:
            if "two" in repr(query):
                with psycopg.connect(database, autocommit=True) as other:
                    other.execute("SELECT pg_notify('one', 'early')")
            return await plain(self, query, *more, **how)

        monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute)
        async with listened(database, heard, "one", "two"):
            await until(lambda: heard.payloads == ["early"])

    asyncio.run(main())


def test_a_connection_that_falls_silent_is_checked_and_one_without_an_answer_is_given_up(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()

    async def main() -> None:
        async with listened(database, heard, "one") as connection:
            # From the first notification on, as until then it waits for the former time.
            monkeypatch.setattr(listening, "CHECK_SECONDS", 0.01)
            monkeypatch.setattr(listening, "CHECK", "SELECT pg_sleep(0.02)")
            for number in range(40):  # some arrive while the check is answered, and are heard as well
                connection.execute("SELECT pg_notify('one', %s)", [str(number)])
                await asyncio.sleep(0.02)
            await until(lambda: len(heard.payloads) == 40)
            assert heard.missed == 0
            # A check that is not answered: the server sleeps, as far as anybody can tell.
            monkeypatch.setattr(listening, "ANSWER_SECONDS", 1.0)
            monkeypatch.setattr(listening, "CHECK", "SELECT pg_sleep(60)")
            await until(lambda: heard.missed)

    asyncio.run(main())

    assert heard.payloads == [str(number) for number in range(40)]


class Dispatcher:
    """
    Counts what it is told, in place of a dispatcher.
    """

    def __init__(self) -> None:
        self.told: list[object] = []

    def heard(self, notifications: Sequence[Mapping[str, Any]]) -> None:
        self.told += notifications

    def due(self) -> None:
        self.told.append("due")

    def missed(self) -> None:
        self.told.append("missed")

    def stop_claiming(self) -> None:
        self.told.append("stop")


async def managed(
    database: str, play: Callable[[psycopg.Connection[Any]], Awaitable[None]], *, plain: str = "app.task"
) -> tuple[list[tuple[float, dict[str, Any]]], list[object]]:
    """
    What procrastinate's Worker is told while something is played, and when; and what the dispatcher is told.
    """
    manager = FlowJobManager(cast(Any, None), plain_tasks=lambda: [plain], address=lambda: database)
    dispatcher = Dispatcher()
    manager.dispatcher = cast(Any, dispatcher)
    worker: list[tuple[float, dict[str, Any]]] = []

    async def on_notification(*, channel: str, notification: Any) -> None:
        worker.append((time.monotonic(), notification))

    with psycopg.connect(database, autocommit=True) as connection:
        async with beside(manager.listen_for_jobs(on_notification=on_notification)):
            await until(lambda: listeners(connection, ANY))
            await play(connection)
            await asyncio.sleep(0.2)
    return worker, dispatcher.told


def test_a_worker_of_plain_tasks_is_woken_once_more_after_the_last_of_some_notifications(database: str) -> None:
    async def play(connection: psycopg.Connection[Any]) -> None:
        inserted(connection, 1, 2)
        await asyncio.sleep(0.02)
        inserted(connection, 3)

    worker, dispatcher = asyncio.run(managed(database, play))

    # It clears its wake-up after a fetch that found nothing: what was notified during that would wait for its poll.
    assert len(worker) >= 2  # one for each group, and one more
    assert worker[-1][0] - worker[-2][0] >= 0.045
    assert worker[-1][1] == worker[-2][1] == {"type": "job_inserted", "job_id": 3}
    assert set(dispatcher[:-1]) == {"due"}
    assert dispatcher[-1] == "stop"


def test_a_worker_of_plain_tasks_hears_of_each_job_that_is_to_be_aborted(database: str) -> None:
    async def play(connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            for job in (1, 2):
                payload = json.dumps({"type": "abort_job_requested", "job_id": job})
                connection.execute("SELECT pg_notify(%s, %s)", [ANY, payload])
            inserted(connection, 3, 4)

    worker, _ = asyncio.run(managed(database, play))

    told = [(each["type"], each["job_id"]) for _, each in worker]
    assert told[:3] == [("abort_job_requested", 1), ("abort_job_requested", 2), ("job_inserted", 4)]


def test_a_worker_without_plain_tasks_is_not_woken_by_stages(database: str) -> None:
    async def play(connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            connection.execute("SELECT pg_notify('oaflow', %s)", [json.dumps({"event": "run.entered"})])
            connection.execute("SELECT pg_notify('oaflow', 'not JSON')")
            inserted(connection, 1, 2)

    worker, dispatcher = asyncio.run(managed(database, play, plain=BUILTIN))

    assert worker == []
    assert dispatcher == [{"event": "run.entered"}, {}, "due", "stop"]
