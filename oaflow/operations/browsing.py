"""
What a page shows of runs. Each answer costs the same whatever the size of a run: it reads counters, and lists by pages.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from oaflow.entities.store import EntityStore
from oaflow.errors import EnvironmentProblem, UsageError
from oaflow.ledger.deletions import LastRun, last_runs
from oaflow.ledger.failures import Cluster, Failure, clusters, failures
from oaflow.ledger.pages import (
    EndedJob,
    KnownDocument,
    Page,
    RunCounts,
    WaitingJob,
    documents_page,
    run_counts,
    stage_jobs,
    waiting_jobs,
)
from oaflow.ledger.passed import Passed, passed
from oaflow.ledger.runs import Run, StageProgress, recent_runs
from oaflow.ledger.workers import Running, running, workers
from oaflow.operations.databases import Database
from oaflow.operations.estimating import Estimate, estimate_of
from oaflow.operations.states import RunStatus, bound_plan, in_order, status_of, wanted_run
from oaflow.operations.waits import Wait, waits_of
from oaflow.plan import BoundPlan, BoundStage
from oaflow.plan.params import close_to

# Rows of a page.
PAGE = 50

# Failures that are sorted by their causes, and documents that a search shows.
MOST_FAILURES = 5_000
MOST_HITS = 100

# With more jobs than that the history is not read to count them by the ways that they went.
_COUNTABLE = 10_000

# Connections that are kept, and seconds that one is waited for.
_CONNECTIONS = 6
_PATIENCE = 5.0

# What a page asks for is given up after so long: somebody else is busy with the database then, or there is no index.
_LONGEST = "-c statement_timeout=10s"

_NOTHING = RunCounts("", 0, 0, 0)


class Desk:
    """
    Connections to a database for those who only look, for the time of a block. `store` is that of the entities.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.settings = database.settings
        options = " ".join(filter(None, [str(conninfo_to_dict(database.address.uri).get("options") or ""), _LONGEST]))
        self._pool: ConnectionPool[Connection[Any]] = ConnectionPool(
            make_conninfo(database.address.uri, options=options),
            kwargs={"autocommit": True, "application_name": "oaflow web", "connect_timeout": 5},
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_PATIENCE,
            check=ConnectionPool.check_connection,
            open=False,
        )

        # Nobody waits at a page for as long as a worker waits for a store that is away.
        self.store = EntityStore(
            self.settings.entities_uri or database.address.uri, application_name="oaflow web", patience=_PATIENCE
        )

    def __enter__(self) -> "Desk":
        self._pool.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self._pool.close()

    @contextmanager
    def connection(self) -> Generator[Connection[Any]]:
        """
        One of them.

        Raises:
            EnvironmentProblem: the database is away, or too much is asked of it.
        """
        try:
            with self._pool.connection() as made:
                yield made
        except PoolTimeout as error:
            raise EnvironmentProblem(f"{self.database.address} does not answer", help="oaflow doctor") from error
        except OperationalError as error:
            reason = str(error).strip().splitlines()[:1] or ["no reason given"]
            raise EnvironmentProblem(f"{self.database.address}: {reason[0]}", help="oaflow doctor") from error


