"""
A private server whose data lie on a small disk of its own: `python -m tests.chaos.small_disk HOME`, where that disk is
mounted; it ends when nobody is at its stdin any more.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from oaflow.postgres import migrate
from oaflow.postgres.server import Server
from tests.acceptance.conftest import ROOT
from tests.acceptance.test_bad_documents import refuse_without_mounts

# A private mount namespace: nothing is left where the test is killed.
_MOUNT = 'mount -t tmpfs -o size=160m,mode=711 none "$0" && exec "$@"'
_THERE = 'cd "$0" && exec "$@"'


@dataclass(frozen=True)
class SmallDisk:
    """
    The disk, seen from outside.

    Attributes:
        pid: of a process that sees it.
        home: where it is mounted, for that process.
    """

    pid: int
    home: Path

    @property
    def folder(self) -> Path:
        """
        Where it is for all others.
        """
        return Path(f"/proc/{self.pid}/root{self.home}")

    @property
    def uri(self) -> str:
        """
        Of the database on it.
        """
        return make_conninfo(host=str(self.folder / "postgres" / "run"), user="oaflow", dbname="oaflow", options="")

    def inside(self, folder: Path, *command: str) -> Sequence[str]:
        """
        A command, as one that sees the disk.
        """
        return "nsenter", "--target", str(self.pid), "--mount", "sh", "-c", _THERE, str(folder), *command

    def fill(self) -> None:
        """
        Leave no byte of it.
        """
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 10):
                with suppress(OSError):
                    while ballast.write(bytes(size)) == size:
                        pass

    def exhaust(self) -> None:
        """
        Have the server use up what it had set aside for its log: it ends then.
        """
        with suppress(psycopg.OperationalError), psycopg.connect(self.uri, autocommit=True) as connection:
            while True:
                connection.execute("SELECT pg_logical_emit_message(false, 'chaos', repeat('x', 1000000))")

    def free(self) -> None:
        """
        There is room again.
        """
        (self.folder / "ballast").unlink()


@contextmanager
def small_disk(home: Path) -> Iterator[SmallDisk]:
    """
    Such a disk and its server for the time of a block.
    """
    refuse_without_mounts()
    process = subprocess.Popen(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            _MOUNT,
            str(home),
            sys.executable,
            "-m",
            "tests.chaos.small_disk",
            str(home),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            pytest.fail("there is no server on a small disk")
        yield SmallDisk(process.pid, home)
    finally:
        process.stdin.close()
        process.wait(60)


def main(home: Path) -> None:
    """
    Have a server there until nobody needs it.
    """
    with Server(home) as server:
        migrate(server.address.uri, own=True)
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
