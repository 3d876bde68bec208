"""
Plain procrastinate tasks beside the stages: claimed by queue and task, respecting procrastinate's locks.
"""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from oaflow.ledger.statements import sql


async def claim_plain(
    connection: AsyncConnection[Any], worker: int, queues: Sequence[str] | None, tasks: Sequence[str]
) -> dict[str, Any] | None:
    """
    Claim the next job of one of the given plain tasks, as a row of procrastinate_jobs, or None.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            sql("claim_plain"), {"worker": worker, "queues": list(queues) if queues else None, "tasks": list(tasks)}
        )
        return await cursor.fetchone()


async def drop_queueing_lock(connection: AsyncConnection[Any], worker: int, job: int) -> None:
    """
    Remove the queueing lock from a plain job that is running, so that it can wait beside the job that has it.
    """
    await connection.execute(sql("drop_queueing_lock"), {"job": job, "worker": worker})
