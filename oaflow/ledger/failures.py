"""
Jobs that failed for good: one by one, and in clusters that have the same cause.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.statements import sql
from oaflow.printed.documents import Failure as FailureJson

# How many failures are read at once when reading all: each has its traceback.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """
    A job that failed for good.

    Attributes:
        round: the round of the run in which it failed.
        fingerprint: its cause, the same for failures of the same kind.
        detail: what else the history records about the attempt.
        attempts: how many attempts it had.
        again: whether it can be retried. A job that went deeper than its edge allows cannot.
        documents: ids of its documents.
        names: names of its documents, as they were found.
    """

    job: int
    stage: str
    round: int
    task: str | None
    type: str | None
    message: str | None
    traceback: str | None
    fingerprint: str
    detail: Mapping[str, Any] | None
    attempts: int | None
    at: datetime
    again: bool
    documents: list[str]
    names: list[str]

    def as_json(self, run: str) -> FailureJson:
        """
        The public form, of a job of that run.
        """
        return {
            "run": run,
            "job": self.job,
            "stage": self.stage,
            "task": self.task,
            "type": self.type,
            "message": self.message,
            "attempts": self.attempts,
            "at": self.at.isoformat(),
            "documents": self.documents,
            "names": self.names,
            "fingerprint": self.fingerprint,
            "traceback": self.traceback,
            "detail": None if self.detail is None else dict(self.detail),
        }


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    Failures of one stage that have the same cause: the same type of exception, from the same place in the code.

    Attributes:
        message: of the first of them.
        fingerprint: names the cause.
        place: where the exception was raised.
        count: how many there are.
        again: how many of them can be retried.
        jobs: some of the jobs.
        names: names of some of their documents.
    """

    stage: str
    type: str | None
    message: str | None
    fingerprint: str
    place: str | None
    count: int
    again: int
    first: datetime
    last: datetime
    jobs: list[int]
    names: list[str]

    @property
    def unwired(self) -> bool:
        """
        Whether they were emitted on a port that the plan does not wire. A retry keeps the plan, so it helps only if the
        function has changed by then.
        """
        return self.type == "UnknownPortError"


@dataclass(frozen=True, slots=True)
class FailedJob:
    """
    A failed job with its arguments; without arguments, it was never a job.
    """

    run: str
    stage: str
    job: int
    task: str
    args: Mapping[str, Any] | None
    type: str | None
    message: str | None


def failed_job(connection: Connection[Any], job: int) -> FailedJob | None:
    """
    A failed job, even if it was retried since.
    """
    with connection.cursor(row_factory=class_row(FailedJob)) as cursor:
        return cursor.execute(sql("failure"), {"job": job}).fetchone()


def failures(
    connection: Connection[Any],
    run: str,
    *,
    stage: str | None = None,
    cause: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Failure]:
    """
    The failures of a run that were not retried since, oldest first.

    Args:
        after: only failures after this job.
    """
    values = {"run": run, "stage": stage, "cause": cause, "after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(Failure)) as cursor:
        return cursor.execute(sql("failures"), values).fetchall()


def every_failure(
    connection: Connection[Any], run: str, *, stage: str | None = None, cause: str | None = None
) -> Iterator[Failure]:
    """
    All failures of a run that were not retried, oldest first, read in batches.
    """
    after: int | None = None
    while page := failures(connection, run, stage=stage, cause=cause, after=after, limit=_AT_ONCE):
        yield from page
        after = page[-1].job


def clusters(
    connection: Connection[Any],
    run: str,
    *,
    stage: str | None = None,
    cause: str | None = None,
    most: int | None = None,
) -> list[Cluster]:
    """
    The failures of a run by stage and cause, largest first.

    Args:
        most: how many failures are counted at most.
    """
    values = {"run": run, "stage": stage, "cause": cause, "most": most}
    with connection.cursor(row_factory=class_row(Cluster)) as cursor:
        return cursor.execute(sql("failure_clusters"), values).fetchall()
