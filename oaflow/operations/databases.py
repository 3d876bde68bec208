"""
Connections to the database of the settings, for commands. Starts the private server if it is needed.
"""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from oaflow.errors import EnvironmentProblem, UsageError, says_full
from oaflow.postgres import Address, open_database
from oaflow.runtime.room import full
from oaflow.sessions import WITHOUT_JIT
from oaflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Database:
    """
    A database that can be used now: started, and with a schema that this program knows.
    """

    address: Address
    settings: Settings

    @property
    def embedded(self) -> bool:
        """
        Whether it is the private server.
        """
        return self.address.embedded

    def connect(self, program: str = "oaflow") -> Connection[Any]:
        """
        A new connection in autocommit mode.

        Raises:
            EnvironmentProblem: it can no longer be reached.
        """
        try:
            connection = psycopg.connect(
                self.address.uri, autocommit=True, application_name=program, connect_timeout=10
            )
            connection.execute(WITHOUT_JIT)
            return connection
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[-1:] or ["no reason given"]
            raise EnvironmentProblem(f"{self.address} cannot be reached: {reason[0]}", help="oaflow doctor") from error


class Link:
    """
    A connection that reconnects when it breaks, and hears about runs that start or end.

    Args:
        program: the application name of the connection.
    """

    def __init__(self, database: Database, program: str) -> None:
        self._database, self._program = database, program
        self._connection: Connection[Any] | None = None

    def get(self) -> Connection[Any]:
        """
        The connection, which works as far as is known.

        Raises:
            OperationalError: the database is away.
        """
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = psycopg.connect(
                self._database.address.uri, autocommit=True, application_name=self._program, connect_timeout=5
            )
            self._connection.execute(f"LISTEN oaflow; {WITHOUT_JIT}")
        return self._connection

    def wait(self, seconds: float) -> None:
        """
        Wait, at most until a run starts or ends.
        """
        for _ in self.get().notifies(timeout=seconds, stop_after=1):
            pass

    def close(self) -> None:
        """
        Close it.
        """
        if self._connection is not None:
            self._connection.close()

    def cut(self) -> None:
        """
        Close it from another thread, even in the middle of a statement that the server does not answer.
        """
        if (connection := self._connection) is not None:
            cut(connection)

    def why(self, error: Exception) -> str:
        """
        Why the database is away. Our own server may report the reason only in its log: its disk is full.
        """
        if self._database.embedded and (problem := full([self._database.settings.home])):
            return problem
        lines = str(error).strip().splitlines()
        return lines[0].strip() if lines else type(error).__name__


def cut(connection: Connection[Any]) -> None:
    """
    Close a connection from another thread, even in the middle of a statement that the server does not answer.
    """
    with suppress(psycopg.OperationalError, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


class NulError(UsageError):
    """
    No text in a database can contain a NUL, so a search for such a text cannot succeed.
    """

    def __init__(self) -> None:
        super().__init__(
            "a name or text contains a NUL character (\\0), which the database cannot store", help="leave it out"
        )


@contextmanager
def refusing_nul() -> Generator[None]:
    """
    Turn the driver's error about a NUL in a text into a clear one.

    Raises:
        NulError: a text contained a NUL.
    """
    try:
        yield
    except psycopg.DataError as error:
        # It is refused before it is sent, so there is no SQLSTATE.
        if error.sqlstate is None and "NUL" in str(error):
            raise NulError from error
        raise


@contextmanager
def database(settings: Settings) -> Generator[Database]:
    """
    The database of the settings, for the duration of a command.

    Raises:
        EnvironmentProblem: it cannot be used, or the connection was lost.
        NulError: a text contained a NUL.
    """
    with open_database(settings) as address:
        try:
            with refusing_nul():
                yield Database(address, settings)
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[:1] or ["no reason given"]
            if says_full(error):
                raise EnvironmentProblem(
                    f"{address} has no room: {reason[0]}", help="df -h   # on its machine"
                ) from error
            raise EnvironmentProblem(
                f"{address}: the connection was lost: {reason[0]}", help="oaflow doctor"
            ) from error


@contextmanager
def connection(settings: Settings) -> Generator[Connection[Any]]:
    """
    One connection to the database of the settings.
    """
    with database(settings) as opened, opened.connect() as made:
        yield made


def logs_folder(settings: Settings) -> Path:
    """
    The folder with the output of stages and workers.
    """
    return settings.home / "logs"
