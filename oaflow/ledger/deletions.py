"""
Deletes what the runs of a dataset have left in the database, in portions and so that an interrupted deletion can be
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
    The dataset is being deleted, or its deletion was interrupted.
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
    What the runs of a dataset have left, in rows. `waiting` counts jobs that no worker has started, `samples` rows of
    the history with samples of output.
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
    The state of all runs at a moment: if two are equal, no run started or ended between them.
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
    The datasets whose deletion has started but not finished.
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
    The files that crawls of a dataset have found, including those that no stage has recorded: the size of each in
    bytes, by content hash; None if unknown.
    """
    return dict(connection.execute(sql("crawled_files"), {"dataset": dataset}).fetchall())


def in_hands(connection: Connection[Any], dataset: str, silent: float) -> int:
    """
    How many jobs of a dataset's runs live workers hold.

    Args:
        silent: seconds after which a worker is dead.
    """
    row = connection.execute(sql("in_hands"), {"dataset": dataset, "silent": silent}).fetchone()
    return row[0] if row else 0


def begin_deletion(connection: Connection[Any], dataset: str) -> str | None:
    """
    Mark a dataset as being deleted: none of its runs can start from now on.

    Returns:
        the open run that prevents it, or None.
    """
    row = connection.execute(sql("begin_deletion"), {"dataset": dataset}).fetchone()
    return row[0] if row else None


def end_deletion(connection: Connection[Any], dataset: str) -> None:
    """
    Mark the deletion as finished.
    """
    connection.execute(sql("end_deletion"), {"dataset": dataset})


def runs_of(connection: Connection[Any], dataset: str) -> list[str]:
    """
    The ids of a dataset's runs, oldest first.
    """
    return [run for (run,) in connection.execute(sql("runs_of"), {"dataset": dataset})]


def schedules_of(connection: Connection[Any], dataset: str) -> list[str]:
    """
    The schedules that start runs over a dataset, by name.
    """
    return [name for (name,) in connection.execute(sql("schedules_of"), {"dataset": dataset})]


def take_out(connection: Connection[Any], dataset: str, runs: Collection[str]) -> None:
    """
    Delete everything of a dataset except the rows of its runs. Its files become orphans.

    Args:
        connection: in autocommit mode: each portion is a transaction of its own.
        runs: all runs of the dataset.
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
    Delete the row of a run, the last thing left of it.
    """
    connection.execute(sql("delete_run"), {"run": run})


def add_orphans(connection: Connection[Any], dataset: str, hashes: Iterable[str]) -> None:
    """
    Mark files for removal, unless they are in use.
    """
    wanted = list(hashes)
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = wanted[start : start + ROWS_AT_ONCE]
        connection.execute(sql("add_orphans"), {"dataset": dataset, "hashes": part})


def forget_orphans(connection: Connection[Any], dataset: str) -> None:
    """
    Unmark the files of a dataset, so that they stay.
    """
    connection.execute(sql("forget_orphans"), {"dataset": dataset})


def orphans(connection: Connection[Any], rows: int = ROWS_AT_ONCE) -> Iterator[list[str]]:
    """
    The files marked for removal, in portions.
    """
    after = ""
    while found := connection.execute(sql("orphans"), {"after": after, "rows": rows}).fetchall():
        yield [hash for (hash,) in found]
        after = found[-1][0]


def drop_orphans(connection: Connection[Any], hashes: Collection[str]) -> None:
    """
    Unmark files that have been removed, or should stay.
    """
    connection.execute(sql("drop_orphans"), {"hashes": list(hashes)})


def wanted_files(connection: Connection[Any], hashes: Collection[str]) -> list[str]:
    """
    Which of some files jobs may still need.
    """
    return [hash for (hash,) in connection.execute(sql("wanted_files"), {"hashes": list(hashes)})]


def hold_archive(connection: Connection[Any]) -> None:
    """
    Block runs from starting or continuing until the end of the caller's transaction.
    """
    connection.execute(sql("lock_archive"))


def last_change(connection: Connection[Any]) -> Change:
    """
    The state of all runs now.
    """
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        found = cursor.execute(sql("last_change")).fetchone()
        assert found is not None
        return found


def _is_true(connection: Connection[Any], name: str, values: dict[str, Any]) -> bool:
    row = connection.execute(sql(name), values).fetchone()
    return row is not None and bool(row[0])
