"""
Finds out over another connection whether the server still works on a statement that it has not answered, and ends it.
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
    Whether the server is still at what was sent over this connection.

    Asked over a connection of its own: those of the pool may all be waiting. False also where the server does not
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
    See that the server is not at a statement any more that is to be sent again over this connection.

    After `limit` seconds it is left at that: statements are fenced, so two of one at the same time are no harm.
    """
    deadline = time.monotonic() + limit
    # Clocks of two machines run alike within a second.
    values = {"pid": statement.pid, "seconds": max(0.0, time.monotonic() - statement.sent - 1.0)}
    while time.monotonic() < deadline:
        if await (await connection.execute(sql("end_backend"), values)).fetchone() is None:
            return
        await asyncio.sleep(0.05)
