"""
Limits and locks, for workers: which tasks have a limit, and claims of tasks that have a limit or locks. Async, one
statement each.
"""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg.rows import tuple_row

from oaflow.ledger.handover import Connection
from oaflow.ledger.rows import Claimed
from oaflow.ledger.statements import sql

# Starts that were possible this long ago may be made up for. In a minute of 50/s, that is at most 13 jobs of 3,000 too
# many.
LATE_SECONDS = 0.25

# How often a worker with room checks whether a place became free elsewhere.
LOOK_SECONDS = 0.2


class Limited(NamedTuple):
    """
    A task on a queue that has a limit: `at_once` tells whether it has `concurrency`, `rated` whether it has a `rate`.
    """

    queue: str
    task: str
    at_once: bool
    rated: bool


async def limited(connection: Connection) -> list[Limited]:
    """
    The tasks that have a limit now.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("limited"))
        return [Limited._make(row) for row in await cursor.fetchall()]


async def claim_lane(
    connection: Connection, worker: int, queue: str, task: str, runs: Sequence[str], most: int, after: str | None = None
) -> tuple[list[Claimed], float | None]:
    """
    Claim up to `most` jobs of a task that has a limit or locks, but no more than these allow.

    Args:
        after: locks are tried from the one after this, so that each gets its turn; None if there are none.

    Returns:
        the jobs; and after how many seconds another claim is worthwhile, None if no limit or lock is in the way, or no
        job waits.
    """
    values = {
        "worker": worker,
        "queue": queue,
        "task": task,
        "runs": list(runs),
        "most": most,
        "late": LATE_SECONDS,
        "look": LOOK_SECONDS,
        "after": after,
    }
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("claim_lane"), values)
        *rows, last = await cursor.fetchall()
    return [Claimed._make(row[:-1]) for row in rows], last[-1]
