"""
How long the work of a run has taken so far, as sums per kind of work and per worker. Nothing here grows with the number
of finished jobs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, tuple_row

from oaflow.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class Timing:
    """
    Attempts at jobs of one stage and media type. `jobs` of them were the last of their job; `members` is how many jobs
    these were collected from. `in_loop`: the function is async and needs no executor.
    """

    stage: str
    media: str
    in_loop: bool
    attempts: int
    jobs: int
    members: int
    seconds: float
    squares: float
    times: list[int]
    successors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Shift:
    """
    How many seconds a worker had jobs of a run in hand, between `began` and `ended`.
    """

    worker: int
    executors: int
    began: datetime
    ended: datetime
    seconds: float


def timings(connection: Connection[Any], run: str) -> list[Timing]:
    """
    How long the attempts of a run took.
    """
    with connection.cursor(row_factory=class_row(Timing)) as cursor:
        return cursor.execute(sql("timings"), {"run": run}).fetchall()


def shifts(connection: Connection[Any], run: str) -> list[Shift]:
    """
    Which workers worked on a run, and for how long.
    """
    with connection.cursor(row_factory=class_row(Shift)) as cursor:
        return cursor.execute(sql("shifts"), {"run": run}).fetchall()


def waiting_media(
    connection: Connection[Any], run: str, pairs: Iterable[tuple[str, str]], points: int = 20, each: int = 10
) -> dict[tuple[str, str], dict[str, int]]:
    """
    The media types of the waiting jobs, by queue and task, from a sample spread over all of them.
    """
    wanted = sorted(set(pairs))
    found: dict[tuple[str, str], dict[str, int]] = {}
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            sql("waiting_media"),
            {
                "run": run,
                "queues": [queue for queue, _ in wanted],
                "tasks": [task for _, task in wanted],
                "points": points,
                "each": each,
            },
        ).fetchall()
    for queue, task, media, jobs in rows:
        found.setdefault((queue, task), {})[media] = jobs
    return found
