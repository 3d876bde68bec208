"""
A process that runs sync stage functions, one job at a time. Forked by the forkserver, fed by the pool of its worker.

It has a socket to the worker, a scoreboard in shared memory, which says what it is doing, and two pipes as descriptors
1 and 2. It holds no job that its worker does not know of, and ends at once when its worker is gone.
"""

import contextlib
import contextvars
import faulthandler
import io
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import orjson

from oaflow.plan import BoundPlan
from oaflow.runtime.attempt import Attempt, refused
from oaflow.runtime.execution import Binder, binder_of, execute
from oaflow.runtime.feeding import LONG
from oaflow.runtime.frames import Frames, frame, plain_handover, read_assignment
from oaflow.runtime.functions import Loaded, TaskError, load
from oaflow.runtime.lines import MARK
from oaflow.runtime.logged import Logged, LogHandler, let_inform, packed
from oaflow.runtime.messages import Assignment, Handover
from oaflow.runtime.processes import WHERE_SIGNAL
from oaflow.runtime.scoreboard import Scoreboard

# Results of fast jobs go out together; those of a slow one at once.
GROUP_SECONDS = 0.005
GROUP_JOBS = 50

# A stage whose jobs took less than this lately may run while results are held back.
FAST = 0.002

# Parts of one job's stream that may be on the way to the database.
MOST_UNACKNOWLEDGED = 4

WATCH_SECONDS = 0.05

# After so many looks at nothing the watch rests until there is work.
LOOKS_AT_NOTHING = 20


@dataclass(frozen=True, slots=True)
class Setup:
    """
    What an executor is told at birth. `binder` is `module:function`, a `Binder`.
    """

    binder: str
    settings_json: str
    temp: str


def serve(link: socket.socket, scoreboard: Scoreboard, setup: Setup) -> NoReturn:
    """
    Work until the worker says that it is enough, or is gone.
    """
    _become(setup)
    executor = _Executor(link, scoreboard, setup)
    threading.Thread(target=executor.watch, name="oaflow watch", daemon=True).start()
    try:
        executor.work()
    except _WorkerGone:
        _vanish(setup)
    _leave(setup, 0)


def _become(setup: Setup) -> None:
    # The worker decides when it is over: a Ctrl-C or a SIGTERM to the whole group must not end jobs in the middle.
    # Handlers, not SIG_IGN, which programs that a stage starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ignore)
    Path(setup.temp).mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = setup.temp
    faulthandler.enable()
    # Asked by the pool before it ends a job whose time is up. Written by the handler itself, in C: Python's own would
    # wait for a library that does not return.
    faulthandler.register(WHERE_SIGNAL, all_threads=False)


def ignore(_number: int, _frame: object) -> None:
    """
    For a signal that is to do nothing.
    """


def _leave(setup: Setup, code: int) -> NoReturn:
    # _exit: a stage's threads and exit handlers must not hold up the end of a process that has handed over everything.
    sys.stdout.flush()
    sys.stderr.flush()
    shutil.rmtree(setup.temp, ignore_errors=True)
    os._exit(code)


