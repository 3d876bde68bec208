"""
Finds out over another connection whether the server still works on a statement without an answer, and ends it.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from oaflow.ledger.statements import sql

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """
    A statement that was sent: in which session of the server, and when, on the monotonic clock.
    """

    pid: int
    sent: float


async def is_worked_on(connection: Connection, limit: float) -> bool:
    """
    Whether the server still works on what was sent over this connection.

    This uses a separate connection, because those of the pool may all be waiting. False, too, if the server does not
    answer within `limit` seconds.
    """
    try:
        async with asyncio.timeout(limit):
            address = make_conninfo(connection.info.dsn, password=connection.info.password or None)
            async with await psycopg.AsyncConnection[Any].connect(address, autocommit=True) as other:
                cursor = await other.execute(sql("backend_works"), {"pid": connection.info.backend_pid})
                row = await cursor.fetchone()
    except (psycopg.Error, OSError) as problem:
        log.warning("the server cannot be asked: %s", str(problem).splitlines()[:1] or type(problem).__name__)
        return False
    return bool(row and row[0])


async def end(connection: Connection, statement: Statement, limit: float) -> None:
    """
    Make sure that the server no longer works on a statement that will be sent again over this connection.

    After `limit` seconds, give up: statements are fenced, so two of the same at once do no harm.
    """
    deadline = time.monotonic() + limit
    # The clocks of two machines agree within a second.
    values = {"pid": statement.pid, "seconds": max(0.0, time.monotonic() - statement.sent - 1.0)}
    while time.monotonic() < deadline:
        if await (await connection.execute(sql("end_backend"), values)).fetchone() is None:
            return
        await asyncio.sleep(0.05)
