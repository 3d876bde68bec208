"""
The whole database in numbers, for metrics that are read repeatedly. They are sums over the runs of each pipeline, so
their number does not grow with the number of runs.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.schedules import LATE
from oaflow.ledger.statements import sql

# How many open runs are checked for waiting jobs, latest first.
_RUNS = 100

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class RunsOf:
    """
    How many runs of a pipeline are in a state.
    """

    pipeline: str
    state: str
    runs: int


@dataclass(frozen=True, slots=True)
class JobsOf:
    """
    How many jobs of a stage of a pipeline are in which state. `running` jobs are also `open`.
    """

    pipeline: str
    stage: str
    open: int
    running: int
    done: int
    failed: int
    diverted: int
    vanished: int
    unmatched: int
    dropped: int
    ended: int


@dataclass(frozen=True, slots=True)
class OldestOf:
    """
    How long the oldest job of a stage has waited for a worker.
    """

    pipeline: str
    stage: str
    queue: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Rest:
    """
    The numbers that do not belong to runs.
    """

    workers: int
    late_schedules: int
    untold: int
    given_up: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """
    All numbers, at one moment.
    """

    runs: list[RunsOf]
    jobs: list[JobsOf]
    oldest: list[OldestOf]
    rest: Rest


def measured(connection: Connection[Any], *, silent: float, seconds: float) -> Measured:
    """
    Read all numbers in one snapshot, so that the sums agree.

    Args:
        silent: seconds after which a worker is dead.
        seconds: the time limit of a statement.

    Raises:
        psycopg.errors.QueryCanceled: a statement took longer.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(seconds * 1000)),))
        return Measured(
            _all(connection, RunsOf, "measured_runs"),
            _all(connection, JobsOf, "measured_stages"),
            _all(connection, OldestOf, "measured_oldest", runs=_RUNS),
            *_all(connection, Rest, "measured_rest", silent=silent, late=LATE),
        )


def _all(connection: Connection[Any], row: type[_Row], name: str, **values: Any) -> list[_Row]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(sql(name), values).fetchall()
