"""
Runs stages: feeds executors and async slots with what was claimed, and hands over what comes back.

It stands beside procrastinate's Worker and never goes through it: the Worker's path costs five times the CPU a job.
What is decided is decided in `policy`, `pace`, `appetite`, `feeding` and `router`. When it claims is in `claiming`;
what is in hand, and where it waits, in `hand`; an attempt at an async stage in `attempting`; what becomes of it in
`outcomes`; how it is sent in `completer` and the ledger; what is due in runs in `closing`.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any

from oaflow import __version__
from oaflow.ledger import handover as ledger
from oaflow.ledger.heart import Heart
from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.wire import Refused, Wire
from oaflow.plan import FORMAT
from oaflow.runtime.appetite import Appetite
from oaflow.runtime.attempting import Attempting
from oaflow.runtime.claiming import Claiming
from oaflow.runtime.claims import Claims
from oaflow.runtime.closing import Closing
from oaflow.runtime.completer import Completer
from oaflow.runtime.continuation import Continuation
from oaflow.runtime.divert import Divert
from oaflow.runtime.executors import Executor
from oaflow.runtime.feeding import share
from oaflow.runtime.figures import Figures
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held, crash_error, timeout_error
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.lanes import Lanes
from oaflow.runtime.logged import Logged, LogHandler, attempted, is_of_a_stage
from oaflow.runtime.loops import begin
from oaflow.runtime.messages import Assignment, Death, Handover, Probe
from oaflow.runtime.options import Options
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.pace import MOST_AHEAD, Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.policy import Trouble
from oaflow.runtime.pool import Pool
from oaflow.runtime.processes import resident
from oaflow.runtime.resting import Resting
from oaflow.runtime.slots import Slots
from oaflow.runtime.staleness import Code, Staleness
from oaflow.runtime.standstill import Standstill
from oaflow.runtime.taking import Taking
from oaflow.runtime.timings import Timings
from oaflow.runtime.upkeep import Upkeep
from oaflow.runtime.vitals import Pulse

if TYPE_CHECKING:
    from oaflow.runtime.spans import Spans

log = logging.getLogger(__name__)

TIMINGS_EVERY = 1.0  # seconds between two reports of how long attempts take
FAREWELL_SECONDS = 20.0  # that the database has to take what a worker gives back and hands over as it ends
UNANSWERED = 500  # completions that may wait for an answer before no more work is started


class Dispatcher:
    """
    One worker's claims, executors and hand-overs, from registration to drain. It is the pool's `Listener`.
    """

    def __init__(self, wire: Wire, options: Options, *, plain: AbstractSet[int] = frozenset()) -> None:
        """
        Args:
            wire: to the database.
            options: of the worker.
            plain: jobs of plain tasks that this worker has in hand besides.
        """
        settings = options.settings
        self._wire, self._options = wire, options
        self._pace, self._figures, self._timings = Pace(), Figures(), Timings()
        self._spans: Spans | None = None
        self._lanes = Lanes(lambda: self._claiming.wake())
        self._feeding = False  # whether that is about to be done
        self._starting_over = False
        self._memory = 0  # bytes, as last said
        self._loops: list[asyncio.Task[None]] = []
        self._sends: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log = JobLog(settings.home / "logs", options.lines)
        self._divert = Divert(self._say)
        self._handler = LogHandler(lambda logged: self._say(attempted.get() or 0, "stderr", logged.text, logged))
        self._handler.addFilter(is_of_a_stage)
        self._continuation = Continuation(wire, lambda: self._appetite.places())
        self._completer = Completer(wire, self._settled, begin=self._continuation.begin)
        self._upkeep = Upkeep(wire, settings, lambda: self._claiming.changed(), options.due)
        self._heart = Heart(
            options.conninfo,
            settings.heartbeat,
            mine=lambda: [*self._hand.jobs, *self._continuation.on_wire, *list(plain)],
            oldest=lambda: self.claims.oldest,
            told=self._told,
        )
        self._pool = Pool(
            size=options.executors,
            home=settings.home,
            listener=self,
            binder=options.binder,
            settings_json=settings.model_dump_json(),
        )
        self._passages = Passages(
            wire,
            probe=self._probe,
            know=self._pool.know,
            forget=self._forget,
            only=options.only,
            samples=settings.samples,
        )
        self._outcomes = Outcomes(
            self._completer,
            lines=self._log,
            upkeep=self._upkeep,
            passages=self._passages,
            pace=self._pace,
            timings=self._timings,
            break_off=self._break_off,
            most_crashes=settings.crashes,
        )
        self._attempting = Attempting(
            wire,
            options,
            self._outcomes,
            cancelled=lambda job: self._slots.is_cancelled(job),
            printed=self._divert,
            temp=lambda: self._pool.temp,
        )
        self._staleness = Staleness(
            wire,
            loaded=self._code,
            restart=options.restart,
            tell=options.stale,
        )
        self._slots = Slots(
            self._attempting.attempt,
            closed=self._is_closed,
            busy=lambda: bool(self._pool.at_work),
            drop=self._drop,
            freed=self._freed,
        )
        self._hand = Hand(
            self._slots,
            passages=self._passages,
            lanes=self._lanes,
            forget=lambda job: self._resting.forget(job),
        )
        self._standstill = Standstill(self._job_of, self._outcomes.warn)
        self._appetite = Appetite(
            self._hand,
            self._slots,
            self._pace,
            self._passages,
            executors=options.executors,
            free=lambda: sum(1 for executor in self._pool.executors if not executor.load),
            closed=self._is_closed,
            full=self._is_full,
            coming=self._continuation.coming,
        )
        self._closing = Closing(wire, self._passages, lambda: self._claiming.wake())
        self._resting = Resting(
            wire,
            settings.deep,
            passages=lambda: self._passages.known,
            acknowledge=self._acknowledge,
            rest=lambda held: self._place_of(held).rest(held.row.id),
            go_on=lambda held: self._place_of(held).go_on(held.row.id),
            break_off=self._break_off,
            changed=lambda: self._claiming.due(),
        )
        taking = Taking(
            wire,
            self._hand,
            self._passages,
            self._lanes,
            self._outcomes,
            most_crashes=settings.crashes,
        )
        self._claiming = Claiming(
            wire,
            self._hand,
            self._appetite,
            taking,
            self._passages,
            self._lanes,
            self._resting,
            self._upkeep,
            self._closing,
            poll=options.poll,
            advertise=self._advertise,
            give_back=self._give_back,
            feed=self._feed,
            start_over=self._start_over,
        )

    @property
    def claims(self) -> Claims:
        """
        Those that are on the wire, of plain tasks too.
        """
        return self._claiming.claims

    # -- life ------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """
        Start the executors, which takes longer than all the rest. The database is not asked for anything yet.
        """
        self._loop = asyncio.get_running_loop()
        if self._options.traces:
            self._spans = _spans()
        await self._pool.start()

    def work_only(self, run: str) -> None:
        """
        Work on one run. To be said before `start`.
        """
        self._passages.only = run

    async def start(self) -> int:
        """
        Register, start the loops, and return the worker's id. To be prepared before.
        """
        await self._register()
        logging.root.addHandler(self._handler)
        self._divert.begin()
        self._completer.start()
        self._heart.start(self._wire.worker)
        self._standstill.start()
        for loop in (
            self._claiming.keep_claiming(),
            self._upkeep.recover(),
            self._upkeep.watch_room(),
            self._upkeep.keep_history(),
            self._keep_timings(),
            self._keep_trying(),
            self._staleness.keep_looking(self._options.settings.heartbeat),
        ):
            self._loops.append(begin(loop, loop.__name__))
        return self._wire.worker

    async def dismiss(self) -> None:
        """
        End what `prepare` started, where nothing was begun.
        """
        await self._pool.stop()
        self._completer.stop()
        self._log.close()

    def stop_claiming(self) -> None:
        """
        Claim nothing more; what runs goes on.
        """
        self._claiming.stop()

    async def drain(self) -> None:
        """
        Let running jobs end for the time of grace, give the rest back, send all answers, and unregister.

        A database that is away is not waited for: recovery gives back what is left then.
        """
        self.stop_claiming()
        self._resting.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.grace):
                await self._give_back(self._hand.take_back())
                while self._busy() or self.claims.any:  # what one brings is given back with the rest
                    await asyncio.sleep(0.02)
        self._slots.cancel_all()
        await self._slots.empty()
        await self._pool.stop()  # and with it the folder of temporary files, also of those
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._say_farewell()
        except TimeoutError:
            log.error("the database does not answer: what worker %s has in hand comes back later", self._wire.worker)
        for task in self._loops:
            task.cancel()
        self._heart.stop()
        self._standstill.stop()
        self._completer.stop()
        self.tell_figures()
        if self._spans is not None:
            await asyncio.to_thread(self._spans.stop)
        logging.root.removeHandler(self._handler)
        self._divert.end()
        self._log.close()

    async def _say_farewell(self) -> None:
        await self._completer.idle()
        await self._give_back(self._hand.take_back())  # continued by what was on the wire
        for held in self._hand.all:
            # Begun and cut off: a new attempt number, so that what it wrote is known to be an earlier attempt's.
            self._outcomes.end(held, "paused")
        await self._completer.idle()
        await self._claiming.close_quiet()
        await self._wire.send("cancel", ledger.cancel_rest)
        for task in self._loops:
            task.cancel()
        self._heart.stop()
        await self._say_timings()
        await self._wire.send("unregister", ledger.unregister, self._wire.worker)

    async def _register(self) -> None:
        self._wire.worker = await self._wire.send(
            "register",
            ledger.register,
            host=socket.gethostname(),
            pid=os.getpid(),
            program=f"oaflow {__version__}",
            formats=[FORMAT],
            only=self._passages.only,
        )
        self._heart.worker = self._wire.worker
        self._resting.unsaid()
        if self._options.registered:
            self._options.registered(self._wire.worker)
        await self._advertise()

    async def _advertise(self) -> None:
        known = self._passages
        await self._wire.send(
            "advertise", ledger.advertise, self._wire.worker, known.takes, known.async_tasks, known.lacks, known.unfit
        )

    def _code(self) -> dict[str, Code]:
        """
        By task, what code is loaded: of async stages here, of all others in executors.
        """
        found = {
            task: self._attempting.code_of(task) if probe.is_async else self._pool.code_of(task, probe)
            for task, probe in self._passages.probes.items()
            if probe.ok
        }
        return {task: code for task, code in found.items() if code is not None}

    async def _probe(self, tasks: Iterable[str]) -> dict[str, Probe]:
        """
        What there is of tasks for this worker: where it loaded a module before a task was written into it, nothing.
        """
        found = await self._pool.probe(tasks)
        for task, probe in found.items():
            error = self._attempting.problem_with(task) if probe.ok and probe.is_async else probe.error
            if error and (probe.ok or self._pool.has_old(task)):
                text = f"{error}; this worker loaded the module before it changed, restart it: {self._options.restart}"
                found[task] = Probe(False, error=text)
        return found

    async def _keep_trying(self) -> None:
        while True:
            await asyncio.sleep(self._options.settings.heartbeat)
            if await self._passages.try_again(time.monotonic()):
                self._claiming.changed()
                with contextlib.suppress(Refused):
                    await self._advertise()

    async def _keep_timings(self) -> None:
        while True:
            await asyncio.sleep(TIMINGS_EVERY)
            await self._say_timings()

    async def _say_timings(self) -> None:
        """
        Say how long attempts took, where there is something to say. What is sent again after a lost answer counts
        twice: an estimate bears that.
        """
        kept, shifts = self._timings.take(time.time(), self._passages.busy)
        memory = resident(os.getpid()) + sum(resident(executor.pid) for executor in self._pool.everyone)
        if kept or shifts or abs(memory - self._memory) > self._memory // 8:
            self._memory = memory
            with contextlib.suppress(Refused):
                await self._wire.send(
                    "timings", ledger.keep_timings, self._wire.worker, self._options.executors, memory, kept, shifts
                )

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _start_over(self, worker: int) -> None:
        """
        Declared dead: the jobs in hand are others' now. Drop all of it and register anew. Heart and claims may both
        learn of it; the second finds it done.
        """
        if worker != self._wire.worker or self._starting_over:
            return
        self._starting_over = True
        try:
            await self._begin_anew()
        finally:
            self._starting_over = False

    async def _begin_anew(self) -> None:
        log.error("worker %s was declared dead; its jobs are dropped, and it registers anew", self._wire.worker)
        self._slots.cancel_all()
        for held in self._hand.all:
            self._hand.let_go(held)
        for executor in self._pool.everyone:
            if executor.load:
                self._pool.kill(executor, "the worker was declared dead")
        self._completer.forget()
        self._hand.buffer.clear()
        self._slots.take_back()
        await self._register()
        self._claiming.changed()

    def pulse(self, now: float) -> Pulse:
        """
        What there is to say of this worker at this moment of the monotonic clock.
        """
        tried, answered = self._heart.tried, self._heart.answered
        return Pulse(
            heard=now,
            heart=None if tried is None else now - tried,
            database=None if answered is None else now - answered,
            plans=self._claiming.has_plans,
        )

    def tell_figures(self) -> None:
        """
        Say what this worker has counted since it said so last, and how much of what it has now; as far as it is heard.
        """
        if (counted := self._options.counted) is None:
            return
        busy = self._pool.at_work
        news = self._figures.news(
            {"claims": self.claims.asked, "claimed": self.claims.came},
            {
                "in_hand": len(self._hand.jobs),
                "buffered": len(self._hand.buffer) + self._slots.waiting,
                "running": self._slots.running + len(busy),
                "unanswered": self._completer.waiting,
                "executors": len({*self._pool.executors, *busy}),
                "executors_busy": len(busy),
            },
        )
        all(counted(message) for message in news)

    def _busy(self) -> bool:
        return bool(self._slots.running) or bool(self._pool.at_work)

    # -- what is heard ----------------------------------------------------------------------------------------------

    def heard(self, notifications: Sequence[Mapping[str, Any]]) -> None:
        """
        Notifications of runs arrived.
        """
        for notification in notifications:
            passage = self._passages.get(str(notification.get("run")))
            if passage is not None and notification.get("event") == "run.cancelled":
                passage.state = "cancelled"
            if notification.get("event") in ("limits.changed", "jobs.recovered"):
                self._lanes.changed()
            if notification.get("event") == "task.asked":
                self._passages.ask(str(notification.get("task")))
        if notifications:
            self._claiming.changed()

    def due(self) -> None:
        """
        There may be something to claim now.
        """
        self._claiming.due()

    def missed(self) -> None:
        """
        The connection that hears notifications was lost: what came meanwhile is looked for, at short intervals again.
        """
        self._claiming.missed()

    def _told(self, alive: bool) -> None:
        """
        In the heart's thread: whether this worker still has a row.
        """
        if self._loop is not None and not alive and not self._claiming.stopping:
            worker = self._wire.worker
            self._loop.call_soon_threadsafe(lambda: self._aside(self._start_over(worker)))

    def _job_of(self, task: "asyncio.Task[object]") -> Held | None:
        """
        In another thread: the job of an async stage that an asyncio task is at.
        """
        job = self._slots.job_of(task)
        return None if job is None else self._hand.get(job)

    def _forget(self, run: str) -> None:
        self._pool.forget(run)
        self._pace.forget(run)
        self._timings.forget(run)
        self._resting.forget_run(run)
        self._upkeep.over()

    def _go_on(self, parent: Held, successors: Sequence[Successor]) -> None:
        """
        Take the successors of a job that are ours already.
        """
        passage = parent.passage
        for successor in successors:
            assert successor.id is not None
            row = Claimed(
                successor.id, successor.queue, successor.task, successor.priority, successor.args.decode(), "",
                attempts=0, retries=0, crashes=0, suspect=False,
            )  # fmt: skip
            held = Held(row, passage, passage.plan.stages[successor.stage], parent.row.id)
            self._hand.take(held)
            self._hand.put_first(held)
        self._feed_soon()

    # -- running ----------------------------------------------------------------------------------------------------

    def _feed_soon(self) -> None:
        """
        Feed and claim once for all of a group of answers, or of attempts that end together.
        """
        if not self._feeding:
            self._feeding = True
            asyncio.get_running_loop().call_soon(self._feed_and_claim)

    def _feed_and_claim(self) -> None:
        self._feeding = False
        self._feed()
        self._claiming.wake_for_jobs()

    def _feed(self) -> None:
        """
        Give what was claimed to slots and executors that have room.
        """
        self._slots.fill()
        if self._is_closed() or self._slots.one_alone or not self._hand.buffer:
            return
        if self._passages.any_cancelled:
            for held in [held for held in self._hand.buffer if held.passage.cancelled]:
                self._hand.buffer.remove(held)
                self._outcomes.end(held, "cancelled")
        loads = {executor: executor.load for executor in self._pool.executors}
        busy = [executor for executor in loads if executor.is_long_at_it or self._pace.is_enough(executor.stages)]
        if len(busy) == len(loads):
            return
        shares = share(self._hand.buffer, loads, ahead=self._ahead, most=MOST_AHEAD, busy=busy)
        for executor, group in shares.items():
            if any(held.repeats_stream for held in group):
                self._aside(self._send_with_chunks(executor, group))
            else:
                self._pool.send(executor, [held.assignment() for held in group])

    def _is_closed(self) -> bool:
        """
        Whether no attempt is to be begun now.
        """
        return self._claiming.stopping or self._is_full()

    def _is_full(self) -> bool:
        """
        Whether too many answers are outstanding.
        """
        return self._completer.waiting > UNANSWERED

    def _drop(self, held: Held) -> None:
        """
        What waits for a slot is not to be run any more.
        """
        self._outcomes.end(held, "cancelled")

    def _freed(self) -> None:
        """
        An attempt has ended in a slot.
        """
        self._claiming.has_time()
        if self._claiming.expects:
            self._feed_soon()

    def _ahead(self, held: Held) -> int:
        lane = self._lanes.of(held.row.queue, held.row.task)
        if lane is not None and lane.way.at_once:
            return 1  # what waits in an executor's hands holds a place, too
        return self._pace.ahead(held.passage.id, held.stage.name)

    async def _send_with_chunks(self, executor: Executor, group: Sequence[Held]) -> None:
        assignments = {held.row.id: held.assignment(await self._attempting.earlier(held)) for held in group}
        still = [held for held in group if self._hand.get(held.row.id) is held]
        if executor in self._pool.executors:
            self._pool.send(executor, [assignments[held.row.id] for held in still])
        else:
            self._hand.put_back(still)
            self._claiming.wake()

    # -- the pool's listener ----------------------------------------------------------------------------------------

    def handed(self, executor: Executor, handovers: Sequence[Handover]) -> None:
        """
        Attempts ended, or parts of streams came.
        """
        for handover in handovers:
            held = self._hand.get(handover.job)
            if held is None:
                continue
            try:
                self._outcomes.take(held, handover)
            except Exception as problem:  # the others of this message must not be lost with it
                log.exception("job %s", held.row.id)
                error = {"type": type(problem).__name__, "message": str(problem)}
                self._outcomes.end(held, "failed", {"error": error})
        self._claiming.has_time()
        self._feed()
        self._claiming.wake_for_jobs()

    def unbegun(self, jobs: Sequence[Assignment]) -> None:
        """
        They wait here again, and go to other executors, or to other workers.
        """
        self._hand.put_back([held for job in jobs if (held := self._hand.get(job.job)) is not None])
        self._feed()

    def died(
        self, executor: Executor, culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        """
        An executor is gone: its running job is charged, what it had not started goes back to the buffer.
        """
        if self._claiming.stopping and reason.kind == "killed":
            return  # drain gives back what is left
        back = [held for assignment in returned if (held := self._hand.get(assignment.job)) is not None]
        held = self._hand.get(culprit.job) if culprit else None
        if held is not None:
            self._resting.forget(held.row.id)
            now = time.time()
            match reason.kind:
                case "timeout":
                    trouble = Trouble("error", timeout_error(held.stage, reason))
                    self._outcomes.trouble(held, trouble, now - (held.stage.timeout or 0))
                case "killed":
                    back.insert(0, held)
                case _:
                    self._outcomes.trouble(held, Trouble("crash", crash_error(reason)), now)
        self._hand.put_back(back)
        self._claiming.has_time()
        self._claiming.wake()

    def line(
        self,
        executor: Executor | None,
        stream: str,
        text: str,
        job: Assignment | None,
        logged: Logged | None = None,
    ) -> None:
        """
        A line was printed, or a message logged.
        """
        self._log.write(
            job.run if job else None,
            stage=job.stage if job else None,
            job=job.job if job else None,
            stream=stream,
            text=text,
            documents=executor.documents_of(job) if executor and job else None,
            logged=logged,
        )

    def _say(self, job: int, stream: str, text: str, logged: Logged | None = None) -> None:
        """
        An async stage function has printed a line, or logged a message; maybe in a thread.
        """
        held = self._hand.get(job)
        if held is not None and self._loop is not None:
            write = partial(
                self._log.write,
                held.passage.id,
                stage=held.stage.name,
                job=job,
                stream=stream,
                text=text,
                documents=held.documents,
                logged=logged,
            )
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(write)

    def ready(self) -> None:
        """
        There is a new executor, or one became free.
        """
        self._claiming.wake()

    # -- what the database answers ------------------------------------------------------------------------------------

    def _settled(self, completion: Completion, answer: str) -> None:
        """
        The database answered.
        """
        if self._completer.waiting == UNANSWERED:
            self._feed_soon()  # one more, and nothing was begun: nobody else says that it may be now
        continued = self._continuation.ended(completion)
        held = self._hand.get(completion.job)
        taken = answer in ("applied", "already")
        if taken and held is not None:
            self._watch(held, completion)
        if held is None or held.row.attempts != completion.attempt:
            return  # let go since; where it is in hand again, that is another attempt
        if taken and held.passage.plan.collects:
            self._closing.when_due(held.passage, completion.successors)
        if taken and continued:
            self._go_on(held, continued)
        if not taken:
            log.warning("the %s of job %s was not taken: it is %s", completion.outcome, completion.job, answer)
        if completion.outcome == "chunk":
            if held.passage.plan.collects:
                self._closing.soon(completion.run)
            if len(completion.successors) > len(continued):
                self._claiming.more()
            self._claiming.wake_for_jobs()
            if taken:
                self._resting.handed(held, completion.position or 0, len(completion.successors))
            else:
                self._abandon(held)
            return
        self._hand.let_go(held)
        self._lanes.ended(held.row.queue, held.row.task)
        if completion.outcome == "failed" and taken and held.passage.stops:
            self._closing.failed(completion.run)
            self._claiming.wake()
        if len(completion.successors) > len(continued) or completion.outcome in ("retried", "crashed", "paused"):
            self._claiming.more()
        if completion.delay:  # nobody notifies when it is over
            asyncio.get_running_loop().call_later(completion.delay, self._claiming.due)
        if held.passage.plan.joins or held.passage.plan.collects:
            self._closing.soon(completion.run)
        elif not completion.successors and completion.outcome in ("done", "failed", "cancelled"):
            self._closing.quiet(completion.run)
        if held.passage.cancelled and not held.passage.held:
            self._claiming.changed()  # it is over here
        elif not held.passage.held:
            self._claiming.wake()
        elif self._claiming.expects or self._lanes.due:
            self._feed_soon()

    def _watch(self, held: Held, completion: Completion) -> None:
        """
        Count what the database has taken, and tell whoever traces it. The job may be in hand again for another attempt,
        where that was claimed before the answer to this one was read.
        """
        took, handed = completion.ended - completion.started, time.time() - completion.ended
        self._figures.ended(held.passage.plan.pipeline, held.stage.name, completion.outcome, took, handed)
        if self._spans is None:
            return
        try:
            self._spans.ended(held, completion, self._wire.worker)
        except Exception:  # nothing is lost for the sake of watching it
            log.exception("job %s is in no trace", completion.job)

    def _acknowledge(self, held: Held, position: int) -> None:
        event = held.acknowledged.pop(position, None)
        if event is not None:
            event.set()
        else:
            self._pool.acknowledge(held.row.id, position)

    def _abandon(self, held: Held) -> None:
        """
        Drop a job that runs here and is somebody else's now.
        """
        job = held.row.id
        self._hand.let_go(held)
        self._slots.cancel(job)
        if (executor := self._pool.at(job)) is not None:
            self._pool.kill(executor, "its job is another worker's now")

    def _break_off(self, held: Held) -> None:
        """
        End an attempt at a stream that would go on for nothing: its run was cancelled, or the worker stops.
        """
        if not self._runs_in_loop(held):
            if (executor := self._pool.at(held.row.id)) is not None and executor.death is None:
                self._pool.kill(executor, "its stream was broken off")
        elif self._slots.cancel(held.row.id) and held.passage.cancelled:
            self._outcomes.end(held, "cancelled")

    def _runs_in_loop(self, held: Held) -> bool:
        return self._passages.probe_of(held.stage.task).is_async

    def _place_of(self, held: Held) -> Slots | Pool:
        return self._slots if self._runs_in_loop(held) else self._pool

    async def _give_back(self, jobs: Sequence[Held]) -> None:
        if jobs:
            await self._wire.send("release", ledger.release, self._wire.worker, [held.row.id for held in jobs])
        for held in jobs:
            self._hand.let_go(held)


def _spans() -> "Spans | None":
    try:
        from oaflow.runtime.spans import Spans
    except ImportError as error:
        log.warning("no traces: %s; pip install 'oaflow[telemetry]'", error)
        return None
    return Spans()
