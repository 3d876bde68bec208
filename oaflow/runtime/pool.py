"""
The executors of one worker, kept alive: started through the forkserver, fed, watched, and replaced when they end.

Lives in the worker's event loop. What becomes of jobs is the listener's business: the pool says what an executor handed
over, and when one died, which job it was at, what it had in hand, and how it ended.
"""

import asyncio
import itertools
import os
import shutil
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from oaflow.packages import is_own, module_of
from oaflow.runtime.executors import Executor, Listener, Stream
from oaflow.runtime.frames import Frames, plain_assignment, read_handover
from oaflow.runtime.lines import Lines
from oaflow.runtime.logged import Logged
from oaflow.runtime.loops import begin
from oaflow.runtime.messages import Assignment, Death, Handover, Probe
from oaflow.runtime.probing import Answers, listen
from oaflow.runtime.processes import resident
from oaflow.runtime.programs import memory_of_programs
from oaflow.runtime.server import Server
from oaflow.runtime.slot import Slot, new_slot
from oaflow.runtime.staleness import Code, Look
from oaflow.runtime.temporary import TempFolder
from oaflow.runtime.versions import Files, Seen

# Preloaded at once: what every executor needs.
BASE = ("oaflow.runtime.executor",)

# How long to wait for what a dead executor's forkserver and pipes have still to say.
LAST_WORDS = 1.0

# What dies sooner than this has not even begun, and is not started again at once.
YOUNG = 1.0

STOP_SECONDS = 2.0

REVIVE_SECONDS = 1.0  # before a forkserver that cannot live, or cannot be started, is started again

# That an executor whose job is out of time has to say where it is.
WHERE_SECONDS = 0.1

# Fruitless attempts to get an answer about a task, a tenth of a second apart.
MOST_TRIES = 50

# Above this part of a job's limit an executor is replaced when the job has ended: what earlier jobs left in it must not
# be charged to a later one.
FULL = 0.5

Kill = Literal["timeout", "memory", "killed"]


