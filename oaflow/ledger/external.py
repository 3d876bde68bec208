"""
Services that run external stages: who takes their jobs, and of which tasks nobody would see what jobs hand over.
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
    What rows tell of who takes jobs of a task of a service. `others` are live workers of which none says what they
    take.
    """

    queue: str
    task: str
    seen: bool
    others: int


def services(connection: Connection[Any], asked: Iterable[tuple[str, str]]) -> list[Service]:
    """
    Who takes jobs of the given (queue, task) pairs of services, as far as rows can tell.
    """
    pairs = sorted(set(asked))
    with connection.cursor(row_factory=class_row(Service)) as cursor:
        return cursor.execute(
            sql("services"), {"queues": [queue for queue, _ in pairs], "tasks": [task for _, task in pairs]}
        ).fetchall()


def unseen(connection: Connection[Any], tasks: Iterable[str]) -> set[str]:
    """
    Those of the tasks of services of which nobody would see what their jobs hand over.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(sql("unseen"), {"tasks": list(tasks)}).fetchall())
