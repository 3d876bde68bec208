"""
How many jobs are open in the stages of runs. Async, one statement.
"""

from collections.abc import Sequence

from psycopg.rows import tuple_row

from oaflow.ledger.handover import Connection

# From the counters, so that waiting jobs are not read, however many there are.
DEPTHS = """
SELECT run, stage, sum(open)::bigint FROM oaflow.counters WHERE run = ANY (%(runs)s::text[]) GROUP BY run, stage
"""


async def depths(connection: Connection, runs: Sequence[str]) -> dict[str, dict[str, int]]:
    """
    How many jobs are open in each stage of some runs: those that wait or run, and those that wait to be collected.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(DEPTHS, {"runs": list(runs)})
        found: dict[str, dict[str, int]] = {run: {} for run in runs}
        for run, stage, opened in await cursor.fetchall():
            found[run][stage] = opened
    return found
