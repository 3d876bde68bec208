"""
`oaflow db prune`: deletes old rows of ended jobs and runs. Synchronous, in portions; workers do the same in
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
    What was deleted, or (in a dry run) would be: rows of ended jobs, and portions of history, as names of tables. A dry
    run does not check the history.
    """

    jobs: int
    history: tuple[str, ...]


def prune(connection: Connection[Any], days: float, *, dry_run: bool = False) -> Pruned:
    """
    Delete jobs that ended more than a number of days ago, and history as old. Jobs of other programs, and the history
    of unfinished runs, stay. History is deleted by whole days, and that of the last day stays.

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
