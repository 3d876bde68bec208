"""
What jobs reach outside of a worker: built from the settings when a job first asks.
"""

import atexit
from contextlib import ExitStack
from functools import cache
from threading import Lock

from oaflow.entities.store import EntityStore
from oaflow.files import Archive, ArchiveOptions
from oaflow.jobs import Bindings
from oaflow.postgres import open_database
from oaflow.runtime.queue import ProgramQueue
from oaflow.settings import Settings


def from_settings() -> Bindings:
    """
    The bindings of this program, by the environment. Registered by name with `oaflow.jobs`.
    """
    return bindings_of(Settings())


def bindings_of(settings: Settings) -> Bindings:
    """
    Bindings for the whole program. No connection is opened before it is needed; all are closed when the program ends.
    """
    address = _address(settings)
    entities = EntityStore(settings.entities_uri or address)
    queue = ProgramQueue(address)
    atexit.register(entities.close)
    atexit.register(queue.close)
    return Bindings(entities=entities, files=archive_of(settings), queue=queue, lasting=True)


def archive_of(settings: Settings) -> Archive:
    """
    The archive that `ARCHIVE_*` names, else the folder in `OAFLOW_HOME`.
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
        # Entered for as long as the program lives: the private server runs while somebody uses it.
        return stack.enter_context(open_database(settings)).uri

    def address() -> str:
        with lock:
            return found()

    atexit.register(stack.close)
    return address
