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

# What could have begun so long ago is made up for. Over a minute of 50/s that is 13 jobs of 3,000 too many, at most.
LATE_SECONDS = 0.25

# How often a worker that has room looks whether a place became free elsewhere.
LOOK_SECONDS = 0.2


class Limited(NamedTuple):
    """
    A task on a queue that has a limit: `at_once` says that only so many run at once, `rated` that only so many begin in
    a time.
    """

    queue: str
    task: str
    at_once: bool
    rated: bool


async def limited(connection: Connection) -> list[Limited]:
    """
    What has a limit now.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("limited"))
        return [Limited._make(row) for row in await cursor.fetchall()]


async def claim_lane(
    connection: Connection, worker: int, queue: str, task: str, runs: Sequence[str], most: int, after: str | None = None
) -> tuple[list[Claimed], float | None]:
    """
    Claim up to `most` jobs of a task that has a limit or locks, and no more than these allow.

    Args:
        after: locks are gone through from the one behind this on, so that each has its turn; None where there are none.

    Returns:
        the jobs; and in how many seconds it is worth to ask again, None where neither stands in the way, or nothing
        waits.
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
