"""
Limits of tasks: those of plans, those of operators, and which of them applies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.statements import sql
from oaflow.printed.operating import Limit as LimitJson

# Waiting jobs are counted up to this number.
COUNTED = 1000

_UNITS = (("s", 1), ("m", 60), ("h", 3600), ("d", 86400))


@dataclass(frozen=True, slots=True)
class Limit:
    """
    How many jobs of a task on a queue may run at once, and how many may start per second. None: unlimited.

    `said_concurrency` and `said_rate` were set by an operator, and override the plans; `running` and `waiting` are jobs
    of all runs, `waiting` counted up to 1,000.
    """

    queue: str
    task: str
    concurrency: int | None
    rate: float | None
    said_concurrency: int | None
    said_rate: float | None
    running: int
    waiting: int

    @property
    def name(self) -> str:
        """
        The name, as users type it.
        """
        return f"{self.queue}/{self.task}"

    @property
    def rate_text(self) -> str | None:
        """
        The rate, as users type it, for the shortest period in which it is at least one.
        """
        if self.rate is None:
            return None
        unit, seconds = next(((u, s) for u, s in _UNITS if self.rate * s >= 0.9995), _UNITS[-1])
        return f"{self.rate * seconds:.4g}/{unit}"

    @property
    def waiting_text(self) -> str:
        """
        How many wait, as far as they were counted.
        """
        return f"{COUNTED:,}+" if self.waiting >= COUNTED else str(self.waiting)

    def as_json(self) -> LimitJson:
        """
        The public form; `rate` is per second.
        """
        return {
            "name": self.name,
            "queue": self.queue,
            "task": self.task,
            "concurrency": self.concurrency,
            "rate": self.rate,
            "said_concurrency": self.said_concurrency,
            "said_rate": self.said_rate,
            "running": self.running,
            "waiting": self.waiting,
        }


def declare(connection: Connection[Any], run: str, limits: Iterable[tuple[str, str, int | None, float | None]]) -> None:
    """
    Record the limits in the plan of a run: (queue, task, concurrency, rate).
    """
    said = list(limits)
    if said:
        connection.execute(
            sql("declare"),
            {
                "run": run,
                "queues": [queue for queue, _, _, _ in said],
                "tasks": [task for _, task, _, _ in said],
                "concurrency": [concurrency for _, _, concurrency, _ in said],
                "every": [1 / rate if rate else None for _, _, _, rate in said],
            },
        )


def limit(connection: Connection[Any], queue: str, task: str, concurrency: int | None, rate: float | None) -> None:
    """
    Set the limits of an operator, for all runs; None leaves a limit unchanged.
    """
    every = 1 / rate if rate else None
    values = {"queue": queue, "task": task, "concurrency": concurrency, "every": every, "clear": False}
    connection.execute(sql("limit"), values)


def clear(connection: Connection[Any], queue: str, task: str) -> None:
    """
    Clear the limits of an operator, so that those of the plans apply again.
    """
    values = {"queue": queue, "task": task, "concurrency": None, "every": None, "clear": True}
    connection.execute(sql("limit"), values)


def limits(connection: Connection[Any]) -> list[Limit]:
    """
    The limits that apply now.
    """
    with connection.cursor(row_factory=class_row(Limit)) as cursor:
        return cursor.execute(sql("limits"), {"counted": COUNTED}).fetchall()


def is_known(connection: Connection[Any], queue: str, task: str) -> bool:
    """
    Whether a job of the task was ever on the queue, or a live worker can run it.
    """
    row = connection.execute(sql("is_known"), {"queue": queue, "task": task}).fetchone()
    return row is not None and row[0] is True
