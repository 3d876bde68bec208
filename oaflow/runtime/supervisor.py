"""
Owns worker processes: starts them, replaces those that die, drains and kills them. Imports no stage and uses no
database.

A worker reports over a control pipe, one JSON object per line: `{"event": "registered", "worker": 7}`,
`{"event": "drained"}`, `{"event": "due"}`, `{"event": "stale"}` with a text and a help, `{"event": "warned"}` with a
text, and each second a pulse and what it has counted. Its output goes to a file.
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

# A worker that dies this soon, this often in a row, does not die because of a job.
_SOON = 3.0
_TIMES = 3

# Signals that others send to stop a worker, which do not mean that it cannot start. A fault of its own, such as SIGSEGV
# in a library, is a signal, too, but does mean that.
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})

# Seconds until the next start when workers are killed one after the other before they register, for example by the
# out-of-memory killer, which an immediate restart would only trigger again. The first is replaced at once; the last
# value repeats. The same applies to workers that end by themselves once one has registered: the cause, such as a
# database that is away, is temporary.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

# A worker gives running jobs 10 s; the rest is time to give back jobs and unregister.
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
    A worker process ended unexpectedly. `workers` are the ids that it had; a negative code is a signal. Its output is
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
    A worker process ended as requested.
    """

    pid: int
    code: int
    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """
    A worker has seen that a tick of a schedule has passed, or that a webhook is due.
    """

    pid: int


@dataclass(frozen=True, slots=True)
class Stale:
    """
    Code has changed since a worker loaded it, and the worker still runs the old code; with what to type.
    """

    pid: int
    text: str
    help: str


@dataclass(frozen=True, slots=True)
class Warned:
    """
    A worker has logged a warning or an error.
    """

    pid: int
    text: str


Event = Started | Registered | Died | Ended | Due | Stale | Warned


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
        Let it use the database, and work on this run or on all.
        """
        if self.gate is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.gate, (run or "").encode() + b"\n")
            self.close()

    def close(self) -> None:
        """
        Close the pipe at which it waited.
        """
        if self.gate is not None:
            os.close(self.gate)
            self.gate = None

    def hear(self) -> Iterator[Mapping[str, Any]]:
        """
        The messages of the worker since the last call.
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
    A number of worker processes, kept alive: one that ends is replaced, with growing pauses if workers keep ending
    before they register. Nothing happens between two calls of `poll`.

    Args:
        command: what a worker process runs; the control descriptor is appended as `--control FD`.
        count: how many workers.
        logs: the folder that their output goes to.
        environment: the environment of the workers.
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
        The ids of the running workers in the database.
        """
        return tuple(worker for child in self._children for worker in child.workers)

    @property
    def vitals(self) -> tuple[Vital, ...]:
        """
        The last reported state of the running workers.
        """
        return tuple(
            Vital(child.process.pid, child.started, bool(child.workers), child.pulse) for child in self._children
        )

    def prepare(self) -> None:
        """
        Start the workers before there is a database: they load what they need, and wait for `begin`.
        """
        self._begun = False
        self.poll()

    def begin(self, run: str | None = None) -> None:
        """
        The database is ready: waiting workers continue, with this run or with all.
        """
        self._begun, self._run = True, run
        for child in self._children:
            child.begin(run)

    def poll(self) -> list[Event]:
        """
        Read the messages of the workers, see which have ended, and start the missing ones.

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
                if message.get("event") == "warned":
                    events.append(Warned(child.process.pid, str(message["text"])))
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
        Tell the workers to stop claiming, to finish running jobs and to give back the rest. No worker is replaced.
        """
        self._stopping = True
        for child in self._children:
            child.process.terminate()

    def kill(self) -> None:
        """
        Kill the workers and everything that they started.
        """
        self._stopping = True
        for child in self._children:
            # Each worker leads its own process group, which contains its executors.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)

    def stop(self, seconds: float = DRAIN_SECONDS, *, hurry: Callable[[], bool] = lambda: False) -> list[Event]:
        """
        Drain, wait, and kill the workers that have not ended in time, or at once when `hurry` says so.
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
        # A separate descriptor: stderr is the file, which gets all output without a handler.
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
                    # A Ctrl-C in the terminal is meant for the supervisor, which then tells its workers to drain.
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
        # The group may still contain executors of a worker that was killed.
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
    The command line of a worker process.

    Args:
        folders: where modules are searched, after all other places. The current folder counts only if it is among them.
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
    What a child does first, so that it drains when its supervisor is killed. Linux only: elsewhere, the control pipe
    has no reader then, and the worker ends at its next message.
    """
    if not sys.platform.startswith("linux"):
        return None
    # Loaded here: between fork and exec nothing may be imported.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # the supervisor died in between
            os._exit(1)

    return die


class Interrupts:
    """
    Counts SIGINT and SIGTERM instead of raising, so that the loop inside decides. A context manager for the main
    thread.
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
