"""
A process without threads that has imported what stages need, and forks executors.

Started by the pool of a worker as `python -m oaflow.runtime.forkserver FD`, where FD is a socket to the worker. It
imports, forks, reaps and reports, and never calls a stage function. It may die at any time: executors live on, and the
pool starts another. It ends when its worker is gone.
"""

import contextlib
import gc
import inspect
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from oaflow.hints import taken
from oaflow.model import stage_options
from oaflow.packages import is_early, is_own, module_of
from oaflow.runtime.executor import Setup, ignore, serve, speak
from oaflow.runtime.frames import Frames, frame
from oaflow.runtime.functions import TaskError, load
from oaflow.runtime.messages import Probe
from oaflow.runtime.scoreboard import Scoreboard
from oaflow.runtime.versions import files_of, note_versions

MOST_DESCRIPTORS = 4
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


def main(argv: Sequence[str]) -> NoReturn:
    """
    Serve the worker at the other end of the descriptor.

    Args:
        argv: the descriptor; where modules are looked for, as JSON; and what PYTHONPATH was before the pool put this
            package on it, if it was set.
    """
    del os.environ["PYTHONPATH"]
    if len(argv) > 2:
        os.environ["PYTHONPATH"] = argv[2]
    sys.stdout, sys.stderr = speak(1).text, speak(2).text
    link = socket.socket(fileno=int(argv[0]))
    sys.path[:] = json.loads(argv[1])
    _Forkserver(link).serve()
    os._exit(0)


class _Forkserver:
    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._frames = Frames()
        self._descriptors: list[int] = []
        # Filled by the arrival of SIGCHLD, so that one poll waits for requests and for the end of children alike.
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ignore)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._own = (link.fileno(), self._wake, wake)
        # Collecting in a child would copy every page that it shares with this process.
        gc.disable()

    def serve(self) -> None:
        """
        Answer requests until the worker is gone.
        """
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                _drain(self._wake)
                self._reap()
            if self._link.fileno() in ready and not self._receive():
                return

    def _receive(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._link, 1 << 16, MOST_DESCRIPTORS)
        except ConnectionError:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        # They come with the first byte of their message, and one receive never reaches beyond the next ones.
        self._descriptors += descriptors
        for message in self._frames.feed(data):
            self._answer(message)
        return bool(data)

    def _answer(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("import", modules):
                self._tell("preloaded", [_preload(name, late=False) for name in modules])
                gc.collect()
            case ("preload", modules):
                self._tell("preloaded", [_preload(name) for name in modules])
                gc.collect()
            case ("fork", token, binder, settings_json, temp):
                link, scoreboard, out, err = self._taken(4)
                setup = Setup(binder, settings_json, temp)
                self._fork(
                    token, (link, scoreboard, out, err), lambda: _become_executor(link, scoreboard, out, err, setup)
                )
            case ("probe", token, tasks):
                (answers,) = self._taken(1)
                self._fork(token, (answers,), lambda: _probe(answers, tasks))
            case _:
                raise AssertionError(f"no request is called {message[0]!r}")

    def _taken(self, count: int) -> list[int]:
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return taken

    def _fork(self, token: int, descriptors: Sequence[int], child: Any) -> None:
        gc.freeze()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            try:
                self._forget()
                child()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(70)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # here and in the child: whoever comes first
        self._tell("forked", token, pid)

    def _forget(self) -> None:
        """
        In a child: be no forkserver any more.
        """
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (*self._own, *self._descriptors):
            os.close(descriptor)
        os.setpgid(0, 0)  # so that what a stage starts is killed with it
        gc.enable()

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # What a stage has started. While the child is not waited for, its number belongs to nobody else.
                os.killpg(ended.si_pid, signal.SIGKILL)
            _, status, usage = os.wait4(ended.si_pid, 0)
            self._tell("ended", ended.si_pid, status, usage.ru_maxrss * _MAXRSS_UNIT)

    def _tell(self, *message: Any) -> None:
        try:
            self._link.sendall(frame(message))
        except OSError:  # the worker is gone
            os._exit(0)


def _preload(module: str, *, late: bool = True) -> tuple[str, str | None, int, dict[str, tuple[Any, ...]]]:
    """
    Import a module and, with `late`, what it loads late: name, problem, how many threads there are afterwards, and the
    files that its stages are made of.
    """
    files: dict[str, tuple[Any, ...]] = {}
    try:
        imported = import_module(module)
        files = {path: tuple(seen) for path, seen in note_versions(imported).items()}
        if late:
            _load_late(imported)
    except BaseException as error:  # SystemExit too: the executor meets it again and says so for its job
        return module, f"{type(error).__name__}: {error}", _threads(), files
    return module, None, _threads(), files


def _load_late(module: ModuleType | None) -> None:
    """
    Load what a module loads only when it is needed and names in `__preload__`, so that it is loaded once and not in
    every executor: a module, or `module:function` to be called, such as one that keeps a model that it has read. What
    is not installed is left out.
    """
    for name in getattr(module, "__preload__", ()):
        with contextlib.suppress(ImportError):
            place, _, function = name.partition(":")
            loaded = import_module(place)
            if function:
                getattr(loaded, function)()


def _become_executor(link: int, scoreboard: int, out: int, err: int, setup: Setup) -> NoReturn:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (null, out, err):
        os.close(descriptor)
    memory = Scoreboard(scoreboard)
    os.close(scoreboard)
    serve(socket.socket(fileno=link), memory, setup)


def _probe(answers: int, tasks: Sequence[str]) -> NoReturn:
    """
    In a child, so that what an import does harms nobody: one line of JSON before each task, and one after it.
    """
    left: Counter[str] = Counter()
    with open(answers, "w", encoding="utf-8", errors="backslashreplace") as out:
        for task in tasks:
            print(json.dumps({"trying": task}), file=out, flush=True)
            probe, threads = _look(task)
            # Of its module: the first task of one has imported it, and the others find its threads there.
            left[module_of(task)] += threads
            print(json.dumps({"task": task, "threads": left[module_of(task)], **asdict(probe)}), file=out, flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _look(task: str) -> tuple[Probe, int]:
    before = _threads()
    try:
        loaded = load(task)
        if not is_own(module_of(task)):
            _load_late(sys.modules.get(module_of(task)))
    except TaskError as error:
        problem = f"{error}; {error.help}" if error.help else str(error)
        return Probe(False, error=problem), _threads() - before
    except BaseException as error:  # SystemExit, or worse
        return Probe(False, error=f"importing task {task!r} ended with {type(error).__name__}: {error}"), 0
    takes, files = taken(inspect.unwrap(loaded.function)), files_of(loaded.function)
    options = stage_options(loaded.function)
    ports = options.ports if options else None
    early = is_early(sys.modules[module_of(task)], task.rpartition(".")[2])
    probe = Probe(
        True, loaded.is_async, loaded.version, takes, loaded.needs, loaded.options, ports, files=files, early=early
    )
    return probe, _threads() - before


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # native ones too
    except OSError:
        return threading.active_count()


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 512):
            pass


if __name__ == "__main__":
    main(sys.argv[1:])
