"""
`oaflow db`: migrates the schema of a database, checks it, and removes old rows.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from oaflow.entities.datasets import table_name
from oaflow.entities.errors import EntityStoreError
from oaflow.entities.store import EntityStore
from oaflow.errors import EnvironmentProblem
from oaflow.ledger.pruning import Pruned, prune
from oaflow.operations.databases import database
from oaflow.postgres import Address, Applied, SchemaState, check, locate, migrate, open_server
from oaflow.postgres.schema import inspect
from oaflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Tables:
    """
    Fragment tables of other programs that lack the index for finding, and replacing, what was written about a document.

    Attributes:
        names: of the tables.
        problem: why they could not be checked, or None.
    """

    names: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Migrated:
    """
    What was done, or (in a dry run) would be done.

    Attributes:
        indexed: tables of other programs that got their index.
        left: those that have none, because it was not requested.
    """

    address: Address
    steps: tuple[Applied, ...]
    indexed: tuple[str, ...]
    left: Tables


class IndexNotMadeError(EnvironmentProblem):
    """
    A table of another program did not get its index.
    """

    def __init__(self, table: str, reason: str) -> None:
        self.table, self.reason = table, reason
        super().__init__(f"{table} got no index: {reason}", help="as its owner: oaflow db migrate --entity-indexes")


@contextmanager
def _reached(settings: Settings) -> Generator[Address]:
    """
    The database, started if it is the private one.
    """
    address = locate(settings)
    if address.embedded:
        with open_server(settings):
            yield address
    else:
        yield address


def db_migrate(
    settings: Settings,
    *,
    dry_run: bool = False,
    wanted: Callable[[Sequence[str]], bool] = lambda tables: False,
    capture: bool | None = None,
) -> Migrated:
    """
    Migrate the database to this program's schema, or tell what that would take.

    Args:
        wanted: called once, if tables of other programs lack their index, to ask whether they should get it.
        capture: whether triggers record what services hand over; None changes nothing.

    Raises:
        DatabaseProblem: it cannot be migrated.
        IndexNotMadeError: a table did not get its index; everything before that is done.
    """
    with _reached(settings) as address:
        own = address.embedded
        steps = tuple(migrate(address, dry_run=dry_run, own=own, events=settings.events, capture=capture))
        tables = tables_without_index(settings, address)
        if not tables.names or not wanted(tables.names):
            return Migrated(address, steps, (), tables)
        if not dry_run:
            _add_indexes(settings, address, tables.names)
        return Migrated(address, steps, tables.names, Tables())


def db_check(settings: Settings) -> tuple[Address, SchemaState, Tables]:
    """
    Check the schema of the database, and the tables of the entity store.

    Raises:
        DatabaseProblem: this program cannot work with it.
    """
    with _reached(settings) as address:
        check(address)
        return address, inspect(address), tables_without_index(settings, address)


def db_prune(settings: Settings, days: float | None, *, dry_run: bool = False) -> tuple[Address, float, Pruned]:
    """
    Delete ended jobs and history that are older than a number of days, by default `OAFLOW_KEEP`.

    Raises:
        DatabaseProblem: this program cannot work with the database.
    """
    kept = float(settings.keep) if days is None else days
    with database(settings) as opened, opened.connect("oaflow prune") as made:
        return opened.address, kept, prune(made, kept, dry_run=dry_run)


def tables_without_index(settings: Settings, address: Address) -> Tables:
    """
    Check the tables of the entity store, which may be in a different database.
    """
    try:
        with _store(settings, address) as store:
            found = [table_name(name) for name in store.datasets() if not store.has_index(name)]
    except EntityStoreError as error:
        return Tables(problem=error.reason)
    return Tables(tuple(found))


def _add_indexes(settings: Settings, address: Address, tables: Sequence[str]) -> None:
    with _store(settings, address) as store:
        for table in tables:
            try:
                store.add_index(table.removeprefix("ftm_"))
            except EntityStoreError as error:
                raise IndexNotMadeError(table, error.reason) from error


def _store(settings: Settings, address: Address) -> EntityStore:
    # Without patience: a user waits for the answer, and can ask again.
    return EntityStore(settings.entities_uri or address.uri, application_name="oaflow migrate", patience=0)
