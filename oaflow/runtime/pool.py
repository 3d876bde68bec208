"""
The executors of one worker, kept alive: started through the forkserver, fed, watched, and replaced when they end.

Lives in the worker's event loop. What becomes of jobs is the listener's business: the pool says what an executor handed
over, and when one died, which job it was at, what it had in hand, and how it ended.
"""

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import oaflow
from oaflow.runtime.executor import MARK
from oaflow.runtime.frames import Frames, frame, plain_assignment, read_handover
from oaflow.runtime.messages import Assignment, Death, Handover, Probe
from oaflow.runtime.slot import Slot, new_slot

# Preloaded at once: what every executor needs.
BASE = ("oaflow.runtime.executor",)

LOG_TAIL = 20
LONGEST_LINE = 16_384

# How long to wait for what a dead executor's forkserver and pipes have still to say.
LAST_WORDS = 1.0

# An import that says nothing for so long is given up.
PROBE_SILENCE = 60.0

STOP_SECONDS = 2.0

Stream = Literal["stdout", "stderr"]
Kill = Literal["timeout", "memory", "killed"]


class Listener(Protocol):
    """
    Who is told. Called from the event loop, and must not block.
    """

    def handed(self, executor: "Executor", handovers: Sequence[Handover]) -> None:
        """
        An executor handed over: ends of jobs, and parts of streams, which it wants acknowledged.
        """
        ...

    def died(
        self, executor: "Executor", culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        """
        An executor ended before its work did.

        Args:
            culprit: what it was running, or None where it ran nothing.
            reason: how it ended; it is the culprit's doing unless the kind is `killed`.
            returned: what else it had in hand: not started, or finished and not yet handed over.
        """
        ...

    def line(self, executor: "Executor | None", stream: Stream, text: str, job: Assignment | None) -> None:
        """
        A line was printed; by the forkserver where the executor is None.
        """
        ...

    def ready(self) -> None:
        """
        There is a new executor, or one became free.
        """
        ...


@dataclass(eq=False)
class Executor:
    """
    An executor as its worker sees it.

    Attributes:
        pid: of the process; also its process group.
        in_hand: what was sent and has not come to its end, in the order sent.
    """

    number: int
    slot: Slot
    temp: Path
    generation: int
    pid: int = 0
    in_hand: dict[int, Assignment] = field(default_factory=dict[int, Assignment])
    sent: int = 0
    retiring: bool = False
    closed: bool = False
    log_tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=LOG_TAIL))
    known: set[str] = field(default_factory=set[str])
    death: Death | None = None
    doomed: int | None = None
    transport: asyncio.Transport | None = None
    status: "asyncio.Future[int | None] | None" = None
    pipes: "list[asyncio.Future[None]]" = field(default_factory=lambda: list["asyncio.Future[None]"]())

    @property
    def load(self) -> int:
        """
        How many assignments it has in hand.
        """
        return len(self.in_hand)

    @property
    def running(self) -> tuple[int, float] | None:
        """
        The job that it is at, and since when on the monotonic clock.
        """
        now = None if self.closed else self.slot.read()
        return now if now is not None and now[0] in self.in_hand else None


