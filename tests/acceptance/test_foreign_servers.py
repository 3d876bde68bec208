"""
Database servers that do not let oaflow in, or are too old for it: one sentence from the command, and exit code 3.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oaflow.postgres.layout import layout
from oaflow.postgres.server import Server
from tests.acceptance.conftest import Command, Result


def refused(result: Result) -> None:
    assert result.code == 3, result.err
    assert result.out == ""
    assert "Traceback" not in result.err


@pytest.fixture
def guarded(home: Path) -> Iterator[str]:
    """
    The address of a server that asks a guest for a password, which is not in it.
    """
    rules = layout(home).root / "guarded.conf"
    rules.parent.mkdir(mode=0o711)
    rules.write_text("local all oaflow peer map=oaflow\nlocal all guest scram-sha-256\n")
    rules.chmod(0o644)
    with Server(home, settings={"hba_file": str(rules)}) as server:
        with psycopg.connect(server.address.uri, autocommit=True) as connection:
            connection.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
        yield make_conninfo(server.address.uri, user="guest")


def that_need_the_database(pipeline: str) -> tuple[list[str], ...]:
    return (["run", pipeline, "-d", "x", "--workers", "1"], ["worker"], ["status"], ["db", "migrate"], ["db", "check"])


def test_a_wrong_password_is_said_by_every_command_that_needs_the_database(offline: Command, guarded: str) -> None:
    (offline.folder / "home" / "logs").mkdir(parents=True)  # with it workers are started before the database is asked
    pipeline = offline.pipeline("one", {"source": {}})
    there = {"OAFLOW_DB_URI": make_conninfo(guarded, password="wrong-secret")}

    for command in that_need_the_database(pipeline):
        result = offline(*command, env=there)

        refused(result)
        assert "rejects the user 'guest'" in result.error
        assert result.help == "correct user or password in OAFLOW_DB_URI"
        assert "wrong-secret" not in result.err
    examined = offline("doctor", env=there)
    assert examined.code == 3
    assert "rejects the user 'guest'" in examined.out
    assert "wrong-secret" not in examined.out + examined.err


class Older:
    """
    The test server as if it were PostgreSQL 12: a relay that changes what it says of its version, and nothing else.
    A real old one cannot be had from the package sources of a current Debian.

    Attributes:
        uri: of the relay.
    """

    def __init__(self, uri: str) -> None:
        with psycopg.connect(uri) as connection:
            number, release = connection.info.server_version, connection.info.parameter_status("server_version")
        assert release is not None
        self._changes = {
            str(number).encode(): f"12{str(number)[2:]}".encode(),
            release.encode(): f"12{release[2:]}".encode(),
        }
        parts = conninfo_to_dict(uri)
        self._server = f"{parts['host']}/.s.PGSQL.{parts['port']}"
        self._door = socket.create_server(("127.0.0.1", 0))
        self.uri = make_conninfo(uri, host="127.0.0.1", port=self._door.getsockname()[1], sslmode="disable")
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                threading.Thread(target=self._pass, args=(client, server, {}), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, self._changes), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, changes: dict[bytes, bytes]) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                for before, after in changes.items():
                    data = data.replace(before, after)  # as long as before: the lengths of messages stay right
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def older(database: str) -> Iterator[str]:
    relay = Older(database)
    yield relay.uri
    relay.close()


def test_a_server_that_is_too_old_is_said_by_every_command_that_needs_it(offline: Command, older: str) -> None:
    pipeline = offline.pipeline("one", {"source": {}})

    for command in that_need_the_database(pipeline):
        result = offline(*command, env={"OAFLOW_DB_URI": older})

        refused(result)
        assert "PostgreSQL 12" in result.error
        assert "is too old: oaflow needs 13 or newer" in result.error
        assert result.help == "upgrade that server"
    examined = offline("doctor", env={"OAFLOW_DB_URI": older})
    assert examined.code == 3
    assert "is too old" in examined.out
