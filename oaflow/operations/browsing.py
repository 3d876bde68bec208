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

from oaflow.errors import EnvironmentProblem
from oaflow.ledger.pages import RunCounts, run_counts
from oaflow.ledger.runs import Run, recent_runs
from oaflow.ledger.workers import Running, running, workers
from oaflow.operations.databases import Database
from oaflow.operations.states import RunStatus, bound_plan, in_order, status_of, wanted_run
from oaflow.operations.waits import Wait, waits_of
from oaflow.plan import BoundPlan

# Rows of a page.
PAGE = 50

# Connections that are kept, and seconds that one is waited for.
_CONNECTIONS = 6
_PATIENCE = 5.0

# What a page asks for is given up after so long: somebody else is busy with the database then, or there is no index.
_LONGEST = "-c statement_timeout=10s"

_NOTHING = RunCounts("", 0, 0, 0)


class Desk:
    """
    Connections to a database for those who only look, for the time of a block.
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

    def __enter__(self) -> "Desk":
        self._pool.open()
        return self

    def __exit__(self, *_: object) -> None:
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


@dataclass(frozen=True, slots=True)
class Doing:
    """
    What a run is busy with, and what keeps it waiting.
    """

    running: list[Running]
    waits: list[Wait]


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
    run = standing.run
    if not run.open:
        return Doing([], [])
    abandoned = run.state in ("running", "paused") and private and not workers(connection, silent)
    waits = waits_of(connection, run, standing.bound, standing.status.stages, silent, abandoned=abandoned)
    return Doing(running(connection, run.id), list(waits))
