"""
The database: where it is, the private server that oaflow starts where there is none, and its schema.

Which jobs, runs and entities are in it is the business of others. The names are loaded on first use, so that a
command which only needs the address does not pay for a driver.
"""

from typing import TYPE_CHECKING

from oaflow.lazy import on_first_use

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
    "Address": "oaflow.postgres.address",
    "Applied": "oaflow.postgres.schema",
    "SchemaState": "oaflow.postgres.schema",
    "Server": "oaflow.postgres.server",
    "check": "oaflow.postgres.schema",
    "connect": "oaflow.postgres.schema",
    "inspect": "oaflow.postgres.schema",
    "locate": "oaflow.postgres.address",
    "migrate": "oaflow.postgres.schema",
    "named": "oaflow.postgres.address",
    "open_database": "oaflow.postgres.server",
    "open_server": "oaflow.postgres.server",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # the list above is the list

if not TYPE_CHECKING:
    __getattr__ = on_first_use(__name__, _HOMES)
