"""
Long lists, in pages. Each page starts where the last one ended, and reads no more than it shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from oaflow.ledger.statements import sql

# How many lines are read for a page, of which only some match: 10,000 take some 10 ms.
LINES = 10_000

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """
    A page of a list. `next` is where the next one starts, or None if there is none. A page may be empty and have a
    `next`, if none of the lines that were read matched.
    """

    rows: Sequence[Row]
    next: Any


@dataclass(frozen=True, slots=True)
class EndedJob:
    """
    A job of a stage, by its last line of history. A few of its `count` documents are named.
    """

    job: int
    at: datetime
    outcome: str
    attempt: int | None
    started: datetime | None
    ended: datetime | None
    worker: int | None
    version: str | None
    type: str | None
    message: str | None
    documents: list[str] | None
    count: int
    names: list[str]

    @property
    def seconds(self) -> float | None:
        """
        How long the attempt took.
        """
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """
    A job that waits at its stage: for a time, for a lock, or for a worker.
    """

    job: int
    priority: int
    scheduled_at: datetime | None
    attempts: int
    locked: bool


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """
    A document, as reported by a stage of its run.
    """

    document: str
    name: str
    kind: str
    reason: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class RunCounts:
    """
    How many jobs of a run are in which state.
    """

    run: str
    open: int
    done: int
    failed: int


def run_counts(connection: Connection[Any], runs: Iterable[str]) -> dict[str, RunCounts]:
    """
    The counters of some runs, by run; runs without jobs are missing.
    """
    with connection.cursor(row_factory=class_row(RunCounts)) as cursor:
        found = cursor.execute(sql("run_counts"), {"runs": list(runs)}).fetchall()
    return {one.run: one for one in found}


def stage_jobs(
    connection: Connection[Any],
    run: str,
    stage: str,
    start: int | None,
    *,
    oldest: bool,
    limit: int,
    lines: int = LINES,
) -> Page[EndedJob]:
    """
    Jobs of a stage that have a history, newest or oldest first.

    Args:
        start: only those after this one.
        lines: how many lines of the run's history are read at most.
    """
    values = {"run": run, "stage": stage, "from": start, "oldest": oldest, "limit": limit, "lines": lines}
    return _page(connection, "stage_jobs", values, EndedJob, "job")


def waiting_jobs(connection: Connection[Any], run: str, queue: str, task: str, limit: int) -> list[WaitingJob]:
    """
    The first jobs that wait at a stage.
    """
    values = {"run": run, "queue": queue, "task": task, "limit": limit}
    with connection.cursor(row_factory=class_row(WaitingJob)) as cursor:
        return cursor.execute(sql("waiting_jobs"), values).fetchall()


def documents_page(
    connection: Connection[Any], run: str, start: str, *, kind: str | None, limit: int
) -> Page[KnownDocument]:
    """
    The documents of a run, by their ids.

    Args:
        start: only those after this one.
        kind: only those that were reported as this.
    """
    values = {"run": run, "from": start, "kind": kind, "limit": limit, "lines": LINES}
    return _page(connection, "documents_page", values, KnownDocument, "document")


def _page(connection: Connection[Any], name: str, values: dict[str, Any], kind: type[Row], key: str) -> Page[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found: list[dict[str, Any]] = cursor.execute(sql(name), values).fetchall()
    next = found[0]["edge"]
    for row in found:
        del row["edge"]
    return Page([kind(**row) for row in found if row[key] is not None], next)
