"""
Runs stages: claims jobs, feeds executors and async slots, and hands over what comes back.

It stands beside procrastinate's Worker and never goes through it: the Worker's path costs five times the CPU a job.
What is decided is decided in `policy`, `pace` and `router`; how it is sent is `completer`'s and `oaflow.ledger`'s.
"""

import asyncio
import logging
import os
import socket
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, assert_never

import orjson

from oaflow.ledger import handover as ledger
from oaflow.ledger.handover import Beat, Claimed, Completion, Successor
from oaflow.ledger.heart import Heart
from oaflow.ledger.wire import Refused, Wire
from oaflow.plan import FORMAT, BoundPlan, BoundStage, Plan, bind
from oaflow.runtime.completer import Completer
from oaflow.runtime.execution import execute_async
from oaflow.runtime.functions import Loaded, load
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.messages import Assignment, Death, Handover, Probe
from oaflow.runtime.pace import Pace
from oaflow.runtime.policy import Again, Divert, Fail, Trouble, judge
from oaflow.runtime.pool import Executor, Pool
from oaflow.runtime.room import full
from oaflow.settings import Settings

log = logging.getLogger(__name__)

ASYNC_SLOTS = 50
UNANSWERED = 300  # completions that may wait for an answer before no more work is started
BUFFER = 100  # claimed and not started, at most
BUFFER_SECONDS = 0.2
ROWS_EVERY = 30.0  # seconds between two comparisons of counters and rows
ROOM_EVERY = 2.0
IDLE_POLL = 1.0
NO_SPACE = ("[Errno 28]", "No space left on device")


@dataclass(frozen=True, slots=True)
class Options:
    """
    What a worker needs to know; read once, at the edge.

    Attributes:
        settings: all settings.
        conninfo: gives the address of the database, for the heartbeat's own connection.
        executors: processes that run sync stages.
        binder: dotted name of the function that gives a job what it can reach.
        grace: seconds that running jobs get at a graceful stop.
        registered: called with each id under which this worker is registered.
    """

    settings: Settings
    conninfo: Callable[[], str]
    executors: int
    binder: str = "oaflow.operations.binding:for_job"
    grace: float = 10.0
    registered: Callable[[int], None] | None = None

    @classmethod
    def from_environment(cls) -> "Options":
        """
        The options of a worker that somebody else started, as `procrastinate worker`.
        """
        from oaflow.postgres import locate

        settings = Settings()
        return cls(settings, lambda: locate(settings).uri, settings.executors or os.cpu_count() or 1)


@dataclass(slots=True)
class Passage:
    """
    A run as this worker knows it.
    """

    id: str
    plan: BoundPlan
    dataset: str
    state: str
    held: int = 0


@dataclass(slots=True)
class Held:
    """
    A job that this worker owns.
    """

    row: Claimed
    passage: Passage
    stage: BoundStage
    parent: int | None
    acknowledged: dict[int, asyncio.Event] = field(default_factory=dict[int, asyncio.Event])

    def assignment(self, chunks: Sequence[tuple[int, str, int]] = ()) -> Assignment:
        """
        The attempt at this job, as an executor gets it.
        """
        return Assignment(
            job=self.row.id,
            attempt=self.row.attempts,
            run=self.passage.id,
            stage=self.stage.name,
            args=self.row.args.encode(),
            timeout=self.stage.timeout,
            memory=self.stage.memory,
            chunks=tuple(chunks),
        )


