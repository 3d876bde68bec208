"""
Long lists, a page at a time: each page begins where the last one ended, and reads no more than it shows, whatever comes
before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class RunCounts:
    """
    How many jobs of a run are where.
    """

    run: str
    open: int
    done: int
    failed: int


def run_counts(connection: Connection[Any], runs: Iterable[str]) -> dict[str, RunCounts]:
    """
    The counters of some runs, by run; one without a job is not in it.
    """
    with connection.cursor(row_factory=class_row(RunCounts)) as cursor:
        found = cursor.execute(sql("run_counts"), {"runs": list(runs)}).fetchall()
    return {one.run: one for one in found}
