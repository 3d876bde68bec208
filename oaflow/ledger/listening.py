"""
Notifications of the database, over a separate connection.

procrastinate notifies each worker of each inserted job, so a notification must be cheap. Its own loop needs a timer and
a task for each, 15 µs: a third of a core at 20,000 inserted jobs per second, and a notification after a million of them
is received 15 s late. Here they are read in groups, as many as have arrived.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import psycopg
from psycopg import sql

log = logging.getLogger(__name__)

CHECK = "SELECT 1"
CHECK_SECONDS = 30.0  # seconds of silence after which the connection is checked
ANSWER_SECONDS = 20.0  # seconds within which the database must answer
SHORTEST_DELAY, LONGEST_DELAY = 0.5, 5.0  # seconds between two connections


class Notice(NamedTuple):
    """
    A notification.
    """

    channel: str
    payload: str


Heard = Callable[[Sequence[Notice]], Awaitable[None]]


async def listen(
    address: Callable[[], str], channels: Sequence[str], heard: Heard, missed: Callable[[], None]
) -> NoReturn:
    """
    Listen until cancelled, and reconnect when the connection is lost.

    Args:
        address: finds the address of the database, called for each connection.
        heard: called with the notifications since the last call, in order.
        missed: called when a connection was lost, and when the next one listens: notifications between the two were
            missed.
    """
    delay, lost = SHORTEST_DELAY, False
    while True:
        arrived: list[Notice] = []
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await _listening(address(), channels, arrived)
            async with connection:
                if lost:
                    missed()
                delay, lost = SHORTEST_DELAY, False
                await _pass_on(connection, arrived, heard)
        except (psycopg.Error, OSError) as problem:
            log.warning("listening again: %s", str(problem).splitlines()[:1] or type(problem).__name__)
        missed()
        lost = True
        await asyncio.sleep(delay * (0.5 + random.random()))
        delay = min(delay * 2, LONGEST_DELAY)


async def _listening(address: str, channels: Sequence[str], arrived: list[Notice]) -> psycopg.AsyncConnection[Any]:
    """
    A connection that listens. Notifications that psycopg reads together with the answer of a statement are kept, too.
    """
    connection = await psycopg.AsyncConnection[Any].connect(
        address, autocommit=True, application_name="oaflow worker", connect_timeout=5, keepalives_idle=30
    )
    connection.add_notify_handler(lambda notify: arrived.append(Notice(notify.channel, notify.payload)))
    try:
        for channel in channels:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    except BaseException:
        await connection.close()
        raise
    return connection


async def _pass_on(connection: psycopg.AsyncConnection[Any], arrived: list[Notice], heard: Heard) -> NoReturn:
    while True:
        if arrived:
            group = arrived.copy()
            arrived.clear()
            await heard(group)
        if not await _readable(connection):
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute(CHECK)
        arrived += _read(connection)


async def _readable(connection: psycopg.AsyncConnection[Any]) -> bool:
    """
    Wait until something has arrived; false if the connection must be checked first.
    """
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await ready.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(connection.fileno())
    return True


def _read(connection: psycopg.AsyncConnection[Any]) -> list[Notice]:
    """
    What has arrived, without waiting.
    """
    found: list[Notice] = []
    connection.pgconn.consume_input()
    while (notify := connection.pgconn.notifies()) is not None:
        found.append(Notice(notify.relname.decode(), notify.extra.decode()))
    return found