class Pool:
    """
    A number of executors.

    Args:
        size: how many.
        home: folder for temporary files, one folder an executor.
        listener: who is told.
        binder: `module:function` that makes what a job can reach, see `executor.Binder`.
        settings_json: handed to the binder.
        recycle_after: jobs after which an executor is replaced.
        poll: seconds between two looks at times and memory.
    """

    def __init__(
        self,
        *,
        size: int,
        home: Path,
        listener: Listener,
        binder: str,
        settings_json: str,
        recycle_after: int = 1000,
        poll: float = 0.1,
    ) -> None:
        self._size, self._listener = size, listener
        self._binder, self._settings_json = binder, settings_json
        self._recycle_after, self._poll = recycle_after, poll
        self._folder = TempFolder(home / "temp")
        self._executors: list[Executor] = []
        self._starting: dict[int, _Birth] = {}
        self._tokens = itertools.count(1)
        self._plans: dict[str, bytes] = {}
        self._holders: dict[int, Executor] = {}
        self._modules: list[str] = [*BASE, binder.partition(":")[0]]
        self._generation = 0
        self._server: _Server | None = None
        self._failures = 0
        self._stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[None] | None = None

    # -- what the dispatcher sees ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """
        Start the forkserver and ask it for executors. They appear one by one, and `ready` is called for each.
        """
        self._folder.open()
        self._start_server()
        self._fill()
        self._watching = asyncio.create_task(self._watch(), name="oaflow pool")

    async def stop(self) -> None:
        """
        End all executors: those that are idle by themselves, those at work by force. The listener is told nothing more.
        """
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        everyone = [*self._executors, *(birth.executor for birth in self._starting.values() if birth.executor)]
        for executor in everyone:
            if executor.load:
                self._signal(executor)
            elif executor.transport is not None:
                executor.transport.write(frame(("end",)))
        until = time.monotonic() + STOP_SECONDS
        while any(not executor.closed for executor in everyone) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for executor in everyone:
            if not executor.closed:
                self._signal(executor)
                if executor.transport is not None:
                    executor.transport.abort()
        if self._server is not None:
            await self._server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._folder.close)

    async def probe(self, tasks: Iterable[str]) -> dict[str, Probe]:
        """
        Import the modules of tasks in a process of its own, and say what is there. What is there is preloaded, so that
        executors started from now on have it already, and executors that lack it are replaced when they are idle.
        """
        wanted = list(dict.fromkeys(tasks))
        # oaflow's own modules do no harm when imported, so there is no need to import them twice.
        self._preload(module for module in map(_module_of, wanted) if module.startswith("oaflow."))
        found: dict[str, Probe] = {}
        preloadable: list[str] = []
        while missing := [task for task in wanted if task not in found]:
            server = self._server
            if server is None or server.closed:
                await asyncio.sleep(0.05)
                if self._stopping:
                    raise RuntimeError("the pool is stopped")
                continue
            answers, trying, ended = await self._probe_once(server, missing)
            for task, threads, probe in answers:
                found[task] = probe
                if probe.ok and not probe.is_async and threads == 0:
                    preloadable.append(_module_of(task))
            if trying is not None and trying not in found:
                found[trying] = Probe(False, error=f"importing {_module_of(trying)!r} {ended}")
        self._preload(preloadable)
        return found

    def know(self, run: str, plan: bytes) -> None:
        """
        Take the bound plan of a run, as JSON. It is sent to an executor before the first assignment of the run.
        """
        self._plans[run] = plan

    def forget(self, run: str) -> None:
        """
        Drop the plan of a run that has ended.
        """
        if self._plans.pop(run, None) is None:
            return
        for executor in self._executors:
            if run in executor.known:
                executor.known.discard(run)
                self._write(executor, ("forget", run))

    @property
    def executors(self) -> Sequence[Executor]:
        """
        Those that take work.
        """
        return [executor for executor in self._executors if not executor.retiring]

    @property
    def forkserver(self) -> int | None:
        """
        The process that executors are forked from, or None where there is none at the moment.
        """
        return None if self._server is None or self._server.closed else self._server.pid

    def send(self, executor: Executor, assignments: Sequence[Assignment]) -> None:
        """
        Hand work to an executor, which does it in this order.

        Raises:
            KeyError: the plan of a run is not known.
        """
        for run in {assignment.run for assignment in assignments} - executor.known:
            self._write(executor, ("plan", run, self._plans[run]))
            executor.known.add(run)
        for assignment in assignments:
            executor.in_hand[assignment.job] = assignment
            self._holders[assignment.job] = executor
        executor.sent += len(assignments)
        self._write(executor, ("do", [plain_assignment(assignment) for assignment in assignments]))
        if executor.sent >= self._recycle_after:
            self._retire(executor)

    def acknowledge(self, job: int, position: int) -> None:
        """
        Say that a part of a stream is in the database.
        """
        executor = self._holders.get(job)
        if executor is not None:
            self._write(executor, ("ack", job, position))

    def kill(self, executor: Executor, reason: str) -> None:
        """
        End an executor now, with all that it runs; `died` follows, of the kind `killed`.
        """
        self._kill(executor, "killed", because=reason)

    # -- forkserver ------------------------------------------------------------------------------------------------

    def _start_server(self) -> None:
        self._server = _Server(self._told, self._server_gone, self._server_line)
        self._generation += 1
        self._server.send("preload", self._modules)

    def _server_gone(self, server: "_Server") -> None:
        if server is not self._server or self._stopping:
            return
        lived = time.monotonic() - server.since
        self._failures = 0 if lived > 5 else self._failures + 1
        births, self._starting = list(self._starting.values()), {}
        for birth in births:
            birth.abandon()
        # Nobody can tell any more how these will end; what they have in hand they finish.
        for executor in list(self._executors):
            if executor.status is not None and not executor.status.done():
                executor.status.set_result(None)
            self._retire(executor, replace=False)
        # At once the first time; a forkserver that cannot live must not eat the machine.
        delay = 0.0 if self._failures < 3 else 1.0
        asyncio.get_running_loop().call_later(delay, self._revive)

    def _revive(self) -> None:
        if not self._stopping:
            self._start_server()
            self._fill()

    def _server_line(self, text: str) -> None:
        if not self._stopping:
            self._listener.line(None, "stderr", text, None)

    def _told(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("forked", token, pid):
                birth = self._starting.pop(token, None)
                if birth is not None:
                    birth.born(pid)
                    if birth.executor is not None:
                        self._born(birth.executor)
            case ("ended", pid, status):
                for executor in self._executors:
                    if executor.pid == pid and executor.status is not None and not executor.status.done():
                        executor.status.set_result(status)
                        # The socket of a process that a stage forked and that left the group would keep it open.
                        asyncio.get_running_loop().call_later(0.2, _abort, executor)
            case ("preloaded", outcomes):
                for module, problem, threads in outcomes:
                    if problem is not None:
                        self._server_line(f"importing {module!r} failed: {problem}")
                    elif threads > 1:
                        self._server_line(f"importing {module!r} left {threads} threads in the forkserver")
            case _:
                raise AssertionError(f"no report is called {message[0]!r}")

    def _preload(self, modules: Iterable[str]) -> None:
        new = [module for module in dict.fromkeys(modules) if module not in self._modules]
        if not new:
            return
        self._modules += new
        if self._server is not None and not self._server.closed:
            self._server.send("preload", new)
        self._generation += 1
        for executor in list(self._executors):
            self._retire(executor)
        for birth in self._starting.values():
            if birth.executor is not None:
                birth.executor.retiring = True
        self._fill()

    async def _probe_once(
        self, server: "_Server", tasks: list[str]
    ) -> tuple[list[tuple[str, int, Probe]], str | None, str]:
        """
        Answers, the task that was being imported when the process ended, and how it ended.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        birth = _Birth()
        token = next(self._tokens)
        self._starting[token] = birth
        reader = asyncio.StreamReader(limit=1 << 20)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb"))
        try:
            server.send("probe", token, tasks, descriptors=(theirs,))
            os.close(theirs)
            answers: list[tuple[str, int, Probe]] = []
            trying, ended = None, "ended the process"
            while True:
                try:
                    async with asyncio.timeout(PROBE_SILENCE):
                        line = await reader.readline()
                except TimeoutError:
                    ended = f"took longer than {PROBE_SILENCE:g} s"
                    if birth.pid:
                        _kill_group(birth.pid)
                    break
                if not line.endswith(b"\n"):
                    break
                answer: dict[str, Any] = json.loads(line)
                if "trying" in answer:
                    trying = answer["trying"]
                else:
                    task, threads = answer.pop("task"), answer.pop("threads")
                    answers.append((task, threads, Probe(**answer)))
        finally:
            transport.close()
            self._starting.pop(token, None)
        return answers, trying, ended

    # -- executors -------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """
        Ask for as many executors as are missing.
        """
        server = self._server
        if self._stopping or server is None or server.closed:
            return
        coming = sum(
            1 for birth in self._starting.values() if birth.executor is not None and not birth.executor.retiring
        )
        for _ in range(self._size - len(self.executors) - coming):
            self._start_executor(server)

    def _start_executor(self, server: "_Server") -> None:
        loop = asyncio.get_running_loop()
        token = next(self._tokens)
        ours, theirs = socket.socketpair()
        out, out_theirs = os.pipe()
        err, err_theirs = os.pipe()
        slot = new_slot()
        executor = Executor(token, Slot(slot), self._folder.path / str(token), self._generation)
        executor.status = loop.create_future()
        self._starting[token] = _Birth(executor)
        server.send(
            "fork", token, self._binder, self._settings_json, str(executor.temp),
            descriptors=(theirs.fileno(), slot, out_theirs, err_theirs),
        )  # fmt: skip
        theirs.close()
        for descriptor in (slot, out_theirs, err_theirs):
            os.close(descriptor)
        self._spawn(self._connect(executor, ours, out, err))

    async def _connect(self, executor: Executor, link: socket.socket, out: int, err: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: _Link(self, executor), sock=link)
        for descriptor, stream in ((out, "stdout"), (err, "stderr")):
            heard = loop.create_future()
            executor.pipes.append(heard)
            lines = _Lines(self._spoken(executor, cast("Stream", stream)), heard)
            await loop.connect_read_pipe(lambda lines=lines: lines, os.fdopen(descriptor, "rb", 0))
        self._live(executor)

    def _born(self, executor: Executor) -> None:
        self._executors.append(executor)
        self._live(executor)

    def _live(self, executor: Executor) -> None:
        """
        It takes work from when its number is known and its wires are laid, whichever comes last.
        """
        if executor not in self._executors or len(executor.pipes) < 2:
            return
        if executor.retiring:  # said so before there was a wire to say it on
            self._write(executor, ("end",))
        elif executor.generation < self._generation:
            self._retire(executor)
        if not executor.retiring and not self._stopping:
            self._listener.ready()

    def _spoken(self, executor: Executor, stream: Stream) -> Any:
        def line(text: str, job: int | None) -> None:
            if job is None:
                now = executor.running
                job = now[0] if now is not None else None
            executor.log_tail.append(text)
            if not self._stopping:
                self._listener.line(executor, stream, text, executor.in_hand.get(job) if job is not None else None)

        return line

    def received(self, executor: Executor, handovers: list[Handover]) -> None:
        """
        Called by the wire of an executor.
        """
        for handover in handovers:
            if handover.outcome != "chunk":
                executor.in_hand.pop(handover.job, None)
                self._holders.pop(handover.job, None)
        if self._stopping:
            return
        self._listener.handed(executor, handovers)
        if not executor.in_hand and not executor.retiring:
            self._listener.ready()

    def lost(self, executor: Executor) -> None:
        """
        Called by the wire of an executor: nothing more will come from it.
        """
        self._spawn(self._bury(executor))

    async def _bury(self, executor: Executor) -> None:
        executor.retiring = True
        self._fill()
        status = await self._last_words(executor)
        running = executor.slot.read()
        executor.closed = True
        executor.slot.close()
        if executor in self._executors:
            self._executors.remove(executor)
        await asyncio.to_thread(shutil.rmtree, executor.temp, True)
        in_hand = executor.in_hand
        for job in in_hand:
            self._holders.pop(job, None)
        if self._stopping or (not in_hand and executor.death is None and status in (0, None)):
            return
        culprit = in_hand.get(running[0]) if running is not None else None
        death = self._judge(executor, culprit, status)
        if death.kind == "killed" and executor.death is not None and executor.death.kind != "killed":
            culprit = None  # the job that it was to die for had ended, and another had begun
        returned = [assignment for assignment in in_hand.values() if assignment is not culprit]
        self._listener.died(executor, culprit, death, returned)
        self._listener.ready()

    async def _last_words(self, executor: Executor) -> int | None:
        waiting = [*executor.pipes, *([executor.status] if executor.status is not None else [])]
        if waiting:
            await asyncio.wait(waiting, timeout=LAST_WORDS)
        return executor.status.result() if executor.status is not None and executor.status.done() else None

    def _judge(self, executor: Executor, culprit: Assignment | None, status: int | None) -> Death:
        tail = tuple(executor.log_tail)
        ours = executor.death
        if ours is not None:
            if ours.kind != "killed" and (culprit is None or culprit.job != executor.doomed):
                return Death("killed", "SIGKILL", because=f"{ours.kind} of job {executor.doomed}", log_tail=tail)
            return Death(ours.kind, "SIGKILL", rss=ours.rss, because=ours.because, log_tail=tail)
        if status is None:
            return Death("signal", because="how it ended is not known", log_tail=tail)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return Death("signal", _signal_name(-code), log_tail=tail)
        return Death("exit", code=code, log_tail=tail)

    def _retire(self, executor: Executor, *, replace: bool = True) -> None:
        """
        Let an executor finish what it has in hand, and end; another takes its place at once.
        """
        if executor.retiring:
            return
        executor.retiring = True
        self._write(executor, ("end",))
        if replace:
            self._fill()

    def _kill(self, executor: Executor, kind: Kill, *, because: str | None = None, rss: int | None = None) -> None:
        running = executor.running
        executor.death = Death(kind, rss=rss, because=because)
        executor.doomed = running[0] if running is not None else None
        executor.retiring = True
        self._signal(executor)

    def _signal(self, executor: Executor) -> None:
        ended = executor.status is not None and executor.status.done() and executor.status.result() is not None
        if executor.pid and not executor.closed and not ended:
            _kill_group(executor.pid)

    def _write(self, executor: Executor, message: tuple[Any, ...]) -> None:
        if executor.transport is not None and not executor.transport.is_closing():
            executor.transport.write(frame(message))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            now = time.monotonic()
            for executor in list(self._executors):
                if executor.death is None and (running := executor.running) is not None:
                    self._look(executor, executor.in_hand[running[0]], now - running[1])

    def _look(self, executor: Executor, assignment: Assignment, seconds: float) -> None:
        if assignment.timeout is not None and seconds > assignment.timeout:
            self._kill(executor, "timeout", because=f"longer than {assignment.timeout:g} s")
        elif assignment.memory is not None:
            rss = _resident(executor.pid)
            if rss > assignment.memory:
                self._kill(executor, "memory", rss=rss, because=f"more than {assignment.memory} bytes")
            elif rss > assignment.memory * 0.5 and not executor.retiring:
                # What earlier jobs left in it must not be charged to a later one.
                self._retire(executor)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class TempFolder:
    """
    A folder of this process for its executors' temporary files. A lock says that it is in use, so that the next pool
    removes what a killed one left.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.path = parent / f"{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}"
        self._lock: int | None = None

    def open(self) -> None:
        """
        Make it, and remove those that nobody holds.
        """
        self._parent.mkdir(parents=True, exist_ok=True)
        for other in self._parent.iterdir():
            with contextlib.suppress(OSError):
                _remove_unheld(other)
        self.path.mkdir()
        self._lock = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """
        Remove it.
        """
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_unheld(folder: Path) -> None:
    lock = os.open(folder / ".lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


class _Birth:
    """
    A process that was asked for: an executor, or a probe where there is none.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.executor = executor
        self.pid = 0

    def born(self, pid: int) -> None:
        self.pid = pid
        if self.executor is not None:
            self.executor.pid = pid

    def abandon(self) -> None:
        if self.executor is not None:
            if self.executor.status is not None and not self.executor.status.done():
                self.executor.status.set_result(None)
            _abort(self.executor)


class _Link(asyncio.Protocol):
    """
    The wire to one executor.
    """

    def __init__(self, pool: Pool, executor: Executor) -> None:
        self._pool, self._executor = pool, executor
        self._frames = Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._executor.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for rows in self._frames.feed(data):
            self._pool.received(self._executor, [read_handover(row) for row in rows])

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self._executor)


class _Lines(asyncio.Protocol):
    """
    What comes out of a pipe, by lines. Lines of the executor's own say which job the following ones belong to.
    """

    def __init__(self, line: Callable[[str, int | None], None], heard: "asyncio.Future[None]") -> None:
        self._line, self._heard = line, heard
        self._rest = b""
        self._job: int | None = None

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        while len(rest) >= LONGEST_LINE:
            self._take(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest

    def _take(self, line: bytes) -> None:
        before, mark, job = line.rpartition(MARK)
        if mark and job.isdigit():
            if before:  # a line that its job did not end
                self._line(before.decode(errors="replace"), self._job)
            self._job = int(job) or None
        else:
            self._line(line.decode(errors="replace"), self._job)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._take(self._rest)
        if not self._heard.done():
            self._heard.set_result(None)


class _Server:
    """
    One forkserver process.
    """

    def __init__(self, told: Any, gone: Any, line: Any) -> None:
        self._told, self._gone = told, gone
        self._frames = Frames()
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self.closed = False
        self.since = time.monotonic()
        loop = asyncio.get_running_loop()
        self._link, theirs = socket.socketpair()
        self._link.setblocking(False)
        out, out_theirs = os.pipe()
        command = [sys.executable, "-m", "oaflow.runtime.forkserver", str(theirs.fileno())]
        if "PYTHONPATH" in os.environ:
            command.append(os.environ["PYTHONPATH"])
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=out_theirs,
            stderr=out_theirs,
            env=_environment(os.environ),
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor
        )
        theirs.close()
        os.close(out_theirs)
        loop.add_reader(self._link.fileno(), self._receive)
        heard: asyncio.Future[None] = loop.create_future()
        lines = _Lines(lambda text, _job: line(text), heard)
        self._pipe = loop.create_task(loop.connect_read_pipe(lambda: lines, os.fdopen(out, "rb", 0)))

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, *message: Any, descriptors: tuple[int, ...] = ()) -> None:
        """
        Ask for something. The descriptors may be closed afterwards.
        """
        self._waiting.append((frame(message), tuple(os.dup(descriptor) for descriptor in descriptors)))
        self._push()

    def _push(self) -> None:
        while self._waiting and not self.closed:
            data, descriptors = self._waiting[0]
            try:
                sent = socket.send_fds(self._link, [data], descriptors) if descriptors else self._link.send(data)
            except BlockingIOError:  # it is busy importing
                asyncio.get_running_loop().call_later(0.02, self._push)
                return
            except OSError:
                self._end()
                return
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(data):
                self._waiting[0] = (data[sent:], ())
            else:
                self._waiting.popleft()

    def _receive(self) -> None:
        try:
            data = self._link.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        for message in self._frames.feed(data):
            self._told(message)
        if not data:
            self._end()

    def _end(self) -> None:
        if self.closed:
            return
        self.closed = True
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        for _, descriptors in self._waiting:
            for descriptor in descriptors:
                os.close(descriptor)
        self._waiting.clear()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._gone(self)

    async def stop(self) -> None:
        """
        End it: it does so by itself when nobody is at the other end.
        """
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self._link.close()
        until = time.monotonic() + STOP_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            await asyncio.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(Exception):
            transport, _ = await self._pipe
            transport.close()


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Where this very package is found first, also where it is not installed.
    """
    root = str(Path(oaflow.__file__).parent.parent)
    paths = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": os.pathsep.join([root, paths] if paths else [root])}


def _module_of(task: str) -> str:
    return task.rpartition(".")[0]


def _abort(executor: Executor) -> None:
    if executor.transport is not None and not executor.transport.is_closing():
        executor.transport.abort()


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_PAGE = os.sysconf("SC_PAGESIZE")


def _resident(pid: int) -> int:
    """
    Resident bytes of a process; 0 where it is gone.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return 0
    except (OSError, IndexError):
        return 0
    import psutil  # only where there is no /proc

    try:
        return cast("int", psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
