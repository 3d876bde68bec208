"""
Owns worker processes: starts them, replaces those that die, drains and kills them. Imports no stage, and no database.

A worker tells what it is over a control pipe, one JSON object a line: `{"event": "registered", "worker": 7}`,
`{"event": "drained"}`, `{"event": "due"}`, `{"event": "stale"}` with a text and a help, and each second a pulse and
what it has counted. Its output goes to a file.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oaflow.errors import EnvironmentProblem
from oaflow.runtime.figures import Tally
from oaflow.runtime.vitals import Pulse, Vital

_PR_SET_PDEATHSIG = 1

# A worker that dies this soon, so often in a row, does not die of a job.
_SOON = 3.0
_TIMES = 3

# Whoever sends these wants the worker gone, and says nothing of whether it can start. A fault of its own, such as
# SIGSEGV in a library that it loads, is a signal too, and does.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})

# Seconds until the next is started, when one after the other was killed before it had registered: by the out-of-memory
# killer, say, which another one at once would only call again. The first is replaced at once; the last goes on. The
# same for those that end by themselves, once one has registered: what keeps them, a database that is away, say, passes.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

# A worker's own limit for running jobs is 10 s; what it needs besides to give back and to say goodbye.
DRAIN_SECONDS = 15.0


class WorkerDoesNotStartError(EnvironmentProblem):
    """
    Worker processes end as soon as they are started.
    """

    def __init__(self, code: int, log: Path, tail: str) -> None:
        self.code, self.log, self.tail = code, log, tail
        last = tail.strip().splitlines()[-1:] or ["it printed nothing"]
        super().__init__(f"the worker does not start (exit code {code}): {last[0]}", help=f"less {log}")


@dataclass(frozen=True, slots=True)
class Started:
    """
    A worker process was started.
    """

    pid: int


@dataclass(frozen=True, slots=True)
class Registered:
    """
    A worker has its row in the database, under this id.
    """

    pid: int
    worker: int


@dataclass(frozen=True, slots=True)
class Died:
    """
    A worker process ended unasked. `workers` are the ids that it had; a negative code is a signal. What it printed is
    in `log`. Another is started after `pause` seconds.
    """

    pid: int
    code: int
    workers: tuple[int, ...]
    log: Path
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """
    A worker process ended as it was told to.
    """

    pid: int
    code: int
    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """
    A worker has seen that a tick of a schedule has passed, or that the end of a run is to be told.
    """

    pid: int


@dataclass(frozen=True, slots=True)
class Stale:
    """
    Code has changed since a worker loaded it, which runs on with the old one; and what to type.
    """

    pid: int
    text: str
    help: str


Event = Started | Registered | Died | Ended | Due | Stale


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    control: int
    log: Path
    started: float
    slot: int
    workers: list[int] = field(default_factory=list[int])
    gate: int | None = None
    pulse: Pulse | None = None
    rest: bytes = b""

    def begin(self, run: str | None) -> None:
        """
        It may use the database now, and works on this run, or on all.
        """
        if self.gate is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.gate, (run or "").encode() + b"\n")
            self.close()

    def close(self) -> None:
        """
        Closes what was kept open for it to wait at.
        """
        if self.gate is not None:
            os.close(self.gate)
            self.gate = None

    def hear(self) -> Iterator[Mapping[str, Any]]:
        """
        What the worker said since last time.
        """
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.control, 65536):
                self.rest += part
        *lines, self.rest = self.rest.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message


class Supervisor:
    """
    A number of worker processes, kept alive: one that ends is replaced, and where one after the other ends before it
    has registered, later and later. Nothing happens between two calls of `poll`.

    Args:
        command: what a worker process runs; the control descriptor is appended as `--control FD`.
        count: how many.
        logs: the folder that their output goes to.
        environment: of the workers.
        lines: a descriptor that workers write their logs to, as JSON; None: they go to the folder.
        now: a monotonic clock.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        logs: Path,
        environment: Mapping[str, str],
        lines: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = tuple(command)
        self._count = count
        self._logs = logs
        self._environment, self._lines = dict(environment), lines
        self._now = now
        self._children: list[_Child] = []
        self.tally = Tally()
        self._stopping = False
        self._begun = True
        self._run: str | None = None
        self._proven = False
        self._early = 0
        self._unregistered = 0
        self._not_before = now()

    @property
    def workers(self) -> tuple[int, ...]:
        """
        The ids under which the workers that run are known in the database.
        """
        return tuple(worker for child in self._children for worker in child.workers)

    @property
    def vitals(self) -> tuple[Vital, ...]:
        """
        How the workers that run were when they last said something.
        """
        return tuple(
            Vital(child.process.pid, child.started, bool(child.workers), child.pulse) for child in self._children
        )

    def prepare(self) -> None:
        """
        Starts the workers before there is a database: they load what they need, and wait for `begin`.
        """
        self._begun = False
        self.poll()

    def begin(self, run: str | None = None) -> None:
        """
        The database is there: workers that wait for it go on, with this run, or with all.
        """
        self._begun, self._run = True, run
        for child in self._children:
            child.begin(run)

    def poll(self) -> list[Event]:
        """
        Sees who said what and who ended, and starts who is missing.

        Raises:
            WorkerDoesNotStartError: the first ones ended at once, several in a row.
        """
        events: list[Event] = []
        for child in list(self._children):
            code = child.process.poll()
            for message in child.hear():
                if message.get("event") == "pulse":
                    child.pulse = _pulse_of(message, self._now())
                if message.get("event") == "figures":
                    self.tally.hear(child.process.pid, message)
                if message.get("event") == "due":
                    events.append(Due(child.process.pid))
                if message.get("event") == "stale":
                    events.append(Stale(child.process.pid, str(message["text"]), str(message["help"])))
                worker = message.get("worker")
                if message.get("event") == "registered" and isinstance(worker, int):
                    child.workers.append(worker)
                    self._proven = True
                    self._early = self._unregistered = 0
                    self._not_before = self._now()
                    events.append(Registered(child.process.pid, worker))
            if code is not None:
                events.append(self._buried(child, code))
        while not self._stopping and len(self._children) < self._count and self._now() >= self._not_before:
            events.append(self._start())
        return events

    def drain(self) -> None:
        """
        Tells the workers to claim nothing more, to end what runs and to give back the rest. No worker is replaced.
        """
        self._stopping = True
        for child in self._children:
            child.process.terminate()

    def kill(self) -> None:
        """
        Ends the workers, and what they started, at once.
        """
        self._stopping = True
        for child in self._children:
            # Each leads a process group of its own, and its executors are in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)

    def stop(self, seconds: float = DRAIN_SECONDS, *, hurry: Callable[[], bool] = lambda: False) -> list[Event]:
        """
        Drains, waits, and kills what has not ended in time, or at once when `hurry` says so.
        """
        self.drain()
        events: list[Event] = []
        limit = self._now() + seconds
        while self._children:
            events += self.poll()
            if self._children and (hurry() or self._now() > limit):
                self.kill()
            if self._children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._children[0].process.wait(0.05)
        return events

    def _start(self) -> Started:
        taken = {child.slot for child in self._children}
        slot = next(number for number in range(1, self._count + 1) if number not in taken)
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"worker-{os.getpid()}-{slot}.log"
        waits = [] if self._begun else ["--wait"]
        only = ["--run", self._run] if self._run else []
        # A number of its own: that of stderr is the file's, where what has no handler goes.
        lines = None if self._lines is None else os.dup(self._lines)
        logged = [] if lines is None else ["--lines", str(lines)]
        stdin, gate = os.pipe() if waits else (subprocess.DEVNULL, None)
        read, write = os.pipe()
        os.set_blocking(read, False)
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [*self._command, "--control", str(write), *logged, *waits, *only],
                    stdin=stdin,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    pass_fds=(write,) if lines is None else (write, lines),
                    # A Ctrl-C in the terminal is for the supervisor, which then asks its workers to drain.
                    start_new_session=True,
                    preexec_fn=_die_with_parent(os.getpid()),
                )
        except BaseException:
            os.close(read)
            if gate is not None:
                os.close(gate)
            raise
        finally:
            os.close(write)
            if lines is not None:
                os.close(lines)
            if gate is not None:
                os.close(stdin)
        self._children.append(_Child(process, read, log, self._now(), slot, gate=gate))
        return Started(process.pid)

    def _buried(self, child: _Child, code: int) -> Event:
        self._children.remove(child)
        self.tally.bury(child.process.pid, died=not self._stopping)
        child.close()
        os.close(child.control)
        # The group may still hold executors of a worker that was killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        if self._stopping:
            return Ended(child.process.pid, code, tuple(child.workers))
        now = self._now()
        if self._proven or -code in _FROM_OUTSIDE:
            self._not_before = max(self._not_before, now + self._pause(child))
        else:
            self._early = self._early + 1 if now - child.started < _SOON else 0
        if self._early >= _TIMES:
            self._stopping = True
            raise WorkerDoesNotStartError(code, child.log, tail_of(child.log))
        return Died(child.process.pid, code, tuple(child.workers), child.log, max(0.0, self._not_before - now))

    def _pause(self, child: _Child) -> float:
        if child.workers:
            return 0.0
        self._unregistered += 1
        return _PAUSES[min(self._unregistered, len(_PAUSES)) - 1]


