"""
The database's schema: bringing it up to date, and looking whether it is.
"""

from collections.abc import Generator
from contextlib import contextmanager

from oaflow.postgres import Address, Applied, SchemaState, check, locate, migrate, open_server
from oaflow.postgres.schema import inspect
from oaflow.settings import Settings


@contextmanager
def _reached(settings: Settings) -> Generator[Address]:
    """
    The database, started where it is the private one, and otherwise as it is.
    """
    address = locate(settings)
    if address.embedded:
        with open_server(settings):
            yield address
    else:
        yield address


def db_migrate(settings: Settings, *, dry_run: bool = False) -> tuple[Address, list[Applied]]:
    """
    Brings the database to this program's schema, or says what that would take.

    Returns:
        the database, and each step.
    """
    with _reached(settings) as address:
        return address, migrate(address, dry_run=dry_run, own=address.embedded)


def db_check(settings: Settings) -> tuple[Address, SchemaState]:
    """
    Looks at the schema of the database.

    Raises:
        DatabaseProblem: this program cannot work with it.
    """
    with _reached(settings) as address:
        check(address)
        return address, inspect(address)
