"""
`oaflow db prune`: deletes old rows of what has ended. Synchronous, in portions; workers delete theirs in
`runtime/upkeep`.
"""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from oaflow.ledger.statements import sql

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Pruned:
    """
    What was taken out, or (in a dry run) is to be: rows of jobs that have ended, and portions of history: the names of
    tables. A dry run does not look at the history.
    """

    jobs: int
    history: tuple[str, ...]


def prune(connection: Connection[Any], days: float, *, dry_run: bool = False) -> Pruned:
    """
    Takes out jobs that ended before so many days, and history as old. Jobs of others, and the history of runs that have
    not ended, stay. History goes by whole days, and that of the last one stays.

    Args:
        connection: in autocommit mode: each portion is a transaction of its own.
    """
    jobs, last = 0, 0
    while last is not None:
        values = {"after": last, "rows": ROWS_AT_ONCE, "seconds": days * 86400, "dry": dry_run}
        row = connection.execute(sql("prune"), values).fetchone()
        assert row is not None
        last, number = row
        jobs += number
    history: list[str] = []
    while not dry_run:
        row = connection.execute("SELECT oaflow.forget_v1(%s, %s)", (max(1, int(days)), ROWS_AT_ONCE)).fetchone()
        if row is None or row[0] is None:
            break
        history.append(row[0])
    return Pruned(jobs, tuple(dict.fromkeys(history)))
