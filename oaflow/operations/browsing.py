"""
What the web pages show about runs. Each answer costs the same whatever the size of the run: it reads counters, and
lists by pages. What requires reading a whole run or dataset is computed in the background.
"""

import logging
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

from oaflow.entities.errors import EntityStoreError
from oaflow.entities.holdings import Sizes, sizes
from oaflow.entities.store import EntityStore
from oaflow.entities.ways import Ways
from oaflow.errors import EnvironmentProblem, OaflowError, UsageError
from oaflow.ledger.deletions import LastRun, crawled_files, last_runs
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
from oaflow.ledger.receipts import DocumentLine, Receipt, documents, receipt
from oaflow.ledger.runs import Run, StageProgress, recent_runs
from oaflow.ledger.unmatched import Unmatched, unmatched
from oaflow.ledger.workers import Running, Worker, running, workers
from oaflow.operations.background import Background, Snapshot
from oaflow.operations.databases import Database, refusing_nul
from oaflow.operations.estimating import Estimate, estimate_of
from oaflow.operations.reading import LISTABLE
from oaflow.operations.states import (
    RunStatus,
    bound_plan,
    check_stage,
    in_order,
    index_stages,
    on_old_code,
    status_of,
    wanted_run,
)
from oaflow.operations.waits import Wait, presence_of, waits_of
from oaflow.plan import BoundPlan, BoundStage

# Rows of a page.
PAGE = 50

# How many failures are grouped by cause, and how many documents a search shows.
MOST_FAILURES = 5_000
MOST_HITS = 100

# How many connections are kept, and how many seconds to wait for one.
_CONNECTIONS = 6
_PATIENCE = 5.0

# The time limit for queries of a page: beyond it, the database is busy, or an index is missing.
_LONGEST = "-c statement_timeout=10s -c jit=off"

# The time limit for values that are computed in the background.
_LONGEST_LATER = "-c statement_timeout=10min -c jit=off"

# How many seconds a page waits for a background value: small ones are ready by then.
_GLANCE = 0.1

# How many documents of a line of the receipt are shown.
MOST_LISTED = 500

# Seconds after which the receipt of a run that may still change, or the size of a dataset, is computed again.
_AGAIN, _AGAIN_SIZES = 5.0, 30.0

_READ_ONLY = "-c default_transaction_read_only=on"

_NOTHING = RunCounts("", 0, 0, 0)


class Desk:
    """
    Connections to a database for reading, while the block runs. `store` is the entity store; `background` computes what
    takes long.

    Args:
        program: the application name of the connections.
        read_only: whether the database refuses all writes, also in the store.
        said: called with errors in the program itself that occur in the background.
    """

    def __init__(
        self,
        database: Database,
        *,
        program: str = "oaflow web",
        read_only: bool = False,
        said: Callable[[Exception], None] = traceback.print_exception,
    ) -> None:
        self.database = database
        self.settings = database.settings
        self.background = Background(said)
        self._uri, entities = database.address.uri, self.settings.entities_uri or database.address.uri
        if read_only:
            self._uri, entities = _with_option(self._uri, _READ_ONLY), _with_option(entities, _READ_ONLY)
        self._as: dict[str, Any] = {"autocommit": True, "application_name": program, "connect_timeout": 5}
        self._pool: ConnectionPool[Connection[Any]] = ConnectionPool(
            _with_option(self._uri, _LONGEST),
            kwargs=self._as,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_PATIENCE,
            # Longer, it would be tried again less and less often, and not for minutes after the database answers again.
            reconnect_timeout=_PATIENCE,
            check=ConnectionPool.check_connection,
            open=False,
        )

        # Callers learn that the database is away; the library would also write it to stderr at each attempt.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

        # A page must not wait for a store that is away as long as a worker does.
        self.store = EntityStore(entities, application_name=program, patience=_PATIENCE)

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
            EnvironmentProblem: the database is away, or overloaded.
        """
        try:
            with refusing_nul(), self._pool.connection() as made:
                yield made
        except PoolTimeout as error:
            raise EnvironmentProblem(f"{self.database.address} does not answer", help="oaflow doctor") from error
        except OperationalError as error:
            raise self._away(error) from error

    @contextmanager
    def apart(self) -> Generator[Connection[Any]]:
        """
        A separate connection for queries that take long.

        Raises:
            EnvironmentProblem: the database is away.
        """
        try:
            with refusing_nul(), Connection.connect(_with_option(self._uri, _LONGEST_LATER), **self._as) as made:
                yield made
        except OperationalError as error:
            raise self._away(error) from error

    def _away(self, error: OperationalError) -> EnvironmentProblem:
        reason = str(error).strip().splitlines()[:1] or ["no reason given"]
        return EnvironmentProblem(f"{self.database.address}: {reason[0]}", help="oaflow doctor")


def _with_option(uri: str, option: str) -> str:
    given = str(conninfo_to_dict(uri).get("options") or "")
    return make_conninfo(uri, options=f"{given} {option}".strip())


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
    The state of a run, as far as counters tell.
    """

    status: RunStatus
    bound: BoundPlan

    @property
    def run(self) -> Run:
        """
        The run.
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
    What a run is busy with, what it waits for, how long it will still take, and which workers have old code of its
    stages.
    """

    running: list[Running]
    waits: list[Wait]
    estimate: Estimate | None
    old_code: list[Worker]