class Dispatcher:
    """
    One worker's claims, executors and hand-overs, from registration to drain. It is the pool's `Listener`.
    """

    def __init__(self, wire: Wire, options: Options) -> None:
        self._wire, self._options = wire, options
        settings = options.settings
        self.worker = 0
        self._passages: dict[str, Passage] = {}
        self._plans: dict[str, Plan] = {}
        self._held: dict[int, Held] = {}
        self._buffer: deque[Held] = deque()
        self._suspects: deque[Held] = deque()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._probes: dict[str, Probe] = {}
        self._pairs: list[tuple[str, str]] = []
        self._skip: list[str] = []
        self._pace = Pace()
        self._service = 0.05
        self._wake = asyncio.Event()
        self._stopping = False
        self._no_room: str | None = None
        self._paused: list[str] = []
        self._claiming_since = float("inf")
        self._more = True
        self._quiet: set[str] = set()
        self._stale = True
        self._tasks: list[asyncio.Task[Any]] = []
        self._log = JobLog(settings.home / "logs")
        self._completer = Completer(wire, self._settled)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heart = Heart(
            options.conninfo,
            settings.heartbeat,
            mine=lambda: list(self._held),
            oldest=lambda: self._claiming_since,
            told=self._told,
        )
        self._settings_json = settings.model_dump_json()
        self._pool = Pool(
            size=options.executors,
            home=settings.home,
            listener=self,
            binder=options.binder,
            settings_json=self._settings_json,
        )
        self._loaded: dict[str, Loaded] = {}
        # Of all async jobs: what opens a file in it takes it away again, and a folder a job costs 0.4 ms.
        self._temp = tempfile.TemporaryDirectory(prefix="oaflow-", ignore_cleanup_errors=True)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """
        Register, start executors and loops, and return the worker's id.
        """
        self._loop = asyncio.get_running_loop()
        await self._register()
        self._completer.start(self.worker)
        self._heart.start(self.worker)
        await self._pool.start()
        for name, loop in {"claims": self._claim_loop, "upkeep": self._upkeep_loop, "room": self._room_loop}.items():
            self._tasks.append(asyncio.create_task(loop(), name=f"oaflow {name}"))
        return self.worker

    def stop_claiming(self) -> None:
        """
        Claim nothing more; what runs goes on.
        """
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """
        Let running jobs end for the time of grace, give the rest back, send all answers, and unregister.
        """
        self.stop_claiming()
        await self._give_back([*self._buffer, *self._suspects])
        self._buffer.clear()
        self._suspects.clear()
        deadline = time.monotonic() + self._options.grace
        while self._busy() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        left = [self._held[job] for executor in self._pool.executors for job in self._jobs_of(executor)]
        left += [self._held[job] for job in self._running if job in self._held]
        await self._pool.stop()
        for task in self._running.values():
            task.cancel()
        await self._completer.idle()
        await self._give_back([held for held in left if held.row.id in self._held])
        for task in self._tasks:
            task.cancel()
        self._heart.stop()
        await self._close_quiet()
        self._completer.stop()
        worker = self.worker
        await self._wire.send("unregister", ledger.unregister, worker)
        self._log.close()
        self._temp.cleanup()

    async def _register(self) -> None:
        self.worker = await self._wire.send(
            "register",
            lambda connection: ledger.register(
                connection, host=socket.gethostname(), pid=os.getpid(), program="oaflow", formats=[FORMAT]
            ),
        )
        self._completer.worker = self._heart.worker = self.worker
        if self._options.registered:
            self._options.registered(self.worker)
        await self._advertise()

    async def _start_over(self) -> None:
        """
        Declared dead: the jobs in hand are others' now. Drop all of it and register anew.
        """
        log.error("worker %s was declared dead; its jobs are dropped, and it registers anew", self.worker)
        for task in self._running.values():
            task.cancel()
        for executor in list(self._pool.executors):
            if executor.load:
                self._pool.kill(executor, "the worker was declared dead")
        self._completer.forget()
        for held in list(self._held.values()):
            self._let_go(held)
        self._buffer.clear()
        self._suspects.clear()
        await self._register()

    def _busy(self) -> bool:
        return bool(self._running) or any(executor.load for executor in self._pool.executors)

    def _jobs_of(self, executor: Executor) -> list[int]:
        return [job for job in executor.in_hand if job in self._held]

    # -- what is heard ----------------------------------------------------------------------------------------------

    def heard(self, channel: str, notification: Mapping[str, Any]) -> None:
        """
        A notification of the database arrived.
        """
        if channel == "oaflow":
            event, run = notification.get("event"), notification.get("run")
            if event == "run.cancelled" and run in self._passages:
                self._passages[run].state = "cancelled"
            self._stale = True
        self._more = True
        self._wake.set()

    def _told(self, beat: Beat) -> None:
        """
        In the heart's thread: what a beat learned.
        """
        if self._loop is None or beat.alive or self._stopping:
            return
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._start_over()))

    # -- claims -----------------------------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if self._stale:
                    self._stale = False
                    await self._refresh()
                room = self._room()
                if room > 0 and self._more and self._pairs and self._no_room is None:
                    await self._claim(room)
                self._feed()
                if self._quiet:
                    await self._close_quiet()
            except Refused as refused:
                if refused.worker_gone:
                    await self._start_over()
                else:
                    log.exception("claiming failed")
                    await asyncio.sleep(1)
            if self._more and self._room() > 0 and self._pairs and self._no_room is None:
                continue
            try:
                async with asyncio.timeout(IDLE_POLL):
                    await self._wake.wait()
            except TimeoutError:
                self._more = True

    def _room(self) -> int:
        """
        How many jobs to claim now: about 200 ms of work ahead, none while too many answers are outstanding.
        """
        if self._completer.waiting > UNANSWERED or self._suspects:
            return 0
        slots = self._options.executors + ASYNC_SLOTS * any(probe.is_async for probe in self._probes.values())
        wanted = min(BUFFER, max(self._options.executors, int(slots * BUFFER_SECONDS / max(self._service, 1e-5))))
        waiting = len(self._buffer)
        return wanted - waiting if waiting <= wanted // 2 else 0

    async def _claim(self, most: int) -> None:
        worker, pairs, skip = self.worker, self._pairs, self._skip
        self._claiming_since = time.monotonic()
        try:
            rows = await self._wire.send("claim", ledger.claim, worker, pairs, most, skip)
            self._more = len(rows) >= most
            orphans: list[Claimed] = []
            for row in rows:
                held = await self._take(row)
                if held is None:
                    orphans.append(row)
        finally:
            self._claiming_since = float("inf")
        if orphans:
            await self._wire.send("release", ledger.release, worker, [row.id for row in orphans])

    async def _take(self, row: Claimed) -> Held | None:
        mark = (orjson.loads(row.args).get("payload") or {}).get("context", {}).get("oaflow") or {}
        run, stage = mark.get("run"), mark.get("stage")
        passage = await self._passage(run) if isinstance(run, str) else None
        if passage is None:
            log.error("job %s of task %s carries no run that is known; it is given back", row.id, row.task)
            return None
        parent = mark.get("parent")
        planned = passage.plan.stages.get(str(stage))
        held = Held(row, passage, planned or _unknown(str(stage), row), parent if isinstance(parent, int) else None)
        self._held[row.id] = held
        passage.held += 1
        if passage.state == "cancelled":
            self._complete(held, "cancelled")
        elif planned is None:
            known = ", ".join(passage.plan.stages)
            message = f"the plan of run {run} has no stage {stage!r}; it has: {known}"
            self._complete(held, "failed", {"error": {"type": "UnknownStageError", "message": message}})
        elif row.suspect and self._probes.get(row.task, Probe(ok=True)).is_async:
            self._suspects.append(held)
        else:
            self._buffer.append(held)
        return held

    async def _passage(self, run: str) -> Passage | None:
        if run not in self._passages:
            found = await self._wire.send("run", ledger.read_run, run)
            if found is None or found.format != FORMAT:
                return None
            self._know(found)
        return self._passages[run]

    def _know(self, found: ledger.OpenRun) -> Passage:
        if found.id not in self._passages:
            if found.plan not in self._plans:
                self._plans[found.plan] = Plan.model_validate(found.definition)
            bound = bind(self._plans[found.plan], found.params)
            self._passages[found.id] = Passage(found.id, bound, found.dataset, found.state)
            self._pool.know(found.id, bound.model_dump_json().encode())
        passage = self._passages[found.id]
        passage.state = found.state
        return passage

    async def _refresh(self) -> None:
        """
        Learn of runs that began or ended, and so of what there is to claim.
        """
        found = await self._wire.send("runs", ledger.open_runs)
        runs = [self._know(run) for run in found if run.format == FORMAT]
        opened = {run.id for run in runs}
        for passage in list(self._passages.values()):
            if passage.id not in opened and not passage.held:
                del self._passages[passage.id]
                self._pool.forget(passage.id)
                self._pace.forget(passage.id)
        self._skip = [run.id for run in runs if run.state != "running"]
        running = [run for run in runs if run.state == "running"]
        stages = [stage for run in running for stage in run.plan.stages.values() if not stage.external]
        if fresh := {stage.task for stage in stages} - self._probes.keys():
            probes = await self._pool.probe(sorted(fresh))
            for task, probe in probes.items():
                if not probe.ok:
                    log.error("task %s cannot run here: %s", task, probe.error)
            self._probes |= probes
            await self._advertise()
        pairs = {(stage.queue, stage.task) for stage in stages if self._probes[stage.task].ok}
        if pairs != set(self._pairs):
            self._pairs, self._more = sorted(pairs), True

    async def _advertise(self) -> None:
        can = sorted(task for task, probe in self._probes.items() if probe.ok)
        in_loop = [task for task in can if self._probes[task].is_async]
        worker = self.worker
        await self._wire.send("advertise", ledger.advertise, worker, can, in_loop)

    # -- running ----------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """
        Give what was claimed to executors and async slots that have room.
        """
        if self._completer.waiting > UNANSWERED:
            return
        if self._suspects and not self._busy():
            held = self._suspects.popleft()
            self._run_async(held)
            return
        if self._suspects:
            return
        groups: dict[Executor, list[Held]] = {}
        loads = {executor: executor.load for executor in self._pool.executors}
        exclusive = {executor for executor in loads if any(self._slow(job) for job in executor.in_hand)}
        kept: deque[Held] = deque()
        while self._buffer:
            held = self._buffer.popleft()
            if held.passage.state == "cancelled":
                self._complete(held, "cancelled")
            elif self._probes[held.stage.task].is_async:
                if len(self._running) < ASYNC_SLOTS:
                    self._run_async(held)
                else:
                    kept.append(held)
            else:
                most = self._pace.ahead(held.passage.id, held.stage.name)
                free = [executor for executor in loads if loads[executor] < most and executor not in exclusive]
                if not free:
                    kept.append(held)
                    continue
                executor = min(free, key=loads.__getitem__)
                loads[executor] += 1
                groups.setdefault(executor, []).append(held)
                if most == 1:
                    exclusive.add(executor)
        self._buffer = kept
        for executor, group in groups.items():
            if any(held.stage.emit == "stream" for held in group):
                self._tasks.append(asyncio.create_task(self._send_with_chunks(executor, group)))
            else:
                self._pool.send(executor, [held.assignment() for held in group])

    def _slow(self, job: int) -> bool:
        held = self._held.get(job)
        return held is None or self._pace.ahead(held.passage.id, held.stage.name) == 1

    async def _send_with_chunks(self, executor: Executor, group: Sequence[Held]) -> None:
        assignments = [held.assignment(await self._chunks(held)) for held in group]
        if executor in self._pool.executors:
            self._pool.send(executor, assignments)
        else:
            self._buffer.extendleft(held for held in reversed(group) if held.row.id in self._held)
            self._wake.set()

    async def _chunks(self, held: Held) -> list[tuple[int, str, int]]:
        # Also at attempt 0: a job given back at a stop, or run again in a later round, has handed over before.
        if held.stage.emit != "stream":
            return []
        return await self._wire.send("chunks", ledger.chunks, held.row.id)

    def _run_async(self, held: Held) -> None:
        task = asyncio.create_task(self._attempt(held), name=f"oaflow job {held.row.id}")
        self._running[held.row.id] = task
        task.add_done_callback(lambda _: self._ended(held.row.id))

    def _ended(self, job: int) -> None:
        self._running.pop(job, None)
        self._wake.set()

    async def _attempt(self, held: Held) -> None:
        """
        One attempt at a job of an async stage, here in the worker's loop.
        """
        began = time.time()
        try:
            async for handover in self._handovers(held, await self._chunks(held)):
                if handover.outcome == "chunk" and handover.position is not None:
                    taken = held.acknowledged[handover.position] = asyncio.Event()
                    self._take_handover(held, handover)
                    await taken.wait()
                else:
                    self._take_handover(held, handover)
        except Exception as problem:
            log.exception("job %s", held.row.id)
            error = {"type": type(problem).__name__, "message": str(problem)}
            self._trouble(held, Trouble("error", error), began)

    def _handovers(self, held: Held, chunks: Sequence[tuple[int, str, int]]) -> AsyncIterator[Handover]:
        passage, stage = held.passage, held.stage
        module, _, name = self._options.binder.partition(":")
        binder = getattr(import_module(module), name)
        settings_json, temp = self._settings_json, Path(self._temp.name)

        def bindings(dataset: str | None) -> AbstractContextManager[Any]:
            return binder(settings_json, passage.plan, stage.name, dataset, temp)

        if stage.task not in self._loaded:
            self._loaded[stage.task] = load(stage.task)
        return execute_async(
            held.assignment(chunks),
            passage.plan,
            self._loaded[stage.task],
            bindings,
            job_bytes=self._options.settings.job_bytes,
        )

    # -- the pool's listener ----------------------------------------------------------------------------------------

    def handed(self, executor: Executor, handovers: Sequence[Handover]) -> None:
        """
        Attempts ended, or parts of streams came.
        """
        for handover in handovers:
            held = self._held.get(handover.job)
            if held is not None:
                self._take_handover(held, handover)
        self._feed()
        if self._more and self._room() > 0:
            self._wake.set()

    def died(
        self, executor: Executor, culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        """
        An executor is gone: its running job is charged, what it had not started goes back to the buffer.
        """
        back = [self._held[assignment.job] for assignment in returned if assignment.job in self._held]
        if self._stopping:
            return  # drain gives back what is left
        self._buffer.extendleft(reversed(back))
        held = self._held.get(culprit.job) if culprit else None
        if held is not None:
            now = time.time()
            if reason.kind == "timeout":
                self._trouble(held, Trouble("error", _timed_out(held)), now - (held.stage.timeout or 0))
            elif reason.kind == "killed":
                self._buffer.appendleft(held)
            else:
                self._trouble(held, Trouble("crash", _crash(reason)), now)
        self._wake.set()

    def line(self, executor: Executor | None, stream: str, text: str, job: Assignment | None) -> None:
        """
        A stage printed a line.
        """
        held = self._held.get(job.job) if job else None
        self._log.write(
            job.run if job else None,
            stage=job.stage if job else None,
            job=job.job if job else None,
            stream=stream,
            text=text,
            documents=_documents(held.row.args) if held else None,
        )

    def ready(self) -> None:
        """
        An executor is free or new.
        """
        self._wake.set()

    # -- hand-over --------------------------------------------------------------------------------------------------

    def _take_handover(self, held: Held, handover: Handover) -> None:
        if handover.outcome != "chunk":
            seconds = handover.ended - handover.started
            self._pace.saw(held.passage.id, held.stage.name, seconds)
            self._service += 0.05 * (seconds - self._service)
        if held.passage.state == "cancelled":
            if handover.outcome != "chunk":
                self._complete(held, "cancelled")
            elif handover.position is not None:
                self._acknowledge(held, handover.position)
        elif handover.outcome == "failed":
            detail = orjson.loads(handover.detail)
            error = detail.get("error", {})
            kind = "room" if str(error.get("message", "")).startswith(NO_SPACE) else "error"
            trouble = Trouble(kind, error, handover.final)
            self._trouble(held, trouble, handover.started, handover=handover, detail=detail)
        else:
            self._completer.put(
                Completion(
                    job=held.row.id,
                    attempt=held.row.attempts,
                    outcome=handover.outcome,
                    run=held.passage.id,
                    stage=held.stage.name,
                    parent=held.parent,
                    started=handover.started,
                    ended=handover.ended,
                    position=handover.position,
                    digest=handover.digest,
                    version=handover.version,
                    detail=handover.detail,
                    successors=tuple(
                        Successor(following.queue, following.task, following.stage, following.priority, following.args)
                        for following in handover.next
                    ),
                )
            )

    def _trouble(
        self,
        held: Held,
        trouble: Trouble,
        started: float,
        *,
        handover: Handover | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """
        Decide over an attempt that went wrong, and send what was decided.
        """
        row = held.row
        detail = (detail or {}) | {"error": trouble.error}
        if documents := _documents(row.args):
            detail["documents"] = documents
        verdict = judge(
            trouble,
            held.stage,
            held.passage.plan,
            retries=row.retries,
            crashes=row.crashes,
            most_crashes=self._options.settings.crashes,
        )
        text = f"{trouble.error.get('type', 'error')}: {trouble.error.get('message', '')}"
        self._log.write(
            held.passage.id,
            stage=held.stage.name,
            job=row.id,
            stream="error",
            text=trouble.error.get("traceback") or text,
            documents=documents,
        )
        version = handover.version if handover else self._probes.get(row.task, Probe(ok=False)).version
        match verdict:
            case Again(charge, delay):
                self._complete(held, charge, detail, started=started, delay=delay, version=version)
            case Divert(to):
                successor = _diverted(row, held.passage.id, held.stage.name, to, trouble.error)
                detail["handed"] = [[to.name, documents or []]]
                self._complete(held, "diverted", detail, started=started, version=version, successors=(successor,))
            case Fail():
                self._complete(held, "failed", detail, started=started, version=version)
            case _:
                assert_never(verdict)

    def _complete(
        self,
        held: Held,
        outcome: str,
        detail: dict[str, Any] | None = None,
        *,
        started: float | None = None,
        delay: float = 0.0,
        version: str = "",
        successors: tuple[Successor, ...] = (),
    ) -> None:
        now = time.time()
        self._completer.put(
            Completion(
                job=held.row.id,
                attempt=held.row.attempts,
                outcome=outcome,
                run=held.passage.id,
                stage=held.stage.name,
                parent=held.parent,
                started=started if started is not None else now,
                ended=now,
                delay=delay,
                version=version,
                detail=orjson.dumps(detail or {}),
                successors=successors,
            )
        )

    def _settled(self, completion: Completion, answer: str) -> None:
        """
        The database answered.
        """
        held = self._held.get(completion.job)
        if held is None:
            return
        if completion.outcome == "chunk":
            if answer in ("applied", "already"):
                self._acknowledge(held, completion.position or 0)
            else:
                log.warning("a part of job %s was not taken (%s): the job is others' now", completion.job, answer)
                self._abandon(held)
            return
        if answer not in ("applied", "already"):
            log.warning("the result of job %s was not taken: %s", completion.job, answer)
        self._let_go(held)
        if completion.successors:
            self._more = True
        elif completion.outcome not in ("retried", "crashed", "paused"):
            self._quiet.add(completion.run)
        if (self._more and self._room() > 0) or not held.passage.held:
            self._wake.set()

    def _acknowledge(self, held: Held, position: int) -> None:
        event = held.acknowledged.pop(position, None)
        if event is not None:
            event.set()
        else:
            self._pool.acknowledge(held.row.id, position)

    def _abandon(self, held: Held) -> None:
        task = self._running.get(held.row.id)
        if task is not None:
            task.cancel()
        for executor in self._pool.executors:
            if executor.running and executor.running[0] == held.row.id:
                self._pool.kill(executor, "its job is another worker's now")
        self._let_go(held)

    def _let_go(self, held: Held) -> None:
        if self._held.pop(held.row.id, None) is not None:
            held.passage.held -= 1

    async def _give_back(self, jobs: Sequence[Held]) -> None:
        if not jobs:
            return
        worker, ids = self.worker, [held.row.id for held in jobs]
        await self._wire.send("release", ledger.release, worker, ids)
        for held in jobs:
            self._let_go(held)

    # -- upkeep -----------------------------------------------------------------------------------------------------

    async def _close_quiet(self) -> None:
        """
        After the commit of hand-overs that left no successor: end the runs that are at their end.

        Only for runs of which nothing is in hand here; whoever holds the last job asks last.
        """
        ready = [run for run in self._quiet if run not in self._passages or not self._passages[run].held]
        self._quiet.difference_update(ready)
        if ready and await self._wire.send("close", ledger.close, ready):
            self._stale = True

    async def _upkeep_loop(self) -> None:
        settings = self._options.settings
        rows_at = time.monotonic() + ROWS_EVERY
        while True:
            await asyncio.sleep(settings.heartbeat)
            rows = time.monotonic() >= rows_at
            try:
                await self._wire.send(
                    "recover",
                    ledger.recover,
                    settings.dead_after,
                    [],
                    settings.crashes,
                )
                began = time.monotonic()
                await self._wire.send("sweep", ledger.sweep, rows)
                if rows:
                    # Reading all live rows takes its time on a deep queue: it gets at most a twentieth of it.
                    rows_at = time.monotonic() + max(ROWS_EVERY, 20 * (time.monotonic() - began))
            except Refused:
                log.exception("upkeep")
            self._stale = True
            self._more = True
            self._wake.set()

    async def _room_loop(self) -> None:
        home = self._options.settings.home
        folders = [home, home / "archive", Path(tempfile.gettempdir())]
        while True:
            reason = full(folders)
            if reason and not self._no_room:
                log.error("%s; nothing is claimed until there is room", reason)
                self._no_room = reason
                paused = await self._wire.send("pause", ledger.pause, reason)
                self._paused.extend(paused)
            elif self._no_room and not reason:
                log.warning("there is room again")
                self._no_room = None
                paused, self._paused = self._paused, []
                await self._wire.send("unpause", ledger.unpause, paused)
                self._more = True
                self._wake.set()
            await asyncio.sleep(ROOM_EVERY)


def _documents(args: str) -> list[str] | None:
    from oaflow.jobs import read_job

    documents = getattr(read_job(orjson.loads(args)), "documents", ())
    return list(documents) or None


def _diverted(row: Claimed, run: str, stage: str, to: BoundStage, error: Mapping[str, Any]) -> Successor:
    """
    The job as it arrived, on its way to the `on_error` stage, with what went wrong in its context.
    """
    args = orjson.loads(row.args)
    payload = args.setdefault("payload", {})
    context = payload.setdefault("context", {})
    context["error"] = {
        "stage": stage,
        "type": error.get("type"),
        "message": error.get("message"),
        "attempts": row.retries + row.crashes + 1,
    }
    context["oaflow"] = {**context.get("oaflow", {}), "run": run, "stage": to.name, "parent": row.id}
    args |= {"queue": to.queue, "task": to.task}
    return Successor(to.queue, to.task, to.name, to.priority, orjson.dumps(args))


def _timed_out(held: Held) -> dict[str, Any]:
    return {
        "type": "Timeout",
        "message": f"stage {held.stage.name!r} was not done after {held.stage.timeout:g} s",
        "fingerprint": f"{held.stage.name}:Timeout",
    }


def _crash(reason: Death) -> dict[str, Any]:
    if reason.kind == "memory":
        how = f"was killed at {(reason.rss or 0) / 1024**2:.0f} MiB, above its memory limit"
    elif reason.signal:
        how = f"was killed by {reason.signal}"
    else:
        how = f"ended with exit code {reason.code}"
    error: dict[str, Any] = {
        "type": "Crash",
        "message": f"the process that ran the job {how}",
        "fingerprint": f"Crash:{reason.kind}:{reason.signal or reason.code}",
    }
    if reason.signal:
        error["signal"] = reason.signal
    if reason.log_tail:
        error["log"] = list(reason.log_tail)
    return error


def _unknown(stage: str, row: Claimed) -> BoundStage:
    """
    Stands in for a stage that the plan does not have, so that its job can be failed by name.
    """
    from oaflow.model import Retry

    return BoundStage(
        name=stage,
        task=row.task,
        queue=row.queue,
        edges=(),
        dropped=(),
        options={},
        retry=Retry(max=0),
        timeout=None,
        memory=None,
        priority=row.priority,
        on_error=None,
        emit="success",
        external=False,
        origin=stage,
    )
