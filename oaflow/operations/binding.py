"""
Builds what jobs have access to (store, files, queue): in a worker for each job, elsewhere from the settings when it is
first used.
"""

import atexit
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Lock

from oaflow.entities.indexed import IndexedStore
from oaflow.files import Archive, ArchiveOptions
from oaflow.jobs import Bindings, Past, Tally
from oaflow.operations.databases import Database
from oaflow.plan import BoundPlan
from oaflow.runtime.queue import ProgramQueue
from oaflow.sessions import WITHOUT_JIT
from oaflow.settings import Settings

# Loaded by the forkserver before a run starts, and so once for all executors: a crawl needs it at once.
__preload__ = ("oaflow.operations.again",)


def from_settings() -> Bindings:
    """
    The bindings of this program, from the environment. Registered by name with `oaflow.jobs`.
    """
    return bindings_of(Settings())


def bindings_of(settings: Settings) -> Bindings:
    """
    Bindings for the whole program. No connection is opened before it is needed; all are closed when the program ends.
    """
    address = _address(settings)
    entities = store_of(settings, address)
    queue = ProgramQueue(address)
    atexit.register(entities.close)
    atexit.register(queue.close)
    return Bindings(
        entities=entities, files=archive_of(settings), queue=queue, runs=Accounts(address, entities), lasting=True
    )


@contextmanager
def reaching(opened: Database, origin: str) -> Generator[Bindings]:
    """
    Bindings for a program that has opened a database, while the block runs.

    Args:
        origin: signs what is written.
    """
    address = opened.address.uri
    store, queue = store_of(opened.settings, address), ProgramQueue(lambda: address)
    try:
        files, runs = archive_of(opened.settings), Accounts(lambda: address, store)
        yield Bindings(entities=store, files=files, queue=queue, origin=origin, runs=runs, lasting=True)
    finally:
        store.close()
        queue.close()


def for_job(settings_json: str, plan: BoundPlan, stage: str, dataset: str | None, temp: Path) -> Bindings:
    """
    The bindings of one job of a run; their resources are shared by all jobs of the process.

    Args:
        settings_json: the settings of the worker.
        plan: of the run.
        stage: the stage whose origin signs what the job writes.
        dataset: of the job, or None for a job without one.
        temp: the job's own folder.
    """
    entities, files, queue, runs = _of_process(settings_json)
    origin = plan.stages[stage].origin
    return Bindings(entities=entities, files=files, queue=queue, runs=runs, origin=origin, temp=temp)


class Accounts:
    """
    What is known about runs, read over a separate connection, because callers ask only once.
    """

    def __init__(self, address: Callable[[], str], store: IndexedStore) -> None:
        self._address, self._store = address, store

    def past(self, run: str) -> AbstractContextManager[Past | None]:
        """
        What was known before a run about the files that its crawl sees; None if there is no such run.
        """
        from oaflow.operations.again import past_of

        return past_of(self._address(), self._store, run)

    def account(self, run: str) -> list[Tally]:
        """
        What became of the documents of a run, most frequent first.

        Raises:
            UsageError: there is no such run.
        """
        # Imported here, because hardly any job needs this.
        import psycopg

        from oaflow.ledger.receipts import tallies
        from oaflow.operations.states import bound_plan, index_stages, wanted_run

        with psycopg.connect(self._address(), autocommit=True, application_name="oaflow account") as connection:
            connection.execute(WITHOUT_JIT)
            found = wanted_run(connection, run)
            return tallies(connection, found.id, index_stages(bound_plan(connection, found)))


@cache
def _of_process(settings_json: str) -> tuple[IndexedStore, Archive, ProgramQueue, Accounts]:
    settings = Settings.model_validate_json(settings_json)

    def address() -> str:  # the server is running, because a worker is
        from oaflow.postgres import locate

        return locate(settings).uri

    store = store_of(settings, address)
    return store, archive_of(settings), ProgramQueue(address), Accounts(address, store)


def store_of(settings: Settings, address: str | Callable[[], str]) -> IndexedStore:
    """
    The entity store with the search over it.

    Args:
        address: of the database with oaflow's tables, or a function that finds it when needed.
    """
    if settings.entities_uri is None:
        return IndexedStore(address)
    return IndexedStore(settings.entities_uri, searched=address)


def archive_of(settings: Settings) -> Archive:
    """
    The archive that `ARCHIVE_*` names, otherwise the folder in `OAFLOW_HOME`.
    """
    return Archive(
        ArchiveOptions(
            kind=settings.archive_type,
            path=settings.archive_path or settings.home / "archive",
            bucket=settings.archive_bucket,
            publication_bucket=settings.publication_bucket,
            uri=settings.archive_uri,
        )
    )


def _address(settings: Settings):
    lock, stack = Lock(), ExitStack()

    @cache
    def found() -> str:
        from oaflow.postgres import open_database  # executors need not load the code that starts servers

        # Entered for the lifetime of the program: the private server runs as long as it is in use.
        return stack.enter_context(open_database(settings)).uri

    def address() -> str:
        with lock:
            return found()

    atexit.register(stack.close)
    return address
