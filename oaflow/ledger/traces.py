"""
The history of single documents: which runs reported them, and each job that carried them. Read-only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, scalar_row, tuple_row

from oaflow.ledger.runs import Run
from oaflow.ledger.statements import sql

# The times of a run's first and last line of history come from the database; the margin covers attempts started before.
_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Reported:
    """
    A document as a run knows it; `job` is the first that reported it.
    """

    run: str
    dataset: str
    document: str
    name: str
    kind: str
    reason: str | None
    job: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line of history about a job that carried a document. A job without history yet is one line without an outcome.

    Attributes:
        parent: the job that it came from; None: it entered the run, or was started as a join.
        since: when it was handed over.
        of: the failed job that it repeats, after `oaflow retry`.
    """

    job: int
    stage: str
    parent: int | None
    since: datetime | None
    of: int | None
    at: datetime | None
    attempt: int | None
    outcome: str | None
    started: datetime | None
    ended: datetime | None
    worker: int | None
    version: str | None
    documents: Sequence[str] | None
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Failed:
    """
    A failure that names a document; `resolved_at` is when it was retried.
    """

    job: int
    stage: str
    type: str | None
    message: str | None
    traceback: str | None
    fingerprint: str | None
    attempts: int | None
    at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Open:
    """
    A job that has not ended: `todo`, `doing`, or `collected` if it waits for others.
    """

    job: int
    state: str
    at: datetime | None
    worker: int | None


def of_ids(
    connection: Connection[Any], ids: Iterable[str], *, run: str | None = None, dataset: str | None = None
) -> list[Reported]:
    """
    The documents with some ids, latest run first.
    """
    with connection.cursor(row_factory=class_row(Reported)) as cursor:
        values = {"ids": list(ids), "run": run, "dataset": dataset}
        return cursor.execute(sql("trace_ids"), values).fetchall()


def of_name(
    connection: Connection[Any], name: str, *, run: str | None = None, dataset: str | None = None, limit: int
) -> list[Reported]:
    """
    The documents with a name, or with the end of one, latest run first.
    """
    with connection.cursor(row_factory=class_row(Reported)) as cursor:
        values = {"name": name, "run": run, "dataset": dataset, "limit": limit}
        return cursor.execute(sql("trace_names"), values).fetchall()


def of_hash(connection: Connection[Any], content_hash: str, *, dataset: str | None = None, limit: int) -> list[str]:
    """
    The ids of documents that a crawl has found with this content, including those that no stage has recorded.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        values = {"hash": content_hash, "dataset": dataset, "limit": limit}
        return cursor.execute(sql("trace_hash"), values).fetchall()


def lines(
    connection: Connection[Any], run: Run, document: str, *, found: int | None, jobs: Sequence[int] = ()
) -> list[Line]:
    """
    The path of a document through a run, job by job.

    Args:
        found: the job that reported it.
        jobs: other jobs that carried it, to start from.
    """
    values = {"document": document, "found": found, "jobs": list(jobs), **_days(run)}
    with connection.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(sql("trace"), values).fetchall()


def naming(connection: Connection[Any], run: Run, document: str) -> list[int]:
    """
    The jobs of a run that carried a document which no stage reported. Reads the whole history of the run.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(sql("trace_naming"), {"document": document, **_days(run)}).fetchall()
        return [job for (job,) in rows]


def finder(connection: Connection[Any], run: Run, job: int) -> tuple[str, list[str], int] | None:
    """
    The stage of a job that reported something, the documents that it was about, and its last attempt, from 1.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(sql("trace_stage"), {"job": job, **_days(run)}).fetchone()
        return (row[0], row[1], row[2]) if row else None


def failed(connection: Connection[Any], run: str, document: str, jobs: Iterable[int]) -> list[Failed]:
    """
    The failures of a document in a run, including those that were retried.
    """
    with connection.cursor(row_factory=class_row(Failed)) as cursor:
        values = {"run": run, "document": document, "jobs": list(jobs)}
        return cursor.execute(sql("trace_failures"), values).fetchall()


def still_open(connection: Connection[Any], jobs: Iterable[int]) -> dict[int, Open]:
    """
    Those of some jobs that have not ended.
    """
    with connection.cursor(row_factory=class_row(Open)) as cursor:
        return {row.job: row for row in cursor.execute(sql("trace_open"), {"jobs": list(jobs)})}


def places(connection: Connection[Any], workers: Iterable[int]) -> dict[int, str]:
    """
    Where some workers are or were, as `host:pid`.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(sql("trace_workers"), {"ids": list(workers)}).fetchall()
        return {id: f"{host}:{pid}" for id, host, pid in rows}


def names_of(connection: Connection[Any], run: str, documents: Iterable[str]) -> dict[str, str]:
    """
    The names of some documents of a run.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(sql("trace_names_of"), {"run": run, "ids": list(documents)}).fetchall()
        return dict(rows)


def _days(run: Run) -> dict[str, Any]:
    # So that the partitions of other days are not read.
    until = datetime.max.replace(tzinfo=UTC) if run.finished_at is None else run.finished_at + _SLACK
    return {"run": run.id, "since": run.created_at - _SLACK, "until": until}
