"""
The executors of one worker: asked for, fed, told of their ends, and replaced.

Lives in the worker's event loop. What becomes of jobs is the listener's business: the pool says what an executor handed
over, and when one died, which job it was at, what it had in hand, and how it ended.
"""

import asyncio
import itertools
import os
import shutil
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from oaflow.runtime.executors import Executor, Listener, Stream
from oaflow.runtime.frames import plain_assignment
from oaflow.runtime.link import End, connect, new_link
from oaflow.runtime.logged import Logged
from oaflow.runtime.loops import begin
from oaflow.runtime.messages import Assignment, Handover
from oaflow.runtime.preloads import Preloads
from oaflow.runtime.probing import Prober
from oaflow.runtime.scoreboard import Scoreboard, new_scoreboard
from oaflow.runtime.server import Server
from oaflow.runtime.spawner import Spawner
from oaflow.runtime.temporary import TempFolder
from oaflow.runtime.watchdog import Watchdog

# Preloaded at once: what every executor needs.
BASE = ("oaflow.runtime.executor",)

# How long to wait for what a dead executor's forkserver and pipes have still to say.
LAST_WORDS = 1.0

# What dies sooner than this has not even begun, and is not started again at once.
YOUNG = 1.0

STOP_SECONDS = 2.0


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

    Attributes:
        preloads: what they have loaded before they begin.
        prober: finds out which tasks they can do.
        temp: a folder for temporary files of the worker itself. It is there from `start` to `stop`, and where the
            worker is killed, the next one here removes it.
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
        self._recycle_after = recycle_after
        self._folder = TempFolder(home / "temp")
        self.temp = self._folder.path / "worker"
        self._executors: list[Executor] = []
        self._numbers = itertools.count(1)
        self._plans: dict[str, bytes] = {}
        self._holders: dict[int, Executor] = {}
        self._generation = 0
        self._stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._given = asyncio.Event()  # there may be work to watch
        self.preloads = Preloads([*BASE, binder.partition(":")[0]], renew=self._renew, line=self._line)
        self._spawner = Spawner(
            started=self._begin_anew,
            gone=self._be_on_their_own,
            born=self._born,
            ended=self._ended,
            loaded=self.preloads.loaded,
            line=self._line,
        )
        self.prober = Prober(self.preloads, self._spawner.probe)
        self._watchdog = Watchdog(
            self._executors,
            busy=lambda: bool(self.at_work),
            given=self._given,
            retire=self._retire,
            poll=poll,
        )

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
        self._spawner.start()
        self._watching = begin(self._watchdog.watch(), "pool")

    async def stop(self) -> None:
        """
        End all executors: those that are idle by themselves, those at work by force. The listener is told nothing more.
        """
        self._stopping = True
        self._spawner.close()
        if self._watching is not None:
            self._watching.cancel()
        everyone = [*self._executors, *self._spawner.coming]
        for executor in everyone:
            if executor.load or self.preloads.loading:
                executor.kill()
            else:
                executor.write(("end",))
        if self.preloads.loading:
            # The forkserver hears and reaps nobody until all is loaded, which nobody wants any more.
            for executor in everyone:
                executor.ended(None)
            self._spawner.abandon()
        until = time.monotonic() + STOP_SECONDS
        while any(not executor.closed for executor in everyone) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for executor in everyone:
            executor.kill()
            executor.abort()
        await self._spawner.stop(at_once=bool(self.preloads.loading))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._folder.close)

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
        # One until all is loaded: the others then have it from the beginning.
        return found[:1] if self.preloads.bare or self.preloads.loading else found

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
        return self._spawner.forkserver

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
        self.preloads.load_late()
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
        executor.kill_for("killed", because=reason)

    # -- forkserver ------------------------------------------------------------------------------------------------

    def _begin_anew(self, server: Server) -> None:
        self._generation += 1
        self.preloads.begin(server)
        self._fill()

    def _be_on_their_own(self) -> None:
        self.preloads.lost()
        # Nobody can tell any more how these will end; what they have in hand they finish.
        for executor in list(self._executors):
            executor.ended(None)
            self._retire(executor, replace=False)

    def _line(self, text: str) -> None:
        if not self._stopping:
            self._listener.line(None, "stderr", text, None)

    def _ended(self, pid: int, status: int, peak: int) -> None:
        for executor in self._executors:
            if executor.pid == pid:
                executor.ended(status, peak)
                # A process that a stage forked and that left the group would keep the socket open.
                asyncio.get_running_loop().call_later(0.2, executor.abort)

    def _renew(self) -> None:
        """
        Replace all executors: who is at work finishes that before.
        """
        self._generation += 1
        for executor in self._spawner.coming:  # before others are asked for, which are of this generation
            executor.retiring = True
        for executor in list(self._executors):
            if not executor.load:
                self._retire(executor)
        self._fill()

    # -- executors -------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """
        Ask for as many executors as are missing.
        """
        if self._stopping:
            return
        coming = sum(1 for executor in self._spawner.coming if not executor.retiring)
        there = sum(1 for executor in self._executors if not executor.retiring and executor.rests is None)
        for _ in range(self._size - there - coming):
            # None, too, if the one before found it dead: what is asked of it now would be waited for in vain.
            if self._spawner.forkserver is None:
                return
            self._start_executor()

    def _start_executor(self) -> None:
        number = next(self._numbers)
        ours, theirs = new_link()
        scoreboard = new_scoreboard()
        ended = asyncio.get_running_loop().create_future()
        executor = Executor(number, Scoreboard(scoreboard), self._folder.path / str(number), self._generation, ended)
        link, out, err = theirs.descriptors
        self._spawner.fork(
            executor, self._binder, self._settings_json, str(executor.temp), descriptors=(link, scoreboard, out, err)
        )
        theirs.close()
        os.close(scoreboard)
        self._spawn(self._connect(executor, ours))

    async def _connect(self, executor: Executor, end: End) -> None:
        await connect(executor, end, self)
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

    def printed(self, executor: Executor, stream: Stream, text: str, job: int | None, logged: Logged | None) -> None:
        """
        Called by the link to an executor.
        """
        if job is None:
            now = executor.running
            job = now[0] if now is not None else None
        executor.printed.append((job, stream, text))
        if not self._stopping:
            had = executor.had(job) if job is not None else None
            self._listener.line(executor, stream, text, had, logged)

    def received(self, executor: Executor, handovers: list[Handover]) -> None:
        """
        Called by the link to an executor.
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
        Called by the link to an executor that is at another job for so long that these are not to wait behind it.
        """
        back = [executor.in_hand.pop(job) for job in jobs]
        for job in jobs:
            self._holders.pop(job, None)
        if not self._stopping:
            self._listener.unbegun(back)

    def lost(self, executor: Executor) -> None:
        """
        Called by the link to an executor: nothing more will come from it.
        """
        self._spawn(self._bury(executor))

    async def _bury(self, executor: Executor) -> None:
        executor.retiring = True
        if executor.sent or time.monotonic() - executor.born > YOUNG:
            self._fill()
        else:  # what cannot live must not eat the machine
            asyncio.get_running_loop().call_later(YOUNG, self._fill)
        await asyncio.wait([*executor.pipes, executor.status], timeout=LAST_WORDS)
        running = executor.scoreboard.read()
        executor.closed = True
        executor.scoreboard.close()
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

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
