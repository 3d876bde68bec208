"""
Runs `oaflow` as a new process does, in a fork of one that has imported the program: the same command line, folder,
environment, streams and end, without the 0.25 s of CPU that importing takes. What only a new interpreter can show (what
is imported, and how it is found; another encoding) is not for it.

It has followthemoney too, which the forkserver of every small run would read anew: 0.5 of its 0.86 s of CPU.

Commands that run the ready-made pipeline are forks of a second such process, which has loaded what the ready-made
stages need, as a forkserver does for each run: 1.2 s of CPU. All others would be slower for its size, by 0.02 s each.

`python -m tests.warm SOCKET MODULE ROOM` serves: MODULE may be empty, and ROOM is where command lines have their place.
Whoever connects sends a command with its three streams, and hears the
process id and then the exit code, which is negative where a signal ended it; or sends nothing, and keeps the process
there.
"""

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import runpy
import select
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tests import spares, typist

ROOT = Path(__file__).parents[1]

PROGRAM = "oaflow"

_LONGEST = 1 << 20

# In place of a module: what is run is the text of a program.
_CODE = "-c"

# Seconds: a guard against hanging, and no measurement; below the limit of a test (`timeout` in pyproject.toml), which
# would not say what the command was at.
_PATIENCE = 270.0

# They call libraries that read the environment when they are imported, or that are extras.
_COLD = ("oaflow.stages", "oaflow.testing", "oaflow.editors", "oaflow.__main__")

# The program imports these where it needs them; importing them reads nothing.
_LATE = ("followthemoney", "networkx", "rich.console", "uvloop")

_CLONE_NEWNS = 0x20000

# Of all variables that an interpreter reads when it starts, those that can still be obeyed afterwards.
_LATER = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")


class Warm:
    """
    The process that has imported the program: one for all processes of a test run. The first that needs it starts it,
    and it ends with the last.

    Args:
        address: of its socket, which has at most 107 letters.
        module: of stages, to be loaded with what it preloads.
        first: a folder where Python looks first, for another program of this name.
    """

    def __init__(self, address: Path, module: str | None = None, first: Path | None = None) -> None:
        self._address = address
        self._module = module
        self._first = first
        self._staying: socket.socket | None = None

    @cached_property
    def documents(self) -> "Warm":
        """
        The one for commands that run `ingest`.
        """
        return Warm(self._address.with_name(f"{self._address.name}-documents"), "oaflow.stages", self._first)

    @property
    def address(self) -> Path:
        """
        Where it waits for commands.
        """
        if self._staying is None:
            with self._address.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    self._staying = _connected(self._address)
                except (FileNotFoundError, ConnectionRefusedError):  # nobody was here yet, or all have left again
                    self._address.unlink(missing_ok=True)
                    _start(self._address, self._module, self._first)
                    self._staying = _connected(self._address)
        return self._address

    def run(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], given: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """
        One command, from its start to its end.

        Returns:
            its exit code, what it wrote to stdout, and what to stderr.
        """
        if "ingest" in arguments and self._module is None:
            return self.documents.run(arguments, folder, environment, given)
        address = self.address
        (stdin, feed), (hear, stdout), (overhear, stderr) = os.pipe(), os.pipe(), os.pipe()
        with ThreadPoolExecutor(3) as pool:
            pool.submit(_write, feed, given)
            out, err = pool.submit(_read, hear), pool.submit(_read, overhear)
            with _connected(address) as connection:
                asked = json.dumps([PROGRAM, arguments, str(folder), dict(environment), False, "", []]).encode()
                socket.send_fds(connection, [asked], [stdin, stdout, stderr])
                for fd in (stdin, stdout, stderr):
                    os.close(fd)
                code = _end(connection)
            return code, out.result(), err.result()

    def start(
        self,
        arguments: tuple[str, ...],
        folder: Path,
        environment: Mapping[str, str],
        program: str = PROGRAM,
        disks: str = "",
        **how: Any,
    ) -> "subprocess.Popen[Any]":
        """
        One command, which runs on.

        Args:
            program: the module that is run, as `python -m` does: the command, or another that starts a worker.
            disks: a shell script that mounts what the command alone sees, which needs root.
            how: as `subprocess.Popen` takes it; all three streams are given.
        """
        if "ingest" in arguments and self._module is None:
            return self.documents.start(arguments, folder, environment, program, disks, **how)
        return _Started(self.address, [program, disks], arguments, cwd=folder, env=environment, **how)

    def looking(self) -> Any:
        """
        `subprocess`, for `oaflow.compiler.functions` in a process that is none of these forks: who looks at functions
        is one then, which takes 0.3 to 0.7 s of CPU less, by what their modules import.
        """

        def start(command: list[str], **how: Any) -> "subprocess.Popen[Any]":
            python, *flags, program, request = command
            assert (python, flags) == (sys.executable, ["-P", _CODE])
            return _Started(self.address, [_CODE, ""], (program, request), cwd=os.getcwd(), env=os.environ, **how)

        return _Replaced(start)

    def script(self, folder: Path) -> Path:
        """
        A program `oaflow` in a folder, which asks for a fork: for shells, that call it by its name.
        """
        script = folder / "oaflow"
        asks = shlex.join([sys.executable, "-IS", typist.__file__, str(self.address)])
        script.write_text(f'#!/bin/sh\nexec {asks} "$@"\n')
        script.chmod(0o755)
        return script

    def leave(self) -> None:
        """
        It is not needed here any more.
        """
        if self._module is None:
            self.documents.leave()
        if self._staying is not None:
            self._staying.close()


