"""
Jobs of stages that live in services of their own.
"""

from collections.abc import Iterable
from typing import Any

from psycopg import Connection
from psycopg.rows import scalar_row

from oaflow.ledger.statements import sql


def unseen(connection: Connection[Any], tasks: Iterable[str]) -> set[str]:
    """
    Those of the tasks of services of which nobody would see what their jobs hand over.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(sql("unseen"), {"tasks": list(tasks)}).fetchall())
