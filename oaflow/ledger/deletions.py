"""
Deletes what the runs of a dataset have left in the database: in portions, and so that an interrupted deletion can be
repeated.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.errors import UsageError
from oaflow.ledger.statements import sql

ROWS_AT_ONCE = 10_000


class InDeletionError(UsageError):
    """
    The dataset is being deleted, or was, and what did that was interrupted.
    """

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        super().__init__(f"dataset {dataset!r} is being deleted", help=f"oaflow delete -d {dataset}   # finishes that")


@dataclass(frozen=True, slots=True)
class LastRun:
    """
    How many runs a dataset had, and the latest of them.
    """

    dataset: str
    runs: int
    run: str
    pipeline: str
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """
    What the runs of a dataset have left, in rows. `waiting` are those of jobs that nobody has begun, `samples` those of
    the history that keep what a stage returned.
    """

    runs: int
    jobs: int
    waiting: int
    history: int
    samples: int
    failures: int
    passages: int


@dataclass(frozen=True, slots=True)
class Change:
    """
    What there is of runs at a moment: two that are equal have nothing between them that began or ended.
    """

    open: list[str] | None
    runs: int
    at: datetime | None


def last_runs(connection: Connection[Any]) -> dict[str, LastRun]:
    """
    The datasets that had a run.
    """
    with connection.cursor(row_factory=class_row(LastRun)) as cursor:
        return {found.dataset: found for found in cursor.execute(sql("datasets_of_runs"))}


def in_deletion(connection: Connection[Any]) -> list[str]:
    """
    The datasets whose deletion has begun and is not over.
    """
    return [dataset for (dataset,) in connection.execute(sql("deletions"))]


def left_behind(connection: Connection[Any], dataset: str) -> LeftBehind:
    """
    How much the runs of a dataset have left.
    """
    with connection.cursor(row_factory=class_row(LeftBehind)) as cursor:
        found = cursor.execute(sql("left_behind"), {"dataset": dataset}).fetchone()
        assert found is not None
        return found


def crawled_files(connection: Connection[Any], dataset: str) -> dict[str, int | None]:
    """
    The files that crawls of a dataset have met, also such as no stage has written down: how many bytes each has, by its
    content hash; None: that is not known.
    """
    return dict(connection.execute(sql("crawled_files"), {"dataset": dataset}).fetchall())


def in_hands(connection: Connection[Any], dataset: str, silent: float) -> int:
    """
    How many jobs of a dataset's runs live workers are at.

    Args:
        silent: seconds after which a worker is dead.
    """
    row = connection.execute(sql("in_hands"), {"dataset": dataset, "silent": silent}).fetchone()
    return row[0] if row else 0


def begin_deletion(connection: Connection[Any], dataset: str) -> str | None:
    """
    Says that a dataset is being deleted: none of its runs begins from now on.

    Returns:
        the open run that forbids it, or None.
    """
    row = connection.execute(sql("begin_deletion"), {"dataset": dataset}).fetchone()
    return row[0] if row else None


def end_deletion(connection: Connection[Any], dataset: str) -> None:
    """
    Says that nothing more is to be taken out.
    """
    connection.execute(sql("end_deletion"), {"dataset": dataset})


def runs_of(connection: Connection[Any], dataset: str) -> list[str]:
    """
    The ids of a dataset's runs, the oldest first.
    """
    return [run for (run,) in connection.execute(sql("runs_of"), {"dataset": dataset})]


def schedules_of(connection: Connection[Any], dataset: str) -> list[str]:
    """
    The schedules that begin runs over a dataset, by name.
    """
    return [name for (name,) in connection.execute(sql("schedules_of"), {"dataset": dataset})]


def take_out(connection: Connection[Any], dataset: str, runs: Collection[str]) -> None:
    """
    Takes out all of a dataset but the rows of its runs. What is known of its files goes to the orphans.

    Args:
        connection: in autocommit mode: each portion is a transaction of its own.
        runs: all of the dataset's.
    """
    values: dict[str, Any] = {"dataset": dataset, "rows": ROWS_AT_ONCE}
    last: int | None = 0 if runs else None
    while last is not None:
        row = connection.execute(sql("delete_jobs"), {**values, "runs": list(runs), "after": last}).fetchone()
        last = row[0] if row else None
    for run in runs:
        while _is_true(connection, "delete_rest", {**values, "run": run}):
            pass
    while connection.execute(sql("delete_passages"), values).rowcount:
        pass
    connection.execute(sql("delete_crawled"), {"dataset": dataset})
    connection.execute(sql("delete_schedules"), {"dataset": dataset})


def take_out_run(connection: Connection[Any], run: str) -> None:
    """
    Takes out the row of a run, the last that is left of it.
    """
    connection.execute(sql("delete_run"), {"run": run})


def add_orphans(connection: Connection[Any], dataset: str, hashes: Iterable[str]) -> None:
    """
    Says of files that they are to go, unless somebody uses them.
    """
    wanted = list(hashes)
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = wanted[start : start + ROWS_AT_ONCE]
        connection.execute(sql("add_orphans"), {"dataset": dataset, "hashes": part})


def forget_orphans(connection: Connection[Any], dataset: str) -> None:
    """
    Says of a dataset's files that they are to stay.
    """
    connection.execute(sql("forget_orphans"), {"dataset": dataset})


def orphans(connection: Connection[Any], rows: int = ROWS_AT_ONCE) -> Iterator[list[str]]:
    """
    The files that are to go, in portions.
    """
    after = ""
    while found := connection.execute(sql("orphans"), {"after": after, "rows": rows}).fetchall():
        yield [hash for (hash,) in found]
        after = found[-1][0]


def drop_orphans(connection: Connection[Any], hashes: Collection[str]) -> None:
    """
    Says of files that they are gone, or are to stay.
    """
    connection.execute(sql("drop_orphans"), {"hashes": list(hashes)})


def wanted_files(connection: Connection[Any], hashes: Collection[str]) -> list[str]:
    """
    Which of some files jobs may still ask for.
    """
    return [hash for (hash,) in connection.execute(sql("wanted_files"), {"hashes": list(hashes)})]


def hold_archive(connection: Connection[Any]) -> None:
    """
    Holds up runs that begin or go on again, to the end of the caller's transaction.
    """
    connection.execute(sql("lock_archive"))


def last_change(connection: Connection[Any]) -> Change:
    """
    What there is of runs now.
    """
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        found = cursor.execute(sql("last_change")).fetchone()
        assert found is not None
        return found


def _is_true(connection: Connection[Any], name: str, values: dict[str, Any]) -> bool:
    row = connection.execute(sql(name), values).fetchone()
    return row is not None and bool(row[0])