class Pool:
    """
    A number of executors.

    Args:
        size: how many.
        home: folder for temporary files, one folder an executor.
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
        binder: str,
        settings_json: str,
        recycle_after: int = 1000,
        poll: float = 0.1,
    ) -> None:
        self._size = size
        self._listener: Listener
        self._binder, self._settings_json = binder, settings_json
        self._recycle_after, self._poll = recycle_after, poll
        self._folder = TempFolder(home / "temp")
        # A folder for temporary files of the worker itself. It is there from `start` to `stop`, and where the worker is
        # killed, the next one here removes it.
        self.temp = self._folder.path / "worker"
        self._executors: list[Executor] = []
        self._starting: dict[int, _Birth] = {}
        self._tokens = itertools.count(1)
        self._plans: dict[str, bytes] = {}
        self._holders: dict[int, Executor] = {}
        self._modules: list[str] = [*BASE, binder.partition(":")[0]]
        # Of these, such as are imported without what they load late; and such of which that is being loaded.
        self._bare: list[str] = []
        self._loading: list[str] = []
        # By module, what the forkserver has loaded, and all that are forked from it.
        self._shared: dict[str, Files] = {}
        # Those that each executor imports for itself.
        self._alone: set[str] = set()
        self._generation = 0
        self._server: Server | None = None
        self._failures = 0
        self._stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._given = asyncio.Event()  # there may be work to watch

    # -- what the dispatcher sees ----------------------------------------------------------------------------------

    async def start(self, listener: Listener) -> None:
        """
        Start the forkserver and ask it for executors. They appear one by one, and `ready` is called for each.

        Args:
            listener: who is told.
        """
        self._listener = listener
        self._folder.open()
        self.temp.mkdir()
        self._start_server()
        self._fill()
        self._watching = begin(self._watch(), "pool")

    async def stop(self) -> None:
        """
        End all executors: those that are idle by themselves, those at work by force. The listener is told nothing more.
        """
        self._stopping = True
        if self._watching is not None:
            self._watching.cancel()
        everyone = [*self._executors, *(birth.executor for birth in self._starting.values() if birth.executor)]
        for executor in everyone:
            if executor.load or self._loading:
                executor.kill()
            else:
                executor.write(("end",))
        if self._loading:
            # The forkserver hears and reaps nobody until all is loaded, which nobody wants any more.
            for executor in everyone:
                executor.ended(None)
            for birth in self._starting.values():
                birth.abandon()
        until = time.monotonic() + STOP_SECONDS
        while any(not executor.closed for executor in everyone) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for executor in everyone:
            executor.kill()
            executor.abort()
        if self._server is not None:
            await self._server.stop(at_once=bool(self._loading))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._folder.close)

    async def probe(self, tasks: Iterable[str]) -> dict[str, Probe]:
        """
        Import the modules of tasks in a process of its own, and say what is there. What is there is preloaded, so that
        executors started from now on have it already, and executors that lack it are replaced when they are idle. What
        oaflow's own modules load late is loaded beside the first work: a crawl needs none of it.
        """
        wanted = list(dict.fromkeys(tasks))
        # oaflow's own modules do no harm when imported, so there is no need to import them twice.
        self._preload((module for module in map(module_of, wanted) if is_own(module)), late=False)
        found: dict[str, Probe] = {}
        harmless: list[str] = []
        tries = 0
        while missing := [task for task in wanted if task not in found]:
            said = await self._ask(missing)
            if said.trying is not None:
                problem = f"importing {module_of(said.trying)!r} {said.ending}"
                said.probes.setdefault(said.trying, Probe(False, error=problem))
            tries = 0 if said.probes else tries + 1
            if tries == MOST_TRIES:
                problem = "no process could be started to look at it"
                said.probes |= {task: Probe(False, error=problem) for task in missing}
            found |= said.probes
            harmless += said.harmless
        self._preload(map(module_of, harmless))
        # Of modules that each executor imports for itself, some may have one without a function that was written since.
        mine = {module_of(task) for task, probe in found.items() if probe.ok and not probe.is_async}
        alone = mine - {*self._modules}
        if alone & self._alone:
            self._renew()
        self._alone |= alone
        return {task: found[task] for task in wanted}

    async def _ask(self, tasks: list[str]) -> Answers:
        server = self._server
        if self._stopping or server is None or server.closed:
            await asyncio.sleep(0.1)
            return Answers()
        birth = _Birth()
        token = next(self._tokens)
        self._starting[token] = birth
        ours, theirs = os.pipe()
        server.send("probe", token, tasks, descriptors=(theirs,))
        os.close(theirs)
        try:
            return await listen(ours, lambda: birth.pid)
        finally:
            self._starting.pop(token, None)

    def code_of(self, task: str, probe: Probe) -> Code:
        """
        What executors have loaded for a task, of which a process of its own has said this.
        """
        files = {path: Seen._make(seen) for path, seen in probe.files.items()}
        module = module_of(task)
        shared = self._shared.get(module, {})
        return Code({path: shared.get(path, seen) for path, seen in files.items()}, mixed=module not in self._modules)

    def has_old(self, task: str) -> bool:
        """
        Whether what is to be found out about a task is found in a module as it was once, which has changed since.
        """
        module = module_of(task)
        return bool(Look().changed({module: Code(self._shared.get(module, {}))}))

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
                executor.write(("forget", run))

    @property
    def executors(self) -> Sequence[Executor]:
        """
        Those that take work.
        """
        # Not before its wire is laid: what is written then goes nowhere, and the plan of its run with it.
        found = [
            executor
            for executor in self._executors
            if not executor.retiring
            and executor.transport is not None
            and executor.rests is None
            and executor.generation == self._generation
        ]
        # One until all is loaded: what it needs of that, it loads for itself, and others need not.
        return found[:1] if self._bare or self._loading else found

    @property
    def at_work(self) -> Sequence[Executor]:
        """
        Those that have something in hand, whether they take more or not.
        """
        return [
            executor
            for executor in self._executors
            if executor.load and executor.rests is None and executor.death is None
        ]

    @property
    def everyone(self) -> Sequence[Executor]:
        """
        All that are there.
        """
        return tuple(self._executors)

    def at(self, job: int) -> Executor | None:
        """
        The one that is at a job, whether it takes more work or not.
        """
        executor = self._holders.get(job)
        return executor if executor is not None and (executor.running or (0,))[0] == job else None

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
            executor.write(("plan", run, self._plans[run]))
            executor.known.add(run)
        for assignment in assignments:
            executor.in_hand[assignment.job] = assignment
            self._holders[assignment.job] = executor
        executor.sent += len(assignments)
        self._given.set()
        executor.write(("do", [plain_assignment(assignment) for assignment in assignments]))
        self._load_late()
        if executor.sent >= self._recycle_after:
            self._retire(executor)

    def acknowledge(self, job: int, position: int) -> None:
        """
        Say that a part of a stream is in the database.
        """
        executor = self._holders.get(job)
        if executor is not None:
            executor.write(("ack", job, position))

    def rest(self, job: int) -> bool:
        """
        Let the executor that is at a job count for nothing while it waits, and another take its place: as many at most
        as work otherwise. Answers whether it does.
        """
        executor = self.at(job)
        if executor is None:
            return False
        if executor.rests is None:
            if sum(other.rests is not None for other in self._executors) >= self._size:
                return False
            executor.rests = time.monotonic()
            self._fill()
        return True

    def go_on(self, job: int) -> None:
        """
        It waits no more. The one that took its place stays until it is replaced.
        """
        if (executor := self.at(job)) is not None:
            executor.go_on(time.monotonic())

    def kill(self, executor: Executor, reason: str) -> None:
        """
        End an executor now, with all that it runs; `died` follows, of the kind `killed`.
        """
        self._kill(executor, "killed", because=reason)

    # -- forkserver ------------------------------------------------------------------------------------------------

    def _start_server(self) -> None:
        self._server = Server(self._told, self._server_gone, self._server_line)
        self._generation += 1
        self._bare, self._loading = [*self._loading, *self._bare], []
        self._server.send("preload", [module for module in self._modules if module not in self._bare])
        if self._bare:
            self._server.send("import", self._bare)

    def _server_gone(self, server: "Server") -> None:
        if server is not self._server or self._stopping:
            return
        lived = time.monotonic() - server.since
        self._failures = 0 if lived > 5 else self._failures + 1
        births, self._starting = list(self._starting.values()), {}
        for birth in births:
            birth.abandon()
        # Nobody can tell any more how these will end; what they have in hand they finish.
        for executor in list(self._executors):
            executor.ended(None)
            self._retire(executor, replace=False)
        # At once the first time; a forkserver that cannot live must not eat the machine.
        delay = 0.0 if self._failures < 3 else REVIVE_SECONDS
        asyncio.get_running_loop().call_later(delay, self._revive)

    def _revive(self) -> None:
        if self._stopping:
            return
        try:
            self._start_server()
        except OSError as problem:  # there is no room for one more process, perhaps only now
            self._server_line(f"the forkserver cannot be started: {problem}")
            asyncio.get_running_loop().call_later(REVIVE_SECONDS, self._revive)
            return
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
            case ("ended", pid, status, peak):
                for executor in self._executors:
                    if executor.pid == pid:
                        executor.ended(status, peak)
                        # A process that a stage forked and that left the group would keep the socket open.
                        asyncio.get_running_loop().call_later(0.2, executor.abort)
            case ("preloaded", outcomes):
                for module, problem, threads, files in outcomes:
                    self._shared[module] = {path: Seen._make(seen) for path, seen in files.items()}
                    if problem is not None:
                        self._server_line(f"importing {module!r} failed: {problem}")
                    elif threads > 1:
                        self._server_line(f"importing {module!r} left {threads} threads in the forkserver")
                if self._loading and self._loading == [module for module, *_ in outcomes]:
                    self._loading = []
                    self._renew()
            case _:
                raise AssertionError(f"no report is called {message[0]!r}")

    def _preload(self, modules: Iterable[str], *, late: bool = True) -> None:
        new = [module for module in dict.fromkeys(modules) if module not in self._modules]
        if not new:
            return
        self._modules += new
        if self._server is not None and not self._server.closed:
            self._server.send("preload" if late else "import", new)
        if not late:
            self._bare += new
        self._renew()

    def _load_late(self) -> None:
        """
        Work has gone out: what was left out for it is loaded now, unless that is being done.
        """
        if self._bare and not self._loading and self._server is not None and not self._server.closed:
            self._bare, self._loading = [], self._bare
            self._server.send("preload", self._loading)

    def _renew(self) -> None:
        """
        Replace all executors: who is at work finishes that before.
        """
        self._generation += 1
        for birth in self._starting.values():  # before others are asked for, which are of this generation
            if birth.executor is not None:
                birth.executor.retiring = True
        for executor in list(self._executors):
            if not executor.load:
                self._retire(executor)
        self._fill()

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
        there = sum(1 for executor in self._executors if not executor.retiring and executor.rests is None)
        for _ in range(self._size - there - coming):
            if server.closed:  # the one before found it dead; what is asked of it now would be waited for in vain
                return
            self._start_executor(server)

    def _start_executor(self, server: "Server") -> None:
        loop = asyncio.get_running_loop()
        token = next(self._tokens)
        ours, theirs = socket.socketpair()
        out, out_theirs = os.pipe()
        err, err_theirs = os.pipe()
        slot = new_slot()
        temp = self._folder.path / str(token)
        executor = Executor(token, Slot(slot), temp, self._generation, loop.create_future())
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
            lines = Lines(self._spoken(executor, cast("Stream", stream)), heard)
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
            executor.write(("end",))
        elif executor.generation < self._generation:
            self._retire(executor)
        if not executor.retiring and not self._stopping:
            self._listener.ready()

    def _spoken(self, executor: Executor, stream: Stream) -> Callable[[str, int | None, Logged | None], None]:
        def line(text: str, job: int | None, logged: Logged | None) -> None:
            if job is None:
                now = executor.running
                job = now[0] if now is not None else None
            executor.printed.append((job, stream, text))
            if not self._stopping:
                had = executor.had(job) if job is not None else None
                self._listener.line(executor, stream, text, had, logged)

        return line

    def received(self, executor: Executor, handovers: list[Handover]) -> None:
        """
        Called by the wire of an executor.
        """
        for handover in handovers:
            if handover.outcome != "chunk":
                executor.end(handover.job)
                executor.rests, executor.rested = None, 0.0
                self._holders.pop(handover.job, None)
        if self._stopping:
            return
        self._listener.handed(executor, handovers)
        if not executor.in_hand and not executor.retiring:
            if executor.generation < self._generation:
                self._retire(executor)
            self._listener.ready()

    def came_back(self, executor: Executor, jobs: Sequence[int]) -> None:
        """
        Called by the wire of an executor that is at another job for so long that these are not to wait behind it.
        """
        back = [executor.in_hand.pop(job) for job in jobs]
        for job in jobs:
            self._holders.pop(job, None)
        if not self._stopping:
            self._listener.unbegun(back)

    def lost(self, executor: Executor) -> None:
        """
        Called by the wire of an executor: nothing more will come from it.
        """
        self._spawn(self._bury(executor))

    async def _bury(self, executor: Executor) -> None:
        executor.retiring = True
        if executor.sent or time.monotonic() - executor.born > YOUNG:
            self._fill()
        else:  # what cannot live must not eat the machine
            asyncio.get_running_loop().call_later(YOUNG, self._fill)
        await asyncio.wait([*executor.pipes, executor.status], timeout=LAST_WORDS)
        running = executor.slot.read()
        executor.closed = True
        executor.slot.close()
        if executor in self._executors:
            self._executors.remove(executor)
        await asyncio.to_thread(shutil.rmtree, executor.temp, True)
        for job in executor.in_hand:
            self._holders.pop(job, None)
        culprit = executor.in_hand.get(running[0]) if running is not None else None
        death = executor.verdict(culprit)
        if self._stopping or not (executor.in_hand or executor.death or death.code or death.signal):
            return  # as it was told to
        if death.kind == "killed" and executor.death is not None and executor.death.kind != "killed":
            culprit = None
        returned = [assignment for assignment in executor.in_hand.values() if assignment is not culprit]
        self._listener.died(executor, culprit, death, returned)
        self._listener.ready()

    def _retire(self, executor: Executor, *, replace: bool = True) -> None:
        """
        Let an executor finish what it has in hand, and end; another takes its place at once.
        """
        if executor.retiring:
            return
        executor.retiring = True
        executor.write(("end",))
        if replace:
            self._fill()

    def _kill(self, executor: Executor, kind: Kill, *, because: str | None = None, rss: int | None = None) -> None:
        running = executor.running
        executor.death = Death(kind, rss=rss, because=because)
        executor.doomed = running[0] if running is not None else None
        executor.retiring = True
        if kind == "timeout":
            executor.ask_where()
            asyncio.get_running_loop().call_later(WHERE_SECONDS, executor.kill)
        else:
            executor.kill()

    async def _watch(self) -> None:
        while True:
            await self._given.wait()
            await asyncio.sleep(self._poll)
            if not self.at_work:
                self._given.clear()
            now = time.monotonic()
            for executor in list(self._executors):
                if executor.death is None and (running := executor.running) is not None:
                    self._look(executor, executor.in_hand[running[0]], running[1], now)

    def _look(self, executor: Executor, assignment: Assignment, since: float, now: float) -> None:
        if assignment.timeout is not None and executor.seconds(since, now) > assignment.timeout:
            self._kill(executor, "timeout", because=f"longer than {assignment.timeout:g} s")
        elif assignment.memory is not None:
            self._look_at_memory(executor, assignment, assignment.memory, since)

    def _look_at_memory(self, executor: Executor, assignment: Assignment, limit: int, since: float) -> None:
        rss = resident(executor.pid)
        programs = 0 if rss > limit else memory_of_programs(executor.pid, since, limit - rss)
        # Twice: a program that is only just being started still has all that its parent has.
        greedy_before, executor.greedy = executor.greedy, assignment.job if rss + programs > limit else None
        if rss > limit or (executor.greedy is not None and executor.greedy == greedy_before):
            self._kill(executor, "memory", rss=rss + programs, because=f"more than {limit} bytes")
        elif rss > limit * FULL:
            self._retire(executor)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Birth:
    """
    A process that was asked for: an executor, or a probe where there is none.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.executor = executor
        self.pid = 0

    def born(self, pid: int) -> None:
        """
        It has a number.
        """
        self.pid = pid
        if self.executor is not None:
            self.executor.pid = pid

    def abandon(self) -> None:
        """
        It will never come.
        """
        if self.executor is not None:
            self.executor.ended(None)
            self.executor.abort()


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
        for message in self._frames.feed(data):
            match message:
                case ("unbegun", jobs):
                    self._pool.came_back(self._executor, jobs)
                case rows:
                    self._pool.received(self._executor, [read_handover(row) for row in rows])

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self._executor)
