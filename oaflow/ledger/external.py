"""
Services that run external stages: which workers take their jobs, and for which tasks nothing records what jobs hand
over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from oaflow.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class Service:
    """
    What the database shows about the workers that take jobs of a service's task. `others` counts live workers for which
    it does not show what they take.
    """

    queue: str
    task: str
    seen: bool
    others: int


def services(connection: Connection[Any], asked: Iterable[tuple[str, str]]) -> list[Service]:
    """
    Which workers take jobs of the given (queue, task) pairs of services, as far as the database shows.
    """
    pairs = sorted(set(asked))
    with connection.cursor(row_factory=class_row(Service)) as cursor:
        return cursor.execute(
            sql("services"), {"queues": [queue for queue, _ in pairs], "tasks": [task for _, task in pairs]}
        ).fetchall()


def unseen(connection: Connection[Any], tasks: Iterable[str]) -> set[str]:
    """
    The tasks of services for which nothing would record what their jobs hand over.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(sql("unseen"), {"tasks": list(tasks)}).fetchall())