def _vanish(setup: Setup) -> NoReturn:
    shutil.rmtree(setup.temp, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # also what a stage has started
    os._exit(1)


class _WorkerGone(BaseException):
    """
    Nobody is at the other end. No stage can catch it by mistake.
    """


class _Executor:
    def __init__(self, link: socket.socket, scoreboard: Scoreboard, setup: Setup) -> None:
        self._link, self._scoreboard, self._setup = link, scoreboard, setup
        self._temp = Path(setup.temp)
        self._frames = Frames()
        self._inbox: deque[Assignment] = deque()
        self._plans: dict[str, BoundPlan] = {}
        self._functions: dict[str, Loaded] = {}
        self._job_bytes = int(orjson.loads(setup.settings_json or "{}").get("job_bytes", 16_000))
        self._recent: dict[tuple[str, str], float] = {}
        self._ending = False
        self._outbox: list[tuple[Any, ...]] = []
        self._sent = self._held = time.monotonic()
        self._sending, self._reading = threading.Lock(), threading.Lock()
        self._attempt: Attempt | None = None
        self._unacknowledged = 0
        self._resting, self._stirred = False, threading.Event()
        self._out = speak(1)
        self._err = speak(2)
        sys.stdout, sys.stderr = self._out.text, self._err.text
        if not logging.root.handlers:  # what the modules of stages have set up themselves stays
            logging.root.addHandler(LogHandler(self._err.log))

    def work(self) -> None:
        """
        Run what comes.
        """
        while True:
            while (assignment := self._next()) is not None:
                self._run(assignment)
            self._flush()
            if self._ending:
                return
            self._resting = True
            self._receive()
            self._resting = False
            self._stirred.set()

    def watch(self) -> NoReturn:
        """
        In a thread: end the process when its worker is gone, hand over what has waited too long while a job runs, and
        give back what would wait behind it. While there is no job it rests: who waits for one hears a hang-up, too.
        """
        poll = select.poll()
        poll.register(self._link, 0)  # a hang-up is always told
        looks = 0
        try:
            while not poll.poll(WATCH_SECONDS * 1000):
                self._hand_over_what_waits()
                self._give_back_what_waits()
                looks = looks + 1 if self._resting else 0
                if looks > LOOKS_AT_NOTHING:
                    self._stirred.clear()
                    if self._resting:  # asked after it is cleared: what comes from now on sets it again
                        self._stirred.wait()
        except _WorkerGone:
            pass
        _vanish(self._setup)

    def _hand_over_what_waits(self) -> None:
        if self._outbox and time.monotonic() - self._held > WATCH_SECONDS:
            self._flush()
        attempt = self._attempt
        if attempt is not None and self._unacknowledged < MOST_UNACKNOWLEDGED:
            # What cannot be handed over the attempt itself meets again, and fails of it: this thread goes on.
            with attempt.lock, contextlib.suppress(Exception):
                part = attempt.overdue()
                if part is not None:
                    self._count(1)
                    self._put(part)
                    self._flush()

    def _give_back_what_waits(self) -> None:
        """
        Give back what was to be done after a job that takes longer than others of its stage did.
        """
        running = self._scoreboard.read()
        if running is None or time.monotonic() - running[1] < LONG:
            return
        if self._reading.acquire(blocking=False):  # else it is a stream that waits, and reads itself
            try:
                if self._attempt is None:
                    with contextlib.suppress(BlockingIOError):
                        self._read(socket.MSG_DONTWAIT)
            finally:
                self._reading.release()
        back: list[int] = []
        while (assignment := self._next()) is not None:
            back.append(assignment.job)
        if back:
            with self._sending:
                self._say(("unbegun", back))

    def _next(self) -> Assignment | None:
        try:
            return self._inbox.popleft()
        except IndexError:  # asked first, it might be empty by then: two threads take from it
            return None

    def _receive(self) -> None:
        with self._reading:
            if not self._ending:  # else the watch has just read that
                self._read()

    def _read(self, flags: int = 0) -> None:
        try:
            data = self._link.recv(1 << 18, flags)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _WorkerGone from error
        if not data:
            raise _WorkerGone
        for message in self._frames.feed(data):
            match message:
                case ("do", assignments):
                    self._inbox.extend(map(read_assignment, assignments))
                case ("plan", run, plan):
                    self._plans[run] = BoundPlan.from_json(plan)
                case ("forget", run):
                    self._plans.pop(run, None)
                case ("ack", job, _):
                    if self._attempt is not None and self._attempt.assignment.job == job:
                        self._count(-1)
                case ("end",):
                    self._ending = True
                case _:
                    raise AssertionError(f"no message is called {message[0]!r}")

    def _run(self, assignment: Assignment) -> None:
        key = (assignment.run, assignment.stage)
        if self._outbox and self._recent.get(key, FAST) >= FAST:
            self._flush()  # nothing finished waits behind what may be slow
        since = time.monotonic()
        self._out.job = self._err.job = assignment.job
        sys.stdout, sys.stderr = self._out.text, self._err.text  # whatever the job before has put there
        self._scoreboard.begin(assignment.job, since)
        try:
            # In a context of its own: what a stage leaves bound does not reach the next job.
            contextvars.copy_context().run(self._execute, assignment)
        finally:
            self._attempt = None
            self._out.rest()
            self._err.rest()
            self._scoreboard.clear()
        self._tidy()
        now = time.monotonic()
        self._recent[key] = max(now - since, self._recent.get(key, 0.0) / 2)
        if now - self._sent >= GROUP_SECONDS or len(self._outbox) >= GROUP_JOBS:
            self._flush()

    def _execute(self, assignment: Assignment) -> None:
        try:
            plan, loaded, binder = self._prepared(assignment)
        except BaseException as error:  # SystemExit too: a module may call it while it is imported
            self._put(refused(assignment, error))
            return
        self._unacknowledged = 0
        parts = execute(
            assignment,
            plan,
            loaded,
            lambda dataset: binder(self._setup.settings_json, plan, assignment.stage, dataset, self._temp),
            job_bytes=self._job_bytes,
            begun=self._begun,
        )
        for part in parts:
            self._put(part)
            if part.outcome == "chunk":
                self._count(1)
                self._flush()
                while self._unacknowledged >= MOST_UNACKNOWLEDGED:
                    self._receive()

    def _begun(self, attempt: Attempt) -> None:
        if attempt.stage.emit == "stream":
            with self._reading:  # from here on it reads itself: what the watch reads would not wake it
                self._attempt = attempt

    def _prepared(self, assignment: Assignment) -> tuple[BoundPlan, Loaded, Binder]:
        plan = self._plans[assignment.run]
        stage = plan.stages.get(assignment.stage)
        if stage is None:
            raise TaskError(assignment.stage, f"the plan has no such stage; it has: {', '.join(plan.stages)}")
        if stage.task not in self._functions:
            self._functions[stage.task] = load(stage.task)
            let_inform(stage.task)
        return plan, self._functions[stage.task], binder_of(self._setup.binder)

    def _count(self, step: int) -> None:
        with self._sending:  # two threads count
            self._unacknowledged += step

    def _put(self, part: Handover) -> None:
        row = plain_handover(part)
        with self._sending:
            if not self._outbox:
                self._held = time.monotonic()
            self._outbox.append(row)

    def _flush(self) -> None:
        with self._sending:
            if self._outbox:
                rows, self._outbox = self._outbox, []
                self._sent = time.monotonic()
                self._say(rows)

    def _say(self, message: Any) -> None:
        try:
            self._link.sendall(frame(message))
        except OSError as error:
            raise _WorkerGone from error

    def _tidy(self) -> None:
        # A folder that a job left empty serves the next one: making and removing it would cost more than a small job.
        with contextlib.suppress(OSError):  # a disk that is full: the next job will say so
            if not self._temp.is_dir() or os.listdir(self._temp):
                shutil.rmtree(self._temp, ignore_errors=True)
                self._temp.mkdir(parents=True, exist_ok=True)


class Spoken(io.RawIOBase):
    """
    A descriptor that is a pipe to the pool. Before the first thing that a job prints it says which job that is.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.job = 0
        self._marked = 0
        self.text: io.TextIOWrapper

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        """
        Not for a stage to do: the next job prints, too.
        """

    def write(self, data: Any, /) -> int:
        self._mark()
        return self._some(data)

    def log(self, logged: Logged) -> None:
        """
        Tell what was logged, after what was printed before it.
        """
        with contextlib.suppress(ValueError):  # a stage has closed it
            self.text.flush()
        self._mark()
        self._all(b"%s%s\n" % (MARK, packed(logged)))

    def _mark(self) -> None:
        if self._marked != self.job:
            self._all(b"%s%d\n" % (MARK, self.job))
            self._marked = self.job

    def rest(self) -> None:
        """
        The job is over.
        """
        try:
            self.text.flush()
        except ValueError:  # a stage has closed it
            self.text = _text(self)
        self.job = 0
        if self._marked:
            self._all(b"%s0\n" % MARK)
            self._marked = 0

    def _all(self, data: bytes) -> None:
        while data:
            data = data[self._some(data) :]

    def _some(self, data: Any) -> int:
        while True:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:  # programs that a stage starts may have made the pipe so
                select.select([], [self._fd], [])
            except OSError:  # a stage has closed it: what it prints is lost, its result is not
                return len(data)


def _text(raw: Spoken) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw, 1 << 16), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


@cache
def speak(fd: int) -> Spoken:
    """
    What a process prints to a descriptor. In a forkserver it is made before any module of stages is imported: what a
    module keeps of it, as a handler of logging does, is the executor's own after the fork.
    """
    raw = Spoken(fd)
    raw.text = _text(raw)
    return raw
