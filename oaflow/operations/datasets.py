"""
`oaflow datasets` and `oaflow delete`: what each dataset holds, and deleting one.
"""

import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from oaflow.entities import holdings
from oaflow.entities.datasets import table_name
from oaflow.entities.fragments import known_schemata
from oaflow.entities.holdings import Sizes, Unreadable
from oaflow.entities.store import EntityStore
from oaflow.errors import UsageError
from oaflow.ledger import deletions as ledger
from oaflow.ledger.deletions import Change, LastRun, LeftBehind
from oaflow.operations.binding import archive_of, store_of
from oaflow.operations.completing import remember
from oaflow.operations.databases import database, logs_folder
from oaflow.operations.detaching import follower_log
from oaflow.operations.finding import NoSuchDatasetError
from oaflow.printed.documents import Dataset as DatasetJson
from oaflow.printed.documents import Deleted as DeletedJson
from oaflow.settings import Settings, or_environment
from oaflow.spelling import did_you_mean

# How many files are deleted from the archive while runs that start must wait.
_FILES_AT_ONCE = 500


class BusyDatasetError(UsageError):
    """
    A run of the dataset has not ended, and would continue to write to it.
    """

    def __init__(self, dataset: str, run: str) -> None:
        self.dataset, self.run = dataset, run
        super().__init__(
            f"run {run!r} of dataset {dataset!r} has not ended",
            help=f"oaflow cancel {run} && oaflow delete -d {dataset}",
        )


