"""
Jobs and entities that no edge took.
"""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class Unmatched:
    """
    What a stage returned on a port but no edge took, for one reason: the number of entities; a job without any counts
    as one.
    """

    stage: str
    port: str
    reason: str
    count: int


def unmatched(connection: Connection[Any], run: str) -> list[Unmatched]:
    """
    What no edge took in a run, most frequent first.
    """
    with connection.cursor(row_factory=class_row(Unmatched)) as cursor:
        return cursor.execute(sql("unmatched"), {"run": run}).fetchall()
