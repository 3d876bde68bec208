"""
The database: where it is, the private server that oaflow starts where there is none, and its schema.

Which jobs, runs and entities are in it is the business of others. The names are loaded on first use, so that a
command which only needs the address does not pay for a driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oaflow.postgres.address import Address as Address
    from oaflow.postgres.address import locate as locate
    from oaflow.postgres.address import named as named
    from oaflow.postgres.schema import Applied as Applied
    from oaflow.postgres.schema import SchemaState as SchemaState
    from oaflow.postgres.schema import check as check
    from oaflow.postgres.schema import connect as connect
    from oaflow.postgres.schema import inspect as inspect
    from oaflow.postgres.schema import migrate as migrate
    from oaflow.postgres.server import Server as Server
    from oaflow.postgres.server import open_database as open_database
    from oaflow.postgres.server import open_server as open_server

_HOMES = {
    "Address": "address",
    "Applied": "schema",
    "SchemaState": "schema",
    "Server": "server",
    "check": "schema",
    "connect": "schema",
    "inspect": "schema",
    "locate": "address",
    "migrate": "schema",
    "named": "address",
    "open_database": "server",
    "open_server": "server",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # the list above is the list


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'oaflow.postgres' has no attribute {name!r}")
        value = getattr(import_module(f"oaflow.postgres.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