def runs_of(connection: Connection[Any], before: str | None = None, dataset: str | None = None) -> list[Line]:
    """
    A page of runs, newest first, and one more if more follow.

    Args:
        before: only those that are older than this one.
        dataset: only of this one.
    """
    found = recent_runs(connection, dataset=dataset, before=before, limit=PAGE + 1)
    counts = run_counts(connection, [run.id for run in found])
    return [Line(run, counts.get(run.id, _NOTHING)) for run in found]


def standing_of(connection: Connection[Any], run: str, bound: BoundPlan | None = None) -> Standing:
    """
    The state of a run.

    Args:
        bound: its plan, if known, because it never changes.

    Raises:
        NoSuchRunError: there is no run with that id.
    """
    found = wanted_run(connection, run)
    bound = bound or bound_plan(connection, found)
    return Standing(status_of(connection, found, in_order(bound)), bound)


def doing_of(connection: Connection[Any], standing: Standing, silent: float, *, private: bool) -> Doing:
    """
    What a run is busy with.

    Args:
        silent: seconds after which a worker is dead.
        private: whether this is the private server, where each run starts its own workers.
    """
    run, bound, stages = standing.run, standing.bound, standing.status.stages
    if not run.open:
        return Doing([], [], None, [])
    crew = workers(connection, silent)
    presence = presence_of(connection, run, crew, private=private)
    waits = waits_of(connection, run, bound, stages, crew, silent, presence=presence)
    estimate = None if presence == "gone" else estimate_of(connection, run, bound, stages, crew)
    return Doing(running(connection, run.id), list(waits), estimate, on_old_code(crew, run, bound))


@dataclass(frozen=True, slots=True)
class AtStage:
    """
    A stage of a run: its counts, the first waiting jobs, and a page of jobs with a history.
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
        start: only jobs after this one.
        oldest: whether the oldest come first.

    Raises:
        UsageError: there is no such run or stage.
    """
    standing = standing_of(connection, run)
    check_stage(standing.run, standing.bound, name)
    stage = standing.bound.stages[name]
    progress = standing.status.stages[name]
    waiting = waiting_jobs(connection, run, stage.queue, stage.task, 10) if progress.open and start is None else []
    return AtStage(name, stage, progress, waiting, stage_jobs(connection, run, name, start, oldest=oldest, limit=PAGE))