def worker_command(executors: int | None = None, folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """
    What a worker process runs.

    Args:
        folders: where modules are looked for, after all others. The current folder is one only if it is among them.
    """
    command = [sys.executable, "-P", "-m", "oaflow.runtime.worker"]
    if executors is not None:
        command += ["--executors", str(executors)]
    for folder in folders:
        command += ["--folder", str(folder)]
    return tuple(command)


def _pulse_of(message: Mapping[str, Any], now: float) -> Pulse:
    heart, database = message.get("heart"), message.get("database")
    return Pulse(now, heart=heart, database=database, plans=message.get("plans") is True)


def tail_of(log: Path, size: int = 8192) -> str:
    """
    The end of a file, as text.
    """
    with contextlib.suppress(OSError), log.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - size))
        return handle.read().decode("utf-8", "replace")
    return ""


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """
    What a child does first, so that it drains when its supervisor is killed. Linux only: elsewhere the control pipe
    has no reader then, and the worker ends at its next word.
    """
    if not sys.platform.startswith("linux"):
        return None
    # Loaded here: between fork and exec nothing may be imported.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return die


class Interrupts:
    """
    Counts SIGINT and SIGTERM in place of raising, so that the loop in between decides. A context manager; main thread.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _count(self, number: int, _frame: object) -> None:
        self.count += 1
        self.last = signal.Signals(number)
