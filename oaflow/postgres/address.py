"""
Where the database is, and who said so. Starts nothing, connects to nothing.
"""

from dataclasses import dataclass

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oaflow.errors import EnvironmentProblem
from oaflow.postgres.layout import layout
from oaflow.settings import Settings


@dataclass(frozen=True)
class Address:
    """
    A database, and who named it.

    Attributes:
        uri: a connection URI or string of libpq.
        source: the variable that named it, or None for the private server.
        embedded: whether it is the private server, which oaflow starts, migrates and stops.
    """

    uri: str
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
        return f"database {self.database!r} on {self.host}{named_by}"


def locate(settings: Settings) -> Address:
    """
    The database that the settings name; the private server where they name none.

    Raises:
        EnvironmentProblem: the address cannot be read.
    """
    if settings.db_uri is None:
        return Address(layout(settings.home).uri, None, True)
    source = settings.db_source
    uri = _without_driver(settings.db_uri)
    try:
        conninfo_to_dict(uri)
    except ProgrammingError as error:
        raise EnvironmentProblem(
            f"the database address in {source or 'the settings'} cannot be read: {str(error).strip()}",
            help="postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        ) from error
    return Address(uri, source, False)


def named(conninfo: str, program: str) -> str:
    """
    The same address for a connection that says who it is: `program` is what `pg_stat_activity` will show.
    """
    # Postgres cuts names at 63 bytes; cut here, so that what is looked for is what is shown.
    return make_conninfo(conninfo, application_name=program.encode()[:63].decode(errors="ignore"))


def _without_driver(uri: str) -> str:
    # ALEPH_DATABASE_URI is written for SQLAlchemy, which names its driver: postgresql+psycopg2://
    scheme, separator, rest = uri.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}" if separator else uri