@dataclass(frozen=True, slots=True)
class Line:
    """
    A run in a list.
    """

    run: Run
    counts: RunCounts


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How a run stands, as far as counters say it.
    """

    status: RunStatus
    bound: BoundPlan

    @property
    def run(self) -> Run:
        """
        Which one.
        """
        return self.status.run

    @property
    def offers(self) -> tuple[str, ...]:
        """
        What can be done with it now.
        """
        run = self.run
        offered = {
            "pause": run.state == "running",
            "resume": run.state in ("paused", "interrupted") and not run.cut,
            "retry": self.status.total("failed") > 0 and run.state != "cancelled",
            "cancel": run.open,
        }
        return tuple(what for what, is_so in offered.items() if is_so)


@dataclass(frozen=True, slots=True)
class Doing:
    """
    What a run is busy with, what keeps it waiting, and how long it will still take. `ways` are how many jobs went from
    stage to stage, of runs in which that is soon counted.
    """

    running: list[Running]
    waits: list[Wait]
    estimate: Estimate | None
    ways: list[Passed]


def runs_of(connection: Connection[Any], before: str | None = None, dataset: str | None = None) -> list[Line]:
    """
    A page of runs, the newest first, and one more where more follow.

    Args:
        before: only those that are older than this one.
        dataset: only of this one.
    """
    found = recent_runs(connection, dataset=dataset, before=before, limit=PAGE + 1)
    counts = run_counts(connection, [run.id for run in found])
    return [Line(run, counts.get(run.id, _NOTHING)) for run in found]


def standing_of(connection: Connection[Any], run: str, bound: BoundPlan | None = None) -> Standing:
    """
    How a run stands.

    Args:
        bound: its plan, where it is known: it never changes.

    Raises:
        NoSuchRunError: there is none of that id.
    """
    found = wanted_run(connection, run)
    bound = bound or bound_plan(connection, found)
    return Standing(status_of(connection, found, in_order(bound)), bound)


def doing_of(connection: Connection[Any], standing: Standing, silent: float, *, private: bool) -> Doing:
    """
    What a run is busy with.

    Args:
        silent: seconds after which a worker is dead.
        private: whether this is the private server, where each run brings its own workers.
    """
    run, bound, stages = standing.run, standing.bound, standing.status.stages
    ways = passed(connection, run.id) if standing.status.total("done") <= _COUNTABLE else []
    if not run.open:
        return Doing([], [], None, ways)
    abandoned = run.state in ("running", "paused") and private and not workers(connection, silent)
    waits = waits_of(connection, run, bound, stages, silent, abandoned=abandoned)
    estimate = estimate_of(connection, run, bound, stages, silent)
    return Doing(running(connection, run.id), list(waits), estimate, ways)


@dataclass(frozen=True, slots=True)
class AtStage:
    """
    A stage of a run: how many jobs are where, the first that wait, and a page of those that have a history.
    """

    name: str
    stage: BoundStage
    progress: StageProgress
    waiting: list[WaitingJob]
    jobs: Page[EndedJob]


def stage_of(connection: Connection[Any], run: str, name: str, start: int | None, *, oldest: bool) -> AtStage:
    """
    A stage of a run.

    Args:
        start: only jobs that come after this one.
        oldest: whether the oldest come first.

    Raises:
        UsageError: there is no such run or stage.
    """
    standing = standing_of(connection, run)
    stage = standing.bound.stages.get(name)
    if stage is None:
        known = standing.bound.stages
        raise UsageError(f"run {run!r} has no stage {name!r}", help=close_to(name, known))
    progress = standing.status.stages[name]
    waiting = waiting_jobs(connection, run, stage.queue, stage.task, 10) if progress.open and start is None else []
    return AtStage(name, stage, progress, waiting, stage_jobs(connection, run, name, start, oldest=oldest, limit=PAGE))


def failures_of(
    connection: Connection[Any], run: str, *, stage: str | None, cause: str | None, after: int | None
) -> tuple[Run, list[Cluster], Page[Failure]]:
    """
    The causes of what failed in a run, and, of one of them, a page of the jobs.

    Args:
        stage, cause: only what failed there, and for this. Without a cause no job is listed.
        after: only jobs that failed after this one.

    Raises:
        NoSuchRunError: there is none of that id.
    """
    found = wanted_run(connection, run)
    causes = clusters(connection, run, stage=stage, most=MOST_FAILURES)
    if cause is None:
        return found, causes, Page([], None)
    jobs = failures(connection, run, stage=stage, cause=cause, after=after, limit=PAGE + 1)
    return found, causes, Page(jobs[:PAGE], jobs[PAGE - 1].job if len(jobs) > PAGE else None)


def documents_of(
    connection: Connection[Any], run: str, start: str, *, kind: str | None
) -> tuple[Run, Page[KnownDocument]]:
    """
    A page of the documents of a run.

    Args:
        start: only those that come after this id.
        kind: only those that were reported so: `found`, `skipped`, `unreadable`, `unchanged`.

    Raises:
        NoSuchRunError: there is none of that id.
    """
    return wanted_run(connection, run), documents_page(connection, run, start, kind=kind, limit=PAGE)


def datasets_of(connection: Connection[Any], store: EntityStore) -> list[tuple[str, LastRun | None]]:
    """
    The datasets by name, each with its last run; their sizes are not read.
    """
    runs = last_runs(connection)
    return [(name, runs.get(name)) for name in sorted({*store.datasets(), *runs})]