def failures_of(
    connection: Connection[Any], run: str, *, stage: str | None, cause: str | None, after: int | None
) -> tuple[Run, list[Cluster], Page[Failure]]:
    """
    The causes of failures in a run, and a page of the jobs of one cause.

    Args:
        stage, cause: only failures of this stage and cause. Without a cause, no job is listed.
        after: only jobs that failed after this one.

    Raises:
        NoSuchRunError: there is no run with that id.
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
        kind: only those that were reported as this: `found`, `skipped`, `unreadable`, `unchanged`.

    Raises:
        NoSuchRunError: there is no run with that id.
    """
    return wanted_run(connection, run), documents_page(connection, run, start, kind=kind, limit=PAGE)


def ways_to(desk: Desk, run: Run, listed: Iterable[KnownDocument | DocumentLine]) -> Mapping[str, str]:
    """
    The full paths of those documents that are inside others, by id. Empty if the entity store is away: each name still
    shows the nearest container.
    """
    try:
        return Ways(desk.store, run.dataset).within({one.document: one.name for one in listed})
    except EntityStoreError:
        return {}


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """
    What became of the documents of a run, and what no edge took. `listed` has the first documents of the requested
    line, and `ways` the paths of those that are inside others.
    """

    receipt: Receipt
    unmatched: list[Unmatched]
    listed: list[DocumentLine]
    ways: Mapping[str, str]


def receipt_page(desk: Desk, run: Run, bound: BoundPlan, line: str | None) -> Snapshot[ReceiptPage] | None:
    """
    The receipt of a run, as last computed; None while it is computed for the first time.

    Args:
        line: the line whose documents are listed.

    Raises:
        UsageError: there is no such line.
        OaflowError: it could not be computed.
    """
    if line is not None and line not in LISTABLE:
        raise UsageError(f"a receipt has no line {line!r}", help=f"its lines are: {', '.join(LISTABLE)}")
    stages = index_stages(bound)

    def take() -> ReceiptPage:
        with desk.apart() as made:
            wanted = None if line in (None, "all") else line
            listed = documents(made, run.id, stages, line=wanted, limit=MOST_LISTED) if line is not None else []
            ways = ways_to(desk, run, listed)
            return ReceiptPage(receipt(made, run.id, stages), unmatched(made, run.id), listed, ways)

    # For a run that has ended, it is computed once per round, because it does not change. To a cancelled run, jobs that
    # workers held still come back.
    over = run.state in ("finished", "incomplete")
    key = ("account", run.id, line, run.round, run.state)
    return desk.background.ask(key, take, fresh=None if over else _AGAIN, patience=_GLANCE)


@dataclass(frozen=True, slots=True)
class ShownDataset:
    """
    A dataset, the number of its runs and the last one, and how much it holds; None: not known yet, or not countable
    because of `problem`.
    """

    name: str
    last: LastRun | None
    sizes: Snapshot[Sizes] | None
    problem: str | None = None


def datasets_of(connection: Connection[Any], store: EntityStore) -> list[tuple[str, LastRun | None]]:
    """
    The datasets by name, each with its last run; their sizes are not read.
    """
    runs = last_runs(connection)
    return [(name, runs.get(name)) for name in sorted({*store.datasets(), *runs})]


def sizes_of(desk: Desk, found: Iterable[tuple[str, LastRun | None]]) -> list[ShownDataset]:
    """
    Some datasets with their sizes, as far as these are known; a later call finds more.
    """
    address = desk.settings.entities_uri or desk.database.address.uri

    def measured(name: str) -> Sizes:
        with desk.connection() as made:
            files = crawled_files(made, name)
        with EntityStore(address, application_name="oaflow web", patience=_PATIENCE) as store:
            return sizes(store, name, files)

    shown: list[ShownDataset] = []
    patience = _GLANCE
    for name, last in found:
        begun = time.monotonic()
        # Again after each run, and also without one, because others may write to it.
        key = ("sizes", name, last and (last.run, last.state))
        try:
            known = desk.background.ask(key, partial(measured, name), fresh=_AGAIN_SIZES, patience=patience)
            shown.append(ShownDataset(name, last, known))
        except OaflowError as problem:
            shown.append(ShownDataset(name, last, None, str(problem)))
        patience = max(0.0, patience - (time.monotonic() - begun))
    return shown
