"""
Where the database is, and who said so. Starts nothing, connects to nothing.
"""

import os
import shlex
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oaflow.errors import EnvironmentProblem
from oaflow.postgres.layout import layout
from oaflow.settings import Settings, variables_of

_PORT = "5432"

# What an address says, as the programs of PostgreSQL take it.
_OPTIONS = {"-h": "host", "-p": "port", "-U": "user"}


class UnreadableAddressError(EnvironmentProblem):
    """
    An address of a database that cannot be read, or not as it was meant. Nothing of it is shown: part of what would be
    may be the password.
    """

    def __init__(self, source: str | None) -> None:
        self.source = source
        super().__init__(
            f"the database address in {source or 'the settings'} cannot be read",
            help="postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and in the password %25 for %, %2F for /, %40 for @",
        )


@dataclass(frozen=True)
class Address:
    """
    A database, and who named it.

    Attributes:
        uri: a connection URI or string of libpq.
        source: the variable that named it, or None for the private server.
        embedded: whether it is the private server, which oaflow starts, migrates and stops.
    """

    uri: str = field(repr=False)  # with a password in it
    source: str | None
    embedded: bool

    @property
    def host(self) -> str:
        """
        The host, or the folder of the socket.
        """
        known = conninfo_to_dict(self.uri)
        return str(known.get("host") or known.get("hostaddr") or "localhost")

    @property
    def database(self) -> str:
        """
        The name of the database.
        """
        known = conninfo_to_dict(self.uri)
        return str(known.get("dbname") or known.get("user") or "postgres")

    @property
    def user(self) -> str:
        """
        The user it is entered as.
        """
        return str(conninfo_to_dict(self.uri).get("user") or "")

    @property
    def createdb(self) -> str:
        """
        What makes the database, by the same user on the same server.
        """
        known = conninfo_to_dict(self.uri)
        words = [
            word for option, name in _OPTIONS.items() if (value := known.get(name)) for word in (option, str(value))
        ]
        return shlex.join(["createdb", *words, self.database])

    @property
    def origin(self) -> str:
        """
        What to correct where the address is wrong.
        """
        return "OAFLOW_HOME" if self.embedded else (self.source or "the address")

    def __str__(self) -> str:
        """
        Without the password: this is for people to read, and for logs.
        """
        if self.embedded:
            return f"database {self.database!r} of the private server in {self.host}"
        named_by = f" (from {self.source})" if self.source else ""
        port = str(conninfo_to_dict(self.uri).get("port") or _PORT)
        on = self.host if port == _PORT else f"{self.host}, port {port}"
        return f"database {self.database!r} on {on}{named_by}"


def locate(settings: Settings) -> Address:
    """
    The database that the settings name; the private server where they name none.

    Raises:
        EnvironmentProblem: the address cannot be read.
    """
    for other, setting in ((settings.pool_uri, "pool_uri"), (settings.entities_uri, "entities_uri")):
        if other is not None:
            names = variables_of(setting)
            _read(other, next((name for name in names if os.environ.get(name)), names[0]))
    if settings.db_uri is None:
        return Address(layout(settings.home).uri, None, True)
    return Address(_read(settings.db_uri, settings.db_source), settings.db_source, False)


def named(conninfo: str, program: str) -> str:
    """
    The same address for a connection that says who it is: `program` is what `pg_stat_activity` will show.
    """
    # Postgres cuts names at 63 bytes; cut here, so that what is looked for is what is shown.
    return make_conninfo(conninfo, application_name=program.encode()[:63].decode(errors="ignore"))


def _read(given: str, source: str | None) -> str:
    """
    An address that libpq reads as it was meant: what follows a / or a second @ in a password would be shown as name of
    the database or of its host.
    """
    uri = _without_driver(given)
    try:
        conninfo_to_dict(uri)
    except (ProgrammingError, UnicodeDecodeError):
        raise UnreadableAddressError(source) from None  # its message quotes what it could not read
    _, separator, rest = uri.partition("://")
    # libpq takes all up to the first @ for user and password, a ? too; where a / comes first, there are none.
    after = rest.partition("@")[2] if "@" in rest.partition("/")[0] else rest
    if separator and "@" in after.partition("?")[0]:
        raise UnreadableAddressError(source)
    return uri


def _without_driver(uri: str) -> str:
    # ALEPH_DATABASE_URI is written for SQLAlchemy, which names its driver: postgresql+psycopg2://
    scheme, separator, rest = uri.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}" if separator else uri
