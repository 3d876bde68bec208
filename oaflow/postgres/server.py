"""
The private server as the commands share it: the first to enter starts it, the last to leave stops it.
"""

import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import oaflow
from oaflow.postgres import locks
from oaflow.postgres.account import SystemAccount, server_account
from oaflow.postgres.address import Address, locate, named
from oaflow.postgres.cluster import Cluster, Pulse, reachable
from oaflow.postgres.disks import refuse_network_disk
from oaflow.postgres.layout import UNFINISHED, Layout, layout
from oaflow.postgres.problems import HalfRestored, ServerProblem
from oaflow.postgres.schema import check, migrate
from oaflow.settings import Settings

# Where this code is, for the process that watches: it starts in another folder.
_CODE = Path(oaflow.__file__).parent.parent


class Server:
    """
    One use of the private server. While it is open the server runs; it is a context manager.

    Attributes:
        address: where the database is.
    """

    def __init__(self, home: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._layout: Layout = layout(home)
        self._cluster: Cluster = Cluster(self._layout, settings or {})
        self._use: int | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        self.address: Address = Address(self._layout.uri, None, True)

    def open(self) -> Self:
        """
        Enters: starts the server where it does not run. Two who enter at once start it once.

        Raises:
            ServerProblem: there can be no server here.
        """
        _make_room(self._layout)
        with locks.gate(self._layout.root):
            use = locks.use(self._layout.root)
            try:
                self._ensure()
            except BaseException:
                os.close(use)
                raise
            self._use = use
        return self

    def close(self) -> None:
        """
        Leaves. The last to leave stops the server, and this returns when it has stopped.
        """
        if self._use is None:
            return
        with locks.gate(self._layout.root):
            os.close(self._use)
            self._use = None
            if locks.unused(self._layout.root):
                self._cluster.stop()
                self._dismiss_watch()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ensure(self) -> None:
        self._cluster.prepare()
        match self._cluster.pulse():
            case Pulse.ready:
                pass
            case Pulse.starting:
                # Only after a kill: a start in order ends inside the gate.
                self._cluster.wait_ready()
            case Pulse.silent:
                self._cluster.start()
        _ensure_database(self.address)
        self._ensure_watch()

    def _ensure_watch(self) -> None:
        part = locks.watch(self._layout.root)
        if part is None:
            return
        try:
            self._watch = subprocess.Popen(
                [sys.executable, "-m", "oaflow.postgres.watch", str(self._layout.root)],
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_CODE), *sys.path[1:]])},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[part],
            )
        finally:
            os.close(part)

    def _dismiss_watch(self) -> None:
        # It would end by itself in a moment; a command leaves nothing behind. One that others started ends by itself.
        if self._watch is not None:
            self._watch.terminate()
            self._watch.wait()
            self._watch = None


def open_server(settings: Settings) -> Server:
    """
    The private server of these settings, to be entered with `with`, or with `open` and `close`.
    """
    return Server(settings.home)


@contextmanager
def open_database(settings: Settings) -> Generator[Address]:
    """
    The database of these settings, ready to be used: started and migrated where it is oaflow's own, looked at where
    it is not.

    Raises:
        EnvironmentProblem: there is none, or none that this program can use.
    """
    address = locate(settings)
    if not address.embedded:
        check(address)
        yield address
        return
    if (settings.home / UNFINISHED).exists():
        raise HalfRestored(settings.home)
    with Server(settings.home):
        migrate(address, own=True, events=settings.events)
        yield address


def _make_room(layout: Layout) -> None:
    """
    Makes home and folder of the server, and sees that its account can enter. Changes nothing above the home.
    """
    home = layout.root.parent
    refuse_network_disk(layout.root)
    try:
        account = server_account(layout.data)
        _look_ahead(home, account)
        mode = 0o711 if account.foreign else 0o700
        for path in reversed([layout.root, home, *home.parents]):
            if not path.exists():
                path.mkdir(mode=mode, exist_ok=True)
                path.chmod(mode)  # whatever the umask: the account of the server has to pass
        if account.foreign:
            for path in (home, layout.root):
                mode = path.stat().st_mode & 0o7777
                if mode & 0o011 != 0o011:
                    path.chmod(mode | 0o011)
    except OSError as error:
        raise ServerProblem(
            f"the data folder {error.filename or home} cannot be used: {error.strerror}",
            help="set OAFLOW_HOME to a folder that you may write to",
        ) from error


def _look_ahead(home: Path, account: SystemAccount) -> None:
    """
    Sees that the account of the server can come as far as the home, before anything is made there.
    """
    parents = [path for path in home.parents if path.exists()]
    if account.foreign and parents and not reachable(parents[0], account):
        closed = [path for path in reversed(parents) if not reachable(path, account)]
        raise ServerProblem(
            f"PostgreSQL runs as {account.name!r} when you are root, but {account.name!r} cannot enter {closed[0]}",
            help="set OAFLOW_HOME to a folder that all users may enter, such as /var/lib/oaflow",
        )


def _ensure_database(address: Address) -> None:
    try:
        psycopg.connect(named(address.uri, "oaflow start"), connect_timeout=10).close()
    except psycopg.OperationalError:
        maintenance = make_conninfo(named(address.uri, "oaflow start"), dbname="postgres")
        with psycopg.connect(maintenance, autocommit=True, connect_timeout=10) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [address.database]).fetchone() is None:
                # It is logged page by page: to compress that is a tenth of the CPU of a first start.
                connection.execute("SET wal_compression = off")
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.database)))
