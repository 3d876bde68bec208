"""
How a worker listens: what procrastinate's Worker is told of notifications, and what becomes of a lost connection.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from procrastinate import exceptions

from oaflow.runtime.manager import FlowJobManager

Script = Callable[[Callable[..., Awaitable[None]]], Awaitable[None]]
INSERTED = json.dumps({"type": "job_inserted", "job_id": 1})


class Database:
    """
    What stands in for a connector: each time it is listened over it plays the next of its scripts, and then is silent.
    """

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)

    async def listen_notify(self, on_notification: Callable[..., Awaitable[None]], channels: list[str]) -> None:
        assert channels == ["oaflow", "procrastinate_any_queue_v1"]
        if self.scripts:
            await self.scripts.pop(0)(on_notification)
        await asyncio.Event().wait()


class Dispatcher:
    """
    What stands in for a dispatcher, and counts what it is told.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def heard(self, channel: str, notification: dict[str, Any]) -> None:
        self.told.append(channel)

    def missed(self) -> None:
        self.told.append("missed")

    def stop_claiming(self) -> None:
        self.told.append("stop")


async def listened(
    database: Database, *, plain: str = "app.task", seconds: float = 0.3
) -> tuple[list[float], list[str]]:
    """
    When procrastinate's Worker is told something, and what the dispatcher is told.
    """
    manager = FlowJobManager(cast(Any, database), plain_tasks=lambda: [plain])
    dispatcher = Dispatcher()
    manager.dispatcher = cast(Any, dispatcher)
    worker: list[float] = []

    async def on_notification(*, channel: str, notification: Any) -> None:
        worker.append(time.monotonic())

    listening = asyncio.create_task(manager.listen_for_jobs(on_notification=on_notification))
    await asyncio.sleep(seconds)
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
    return worker, dispatcher.told


def test_a_worker_of_plain_tasks_is_woken_once_more_after_the_last_of_some_notifications() -> None:
    async def inserts(on_notification: Callable[..., Awaitable[None]]) -> None:
        await on_notification(channel="any", payload=INSERTED)
        await on_notification(channel="any", payload=INSERTED)
        await asyncio.sleep(0.04)
        await on_notification(channel="any", payload=INSERTED)

    worker, dispatcher = asyncio.run(listened(Database(inserts)))

    # It clears its wake-up after a fetch that found nothing: what was notified during that would wait for its poll.
    assert len(worker) >= 4  # one more, and two where the second of them came late
    assert worker[-1] - worker[-2] >= 0.045
    assert dispatcher == ["any"] * 3 + ["stop"]


def test_a_worker_without_plain_tasks_is_not_woken_by_stages() -> None:
    async def inserts(on_notification: Callable[..., Awaitable[None]]) -> None:
        await on_notification(channel="any", payload=INSERTED)
        await on_notification(channel="oaflow", payload='{"event": "run.entered"}')
        await on_notification(channel="oaflow", payload="not JSON")

    worker, dispatcher = asyncio.run(listened(Database(inserts), plain="builtin:procrastinate.builtin_tasks.remove"))

    assert worker == []
    assert dispatcher == ["any", "oaflow", "oaflow", "stop"]


def test_a_connection_that_was_lost_is_made_again_and_what_came_meanwhile_is_looked_for() -> None:
    async def breaks(on_notification: Callable[..., Awaitable[None]]) -> None:
        raise exceptions.ConnectorException("the connection is lost")

    async def inserts(on_notification: Callable[..., Awaitable[None]]) -> None:
        await on_notification(channel="any", payload=INSERTED)

    worker, dispatcher = asyncio.run(listened(Database(breaks, inserts), seconds=1.2))

    assert len(worker) == 2
    assert dispatcher == ["missed", "any", "stop"]