class StillAtWorkError(UsageError):
    """
    Workers still hold jobs of a cancelled run, which finish their writes.
    """

    def __init__(self, dataset: str, jobs: int) -> None:
        self.dataset, self.jobs = dataset, jobs
        what = "1 job of a cancelled run is" if jobs == 1 else f"{jobs:,} jobs of a cancelled run are"
        super().__init__(
            f"dataset {dataset!r}: {what} still being worked on",
            help=f"wait a moment, then type again: oaflow delete -d {dataset}",
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """
    A dataset, with what it holds.

    Attributes:
        sizes: how much it holds.
        last: its latest run; None if it had none.
        deleting: whether its deletion has begun and is not finished.
    """

    name: str
    sizes: Sizes
    last: LastRun | None
    deleting: bool

    def as_json(self) -> DatasetJson:
        """
        The public form.
        """
        last = self.last
        return {
            "dataset": self.name,
            "entities": self.sizes.entities,
            "documents": self.sizes.documents,
            "files": self.sizes.files,
            "bytes": self.sizes.bytes,
            "runs": last.runs if last else 0,
            "last_run": {
                "run": last.run,
                "pipeline": last.pipeline,
                "state": last.state,
                "at": last.created_at.isoformat(),
            }
            if last
            else None,
            "deleting": self.deleting,
        }


@dataclass(frozen=True, slots=True)
class Holdings:
    """
    What would be deleted with a dataset.

    Attributes:
        sizes: how much it holds.
        left: what its runs have left in the database.
        schedules: names of the schedules that start runs over it.
        others: origins of its entities that are not stages of oaflow.
        archive: the archive that its files are in.
        with_files: whether its files are deleted, too.
    """

    dataset: str
    sizes: Sizes
    left: LeftBehind
    schedules: tuple[str, ...]
    others: tuple[str, ...]
    archive: str
    with_files: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """
    What was deleted.

    Attributes:
        files: how many files were deleted from the archive.
        shared: how many stay because other datasets use them.
        waiting: how many stay because runs that have not ended may still need them.
        of: ids of those runs.
    """

    dataset: str
    files: int
    shared: int
    waiting: int
    of: tuple[str, ...]

    def as_json(self) -> DeletedJson:
        """
        The public form.
        """
        return {
            "dataset": self.dataset,
            "files": self.files,
            "files_shared": self.shared,
            "files_waiting": self.waiting,
        }


def list_datasets(*, settings: Settings | None = None) -> list[Dataset]:
    """
    All datasets that have entities, had a run or are being deleted, by name, with what each holds.
    """
    with _opened(or_environment(settings)) as (made, store):
        return _datasets(made, store)


def delete(
    dataset: str,
    *,
    agreed: Callable[[Holdings], bool] = lambda found: True,
    with_files: bool | None = None,
    settings: Settings | None = None,
) -> Deleted | None:
    """
    Deletes a dataset: its entities, their search index, its runs with jobs and history, and the files that no other
    dataset uses. If it was interrupted, call it again: it continues.

    Args:
        agreed: called with what would be deleted; if it returns False, nothing is done.
        with_files: whether files are deleted from the archive; None: only if the archive is oaflow's own.

    Returns:
        What was deleted; None if `agreed` returned False.

    Raises:
        UsageError: there is no such dataset, or it is being worked on: a `NoSuchDatasetError` or `BusyDatasetError`.
    """
    table_name(dataset)
    known = or_environment(settings)
    own = known.archive_type == "file" and known.archive_path is None
    with _opened(known) as (made, store):
        names = _names(made, store)
        if dataset not in names:
            raise NoSuchDatasetError(dataset, sorted(names))
        found = _holdings(known, made, store, dataset, own if with_files is None else with_files)
        _refuse_busy(known, made, dataset)
        if not agreed(found):
            return None
        # Again, and for good: this finds a run that started meanwhile, and no run can start from here on.
        if (run := ledger.begin_deletion(made, dataset)) is not None:
            raise BusyDatasetError(dataset, run)
        _take_out(known, made, store, dataset, with_files=found.with_files)
        remember(known, made)
        return _clear_archive(known, made, store, dataset)


def delete_unreadable(
    dataset: str,
    *,
    conflicting: str | None = None,
    origin: str | None = None,
    agreed: Callable[[Sequence[Unreadable]], bool] = lambda found: True,
    settings: Settings | None = None,
) -> list[Unreadable] | None:
    """
    Removes from a dataset the fragments that keep its entities from being read. Other fragments of these entities stay.

    Args:
        conflicting: remove fragments in this schema whose entity has another fragment that cannot be merged with it;
            None: fragments whose schema followthemoney does not have.
        origin: only fragments of this origin; None: of all.
        agreed: called with what would be removed; if it returns False, nothing is done.

    Returns:
        What was removed; None if `agreed` returned False.

    Raises:
        NoSuchDatasetError: there is no dataset of this name.
        UsageError: there is no such schema.
    """
    table_name(dataset)
    if conflicting is not None and conflicting not in (schemata := known_schemata()):
        raise UsageError(
            f"followthemoney has no schema {conflicting!r}",
            help=did_you_mean(conflicting, schemata) or f"oaflow delete -d {dataset} --unknown-schema",
        )
    known = or_environment(settings)
    with database(known) as opened, opened.connect() as made, store_of(known, opened.address.uri) as store:
        if dataset not in (names := _names(made, store)):
            raise NoSuchDatasetError(dataset, sorted(names))
        found = holdings.unreadable(store, dataset, conflicting, origin)
        if found and not agreed(found):
            return None
        holdings.take_out_unreadable(store, dataset, conflicting, origin)
        return found


def _datasets(made: Connection[Any], store: EntityStore) -> list[Dataset]:
    runs, deleting = ledger.last_runs(made), set(ledger.in_deletion(made))
    return [
        Dataset(name, holdings.sizes(store, name, ledger.crawled_files(made, name)), runs.get(name), name in deleting)
        for name in sorted({*store.datasets(), *runs, *deleting})
    ]


def _names(made: Connection[Any], store: EntityStore) -> set[str]:
    return {*store.datasets(), *ledger.last_runs(made), *ledger.in_deletion(made)}


def _holdings(
    settings: Settings, made: Connection[Any], store: EntityStore, dataset: str, with_files: bool
) -> Holdings:
    pipelines = {run.rpartition("-")[0] for run in ledger.runs_of(made, dataset)}
    others = [
        origin
        for origin in holdings.origins(store, dataset)
        if origin != "oaflow" and origin.partition("/")[0] not in pipelines
    ]
    return Holdings(
        dataset,
        holdings.sizes(store, dataset, ledger.crawled_files(made, dataset)),
        ledger.left_behind(made, dataset),
        tuple(ledger.schedules_of(made, dataset)),
        tuple(others),
        archive_of(settings).options.where,
        with_files,
    )


def _refuse_busy(settings: Settings, made: Connection[Any], dataset: str) -> None:
    from oaflow.ledger.runs import OPEN_STATES, latest_run

    run = latest_run(made, dataset=dataset, states=OPEN_STATES)
    if run is not None:
        raise BusyDatasetError(dataset, run.id)
    if jobs := ledger.in_hands(made, dataset, settings.dead_after):
        raise StillAtWorkError(dataset, jobs)


def _take_out(settings: Settings, made: Connection[Any], store: EntityStore, dataset: str, *, with_files: bool) -> None:
    # In an order that can be repeated: the files are recorded before the entities that name them are deleted, and the
    # runs go last, because their ids lead to everything else.
    runs = ledger.runs_of(made, dataset)
    if with_files:
        ledger.add_orphans(made, dataset, holdings.hashes(store, dataset))
    ledger.take_out(made, dataset, runs)
    if not with_files:
        ledger.forget_orphans(made, dataset)
    holdings.drop(store, dataset)
    for run in runs:
        _remove_files_of(settings, run)
        ledger.take_out_run(made, run)
    ledger.end_deletion(made, dataset)


def _remove_files_of(settings: Settings, run: str) -> None:
    """
    Remove what a run has left on the disk of this machine.
    """
    for file in (logs_folder(settings) / f"{run}.jsonl", follower_log(settings, run), settings.report(run)):
        with suppress(OSError):
            file.unlink(missing_ok=True)
    for folder in (settings.home / "crawls").glob(f"{run}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _clear_archive(settings: Settings, made: Connection[Any], store: EntityStore, dataset: str) -> Deleted:
    """
    Delete the files that are no longer used, including those of earlier deletions. Not while a run is open, because
    nothing refers yet to a file that it has just put into the archive.
    """
    archive = archive_of(settings)
    files = shared = 0
    looked: Change | None = None
    while True:
        with made.transaction():
            ledger.hold_archive(made)
            now = ledger.last_change(made)
            group = next(ledger.orphans(made, _FILES_AT_ONCE), [])
            if not group or now.open:
                return Deleted(dataset, files, shared, _count(made), tuple(now.open or ()))
            if now == looked:
                archive.remove(group)
                ledger.drop_orphans(made, group)
                files += len(group)
                continue
        # The first time, or a run has started and ended since, whose results may use them.
        looked = ledger.last_change(made)
        shared += _spare(made, store)


def _spare(made: Connection[Any], store: EntityStore) -> int:
    """
    Unmark the orphans that are used after all; returns how many.
    """
    shared, others = 0, store.datasets()
    for group in ledger.orphans(made):
        used = {hash for other in others for hash in holdings.hashes(store, other, group)}
        used.update(ledger.wanted_files(made, group))
        ledger.drop_orphans(made, used)
        shared += len(used)
    return shared


def _count(made: Connection[Any]) -> int:
    return sum(len(group) for group in ledger.orphans(made))


@contextmanager
def _opened(settings: Settings) -> Generator[tuple[Connection[Any], EntityStore]]:
    with database(settings) as opened, opened.connect() as made, store_of(settings, opened.address.uri) as store:
        yield made, store
