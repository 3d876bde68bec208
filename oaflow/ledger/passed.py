"""
Where the jobs of a run are, and along which edges they went.
"""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row, tuple_row

from oaflow.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class Passed:
    """
    How many jobs went from one stage to another; with `error`, over its `on_error`.
    """

    source: str
    stage: str
    error: bool
    jobs: int

    @property
    def key(self) -> tuple[str, str, Literal["next", "error"]]:
        """
        Identifies the edge.
        """
        return self.source, self.stage, "error" if self.error else "next"


def passed(connection: Connection[Any], run: str) -> list[Passed]:
    """
    How many jobs of a run took each edge. Reads all of its history.
    """
    with connection.cursor(row_factory=class_row(Passed)) as cursor:
        return cursor.execute(sql("passed"), {"run": run}).fetchall()


def doing(connection: Connection[Any], run: str) -> dict[str, int]:
    """
    How many jobs of each stage of a run are running; stages without any are missing.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(sql("doing"), {"run": run}).fetchall())