class _Replaced:
    """
    `subprocess`, but that it starts processes otherwise.
    """

    def __init__(self, start: Callable[..., "subprocess.Popen[Any]"]) -> None:
        self.Popen = start

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


class _Started(subprocess.Popen[Any]):
    """
    A command that was forked, as `subprocess` has one that is its child.
    """

    def __init__(self, address: Path, program: list[str], arguments: tuple[str, ...], **how: Any) -> None:
        self._address = address
        self._program, self._disks = program
        super().__init__(arguments, **how)

    def _execute_child(self, *values: Any) -> None:
        told = dict(zip(_TOLD, values, strict=True))
        where = [str(told["cwd"]), dict(told["env"]), told["start_new_session"], self._disks]
        asked = [self._program, told["args"], *where]
        self._connection = _connected(self._address)
        streams = [told[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        kept = list(told["pass_fds"])
        socket.send_fds(self._connection, [json.dumps([*asked, kept]).encode()], [*streams, *kept])
        self.pid = int(self._connection.recv(16))
        self._child_created = True
        self._close_pipe_fds(*(told[name] for name in _TOLD if name[:3] in ("p2c", "c2p", "err")))

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                pid, code = self._try_wait(os.WNOHANG)
                if pid == self.pid:
                    self._handle_exitstatus(code)
            finally:
                self._waitpid_lock.release()
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self.returncode is not None:  # another thread was told
            return self.pid, self.returncode
        if not select.select([self._connection], [], [], 0 if wait_flags & os.WNOHANG else None)[0]:
            return 0, 0
        code = int(self._connection.recv(16))
        self._connection.close()
        return self.pid, code

    def _handle_exitstatus(self, sts: int) -> None:
        self.returncode = sts


_TOLD = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]


def _start(address: Path, module: str | None, first: Path | None) -> None:
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE")
    environment = {name: value for name, value in os.environ.items() if name in kept or name.startswith("PYTHON")}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # what has threads is not forked
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.warm", str(address), module or "", spares.ROOM],
        env=environment | {"PYTHONPATH": os.pathsep.join(map(str, filter(None, [first, ROOT])))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    process.wait()  # what serves is a fork of it, and nobody's child: it stays for others


def _connected(address: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(address))
    return connection


def _end(connection: socket.socket) -> int:
    pid = int(connection.recv(16))
    connection.settimeout(_PATIENCE)
    try:
        return int(connection.recv(16))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise


def _read(fd: int) -> bytes:
    with open(fd, "rb") as stream:
        return stream.read()


def _write(fd: int, data: bytes) -> None:
    with open(fd, "wb") as stream:
        stream.write(data)


def serve(address: str, module: str) -> None:
    """
    Waits for commands, and forks for each; ends when nobody is there any more.
    """
    places = _imported(module)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, selectors.DefaultSelector() as ready:
        listener.bind(address)
        listener.listen(64)
        if os.fork() != 0:
            os._exit(0)
        print("ready", flush=True)
        ready.register(listener, selectors.EVENT_READ)
        came = False
        while not came or len(ready.get_map()) > 1:
            for key, _ in ready.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    ready.register(connection, selectors.EVENT_READ)
                    came = True
                elif key.data is not None:
                    ready.unregister(key.fileobj)
                    _tell_end(key.fd, *key.data)
                else:
                    ready.unregister(key.fileobj)
                    assert isinstance(key.fileobj, socket.socket)
                    if begun := _begin(key.fileobj, places):
                        ready.register(os.pidfd_open(begun), selectors.EVENT_READ, (begun, key.fileobj))
                    else:
                        key.fileobj.close()


def _imported(module: str) -> list[str]:
    """
    Imports what commands import.

    Returns:
        where modules are found that are installed.
    """
    import oaflow
    from oaflow.runtime.forkserver import _preload

    for found in pkgutil.walk_packages(oaflow.__path__, "oaflow."):
        if not found.name.startswith(_COLD):
            importlib.import_module(found.name)
    for name in _LATE:
        importlib.import_module(name)
    if module:
        _preload(module)
    assert threading.active_count() == 1, "what has threads is not forked"
    gc.collect()
    gc.freeze()
    return [place for place in sys.path if place != str(ROOT)]


def _begin(connection: socket.socket, places: list[str]) -> int | None:
    """
    Begins the command that somebody asks for, and says its process id to them; or they have left.
    """
    asked, streams, _, _ = socket.recv_fds(connection, _LONGEST, spares.MOST_DESCRIPTORS)
    if not asked:
        return None
    command = os.fork()
    if command == 0:
        program, arguments, folder, environment, leads, disks, numbers = json.loads(asked)
        if leads:
            os.setsid()
        connection.send(str(os.getpid()).encode())  # now that it leads its session, where it is to
        spares.place(streams, numbers)
        if disks and not _mounted(disks):
            os._exit(1)
        become = partial(_live, places)
        spares.keep(become, _starts(arguments) if program == PROGRAM else 1)  # the forkserver of a worker
        spares.called(sys.executable, *(["-m"] if program != _CODE else []), program, *arguments)
        become(folder, environment, lambda: _command(program, arguments))
    for fd in streams:
        os.close(fd)
    return command


def _mounted(disks: str) -> bool:
    """
    As `unshare --mount` does it, which would start a new process.
    """
    if ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        return False
    return subprocess.run(["sh", "-c", f"mount --make-rprivate / && {disks}"], check=False).returncode == 0


def _tell_end(process: int, command: int, connection: socket.socket) -> None:
    os.close(process)
    _, status = os.waitpid(command, 0)
    with connection, contextlib.suppress(OSError):  # nobody may wait for its end any more
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


# Commands that look at functions, for which they start a process. A process that no spare waits for is a new one.
_LOOKING = {"check", "graph", "lsp", "mcp", "plan", "rerun", "route", "schedule", "simulate", "test"}
# With these they look at what was, and at what is then.
_TWICE = {"--diff", "--fix"}


def _starts(arguments: list[str]) -> int:
    """
    How many processes of the program a command will want: workers, those that come after some that are killed, and
    the one that looks at functions.
    """
    if "worker" in arguments:
        return 4
    if {"run", "resume", "retry"} & set(arguments):
        _, _, others = " ".join(arguments).partition(" --workers ")
        workers = int(found) if (found := others.partition(" ")[0]).isdecimal() else 1
        return 2 if workers < 2 else 2 * workers + 1  # tests that kill have several
    return (2 if _TWICE & set(arguments) else 1) if _LOOKING & set(arguments) else 0


def _become(folder: str, environment: dict[str, str], places: list[str]) -> None:
    """
    What a new interpreter makes of its surroundings, made of them by one that runs.
    """
    differ = _settings_of(environment) ^ _settings_of(dict(os.environ))
    assert not differ, f"only a new interpreter obeys {sorted(differ)}"
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    named = [os.path.abspath(place) for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [*named, *places]
    if any(Path(place, "sitecustomize.py").exists() for place in named):
        sys.modules.pop("sitecustomize", None)  # the one that this process has found
        importlib.import_module("sitecustomize")
    for fd, old in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        unbuffered = fd > 0 and bool(environment.get("PYTHONUNBUFFERED"))
        stream = os.fdopen(fd, f"{old.mode}b", 0 if unbuffered else -1, closefd=False)
        lines = fd == 2 or os.isatty(fd)
        new = io.TextIOWrapper(stream, old.encoding, old.errors, line_buffering=lines, write_through=unbuffered)
        name = old.name.strip("<>")
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _settings_of(environment: dict[str, str]) -> set[tuple[str, str]]:
    """
    What an interpreter looks at when it starts, and never again.
    """
    said = {(name, value) for name, value in environment.items() if name.startswith("PYTHON") and name not in _LATER}
    language = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or "C"
    utf8 = language in ("C", "POSIX") or language.lower().replace("-", "").endswith("utf8")
    return said | {("locale", "utf-8" if utf8 else language)}


def _command(program: str, arguments: list[str]) -> None:
    from oaflow.cli.main import main

    sys.path.insert(0, os.getcwd())  # as `python -m` has it
    sys.argv = [str(ROOT / "oaflow" / "__main__.py"), *arguments]
    if program == PROGRAM:
        main()
    elif program == _CODE:
        spares.run(program, *arguments)
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _live(places: list[str], folder: str, environment: dict[str, str], function: Callable[[], Any]) -> None:
    """
    Runs a function as a new process would, and ends as one: nothing of what the server would do comes after it.
    """
    code = 1
    try:
        _become(folder, environment, places)
        sys.exit(function())
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 120
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:3])
