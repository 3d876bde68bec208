"""
Runs: start, find, follow and end them. Synchronous; each function is one statement, or one transaction.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, cast

import orjson
from psycopg import Connection, errors
from psycopg.rows import class_row

from oaflow.ledger.deletions import InDeletionError
from oaflow.ledger.statements import sql
from oaflow.plan import BoundStage
from oaflow.printed.runs import RecentRun, State

OPEN_STATES: tuple[State, ...] = ("running", "paused", "interrupted")

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_TRIES = 5  # the alphabet of new run ids


@dataclass(frozen=True, slots=True)
class Run:
    """
    One run of a plan, as in the table of runs.

    Attributes:
        plan: digest of its plan.
        folders: where the modules of its stages are, on the machine that it was started on.
        first: how many of the jobs that its first jobs return are taken; None: all.
        reason: why it is in this state.
        round: 1, and one more with each retry.
        sealed: whether all of its input was read.
        unchanged: files that it left out because an earlier run has processed them.
        gone: files of earlier runs that its crawl did not find any more; `gone_names` are some of their names.
        prune: whether entities of such files are removed.
        rerun_of: the run that it repeats a part of.
        seconds: how long it took, or its age if it has not ended.
        places: where the expressions of its stages are written.
    """

    id: str
    pipeline: str
    plan: str
    dataset: str
    params: Mapping[str, Any]
    folders: Sequence[str]
    first: int | None
    state: State
    reason: str | None
    round: int
    sealed: bool
    unchanged: int
    gone: int
    gone_names: Sequence[str]
    prune: bool
    rerun_of: str | None
    created_at: datetime
    finished_at: datetime | None
    seconds: float
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    @property
    def open(self) -> bool:
        """
        Whether it has not ended.
        """
        return self.state in OPEN_STATES

    @property
    def cut(self) -> bool:
        """
        Whether the process that started it was gone before all of its input was read. Nobody can continue with the
            rest.
        """
        return self.state == "interrupted" and not self.sealed

    def as_json(self) -> RecentRun:
        """
        The public form of one among many.
        """
        return {"run": self.id, "pipeline": self.pipeline, "dataset": self.dataset, "state": self.state}


@dataclass(frozen=True, slots=True)
class StageProgress:
    """
    How many jobs of a stage are in which state.
    """

    stage: str
    open: int
    done: int
    failed: int
    unmatched: int
    dropped: int
    ended: int
    diverted: int
    vanished: int


COUNTERS: tuple[str, ...] = tuple(field.name for field in fields(StageProgress))[1:]


@dataclass(frozen=True, slots=True)
class FirstJob:
    """
    A job that enters a run, with its mark: `args` is its wire form, `documents` the ids that it carries. With
    `collect`, as in `Successor`, it waits to be collected with others.
    """

    queue: str
    task: str
    stage: str
    priority: int
    args: Mapping[str, Any]
    documents: tuple[str, ...] = ()
    collect: str | None = None


@dataclass(frozen=True, slots=True)
class StopAfter:
    """
    When a run is cancelled: after a number of failures, or when a percentage of the documents found has failed. One of
    the two is None.
    """

    failures: int | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """
    A plan as it was stored: canonical JSON, parsed.
    """

    digest: str
    format: int
    pipeline: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """
    A code version that ran in a stage of a run, and in how many attempts.
    """

    stage: str
    version: str
    attempts: int


def store_plan(connection: Connection[Any], digest: str, format: int, pipeline: str, definition: bytes) -> None:
    """
    Store a plan under its digest; an existing plan stays as it is.
    """
    connection.execute(
        sql("store_plan"),
        {"digest": digest, "format": format, "pipeline": pipeline, "definition": definition.decode()},
    )


def stored_plan(connection: Connection[Any], digest: str) -> StoredPlan | None:
    """
    The plan with a digest, or None.
    """
    with connection.cursor(row_factory=class_row(StoredPlan)) as cursor:
        return cursor.execute(sql("stored_plan"), {"digest": digest}).fetchone()


def new_run_id(pipeline: str) -> str:
    """
    A new id, `PIPELINE-abc234`; it has 30 random bits, so the caller tries again if it is taken.
    """
    return f"{pipeline}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"


def take_turn(connection: Connection[Any], pipeline: str, dataset: str) -> None:
    """
    Waits for who else starts a run of a pipeline and dataset. Holds to the end of the transaction: two that look at the
    same time whether there is one see none, and both start.
    """
    connection.execute(sql("take_turn"), {"pipeline": pipeline, "dataset": dataset})


def start_run(
    connection: Connection[Any],
    pipeline: str,
    plan: str,
    dataset: str,
    params: Mapping[str, Any],
    *,
    folders: Sequence[str] = (),
    first: int | None = None,
    stages: Mapping[str, str] | None = None,
    places: Mapping[str, Mapping[str, str]] | None = None,
    force: bool = False,
    prune: bool = False,
    rerun_of: str | None = None,
) -> str:
    """
    Insert the row of a run that has no jobs yet and is not sealed.

    Args:
        folders: where the modules of its stages are searched, as absolute paths.
        first: how many jobs are taken from what its first jobs return; None: all.
        stages: for each stage, a digest of everything that affects a document there.
        places: for each stage, where its expressions are written.
        force: whether everything is processed again, even if unchanged.
        prune: whether documents that are gone from its sources are removed.
        rerun_of: the run that it repeats in part.

    Returns:
        its id.

    Raises:
        InDeletionError: the dataset is being deleted.
    """
    body = orjson.dumps(dict(params), default=str).decode()
    for attempt in range(_TRIES):
        run = new_run_id(pipeline)
        try:
            with connection.transaction():
                row = connection.execute(sql("admit"), {"dataset": dataset}).fetchone()
                if row is None or not row[0]:
                    raise InDeletionError(dataset)
                connection.execute(
                    sql("insert_run"),
                    {
                        "run": run,
                        "pipeline": pipeline,
                        "plan": plan,
                        "dataset": dataset,
                        "params": body,
                        "folders": list(folders),
                        "first": first,
                        "stages": orjson.dumps(dict(stages or {})).decode(),
                        "places": orjson.dumps(dict(places or {})).decode(),
                        "force": force,
                        "prune": prune,
                        "rerun_of": rerun_of,
                    },
                )
            return run
        except errors.UniqueViolation:
            if attempt + 1 == _TRIES:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def enter(connection: Connection[Any], run: str, jobs: Iterable[FirstJob], *, seal: bool) -> int:
    """
    Insert first jobs; `seal` means that no more will come.

    Returns:
        how many were inserted.
    """
    first = list(jobs)
    row = connection.execute(
        sql("enter"),
        {
            "run": run,
            "queues": [job.queue for job in first],
            "tasks": [job.task for job in first],
            "stages": [job.stage for job in first],
            "priorities": [job.priority for job in first],
            "args": orjson.dumps([dict(job.args) for job in first]).decode(),
            "documents": orjson.dumps([list(job.documents) for job in first]).decode(),
            "seal": seal,
            "collects": [job.collect for job in first],
        },
    ).fetchone()
    return cast(int, row[0]) if row else 0


def expect(connection: Connection[Any], run: str, joins: Iterable[tuple[FirstJob, Iterable[str]]]) -> None:
    """
    Record the joins of a run: the job that each gets, and the stages that it waits for.
    """
    for job, waits in joins:
        connection.execute(
            sql("expect"),
            {
                "run": run,
                "stage": job.stage,
                "waits": sorted(waits),
                "queue": job.queue,
                "task": job.task,
                "priority": job.priority,
                "args": orjson.dumps(dict(job.args)).decode(),
            },
        )


def collect(connection: Connection[Any], run: str, stage: BoundStage, feeders: Iterable[str]) -> None:
    """
    Record that a stage of a run collects; no more can come when no job is open in its feeders.
    """
    assert stage.collect is not None
    connection.execute(
        sql("collect"),
        {
            "run": run,
            "stage": stage.name,
            "size": stage.collect.size,
            "wait": stage.collect.wait,
            "feeders": sorted(feeders),
            "queue": stage.queue,
            "task": stage.task,
            "priority": stage.priority,
        },
    )


def close(connection: Connection[Any], run: str) -> None:
    """
    End the run if it is finished; for a run that started without jobs.
    """
    connection.execute(sql("close"), {"run": run})


def find_run(connection: Connection[Any], run: str) -> Run | None:
    """
    The run with an id, or None.
    """
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(sql("find_run"), {"run": run}).fetchone()


def latest_run(
    connection: Connection[Any],
    *,
    dataset: str | None = None,
    pipeline: str | None = None,
    states: Sequence[str] | None = None,
) -> Run | None:
    """
    The newest run: of a dataset, of a pipeline, or in one of some states.
    """
    found = recent_runs(connection, dataset=dataset, pipeline=pipeline, states=states, limit=1)
    return found[0] if found else None


def recent_runs(
    connection: Connection[Any],
    *,
    dataset: str | None = None,
    pipeline: str | None = None,
    states: Sequence[str] | None = None,
    before: str | None = None,
    limit: int = 20,
) -> list[Run]:
    """
    Runs, newest first.

    Args:
        before: only runs older than this one.
    """
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            sql("recent_runs"),
            {
                "dataset": dataset,
                "pipeline": pipeline,
                "states": list(states) if states is not None else None,
                "before": before,
                "limit": limit,
            },
        ).fetchall()


def run_progress(connection: Connection[Any], run: str) -> list[StageProgress]:
    """
    The progress of each stage of a run. Stages that no job has reached are missing.
    """
    with connection.cursor(row_factory=class_row(StageProgress)) as cursor:
        return cursor.execute(sql("run_progress"), {"run": run}).fetchall()


def run_versions(connection: Connection[Any], run: str) -> list[Version]:
    """
    The versions of code that ran in the stages of a run.
    """
    with connection.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(sql("run_versions"), {"run": run}).fetchall()


def mark(connection: Connection[Any], run: str, state: State, reason: str | None = None) -> bool:
    """
    Set an unfinished run to running, paused or interrupted, and notify the workers.

    Returns:
        False if there is no such run, or it has ended.
    """
    return connection.execute(sql("mark_run"), {"run": run, "state": state, "reason": reason}).rowcount > 0


def reopen(connection: Connection[Any], run: str, jobs: Sequence[int] | None = None) -> int:
    """
    Retry failed jobs of a run, in a new round.

    Args:
        jobs: ids of failed jobs; None for all of them.

    Returns:
        how many are retried.
    """
    row = connection.execute(sql("reopen"), {"run": run, "jobs": list(jobs) if jobs is not None else None}).fetchone()
    return cast(int, row[0]) if row else 0


def cancel(connection: Connection[Any], run: str, reason: str) -> int:
    """
    Cancel a run; waiting jobs are removed at once.

    Returns:
        how many jobs waited.
    """
    row = connection.execute(sql("cancel"), {"run": run, "reason": reason}).fetchone()
    return cast(int, row[0]) if row else 0


def stop_after(connection: Connection[Any], run: str, most: StopAfter, sources: Iterable[str]) -> None:
    """
    Record after how many failures a run is cancelled.

    Args:
        sources: the stages that its first jobs went to; a percentage is computed only when these have no more jobs.
    """
    connection.execute(
        sql("stop_after"),
        {"run": run, "failures": most.failures, "percent": most.percent, "sources": list(sources)},
    )


def stop(connection: Connection[Any], run: str) -> bool:
    """
    Cancel the run if too much of it has failed.

    Returns:
        whether it was cancelled.
    """
    row = connection.execute(sql("stop"), {"run": run}).fetchone()
    return row is not None and row[0] > 0
