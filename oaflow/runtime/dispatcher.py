"""
Runs stages: claims jobs, feeds executors and async slots, and hands over what comes back.

It stands beside procrastinate's Worker and never goes through it: the Worker's path costs five times the CPU a job.
What is decided is decided in `policy`, `pace`, `appetite`, `feeding` and `router`. What is in hand, and where it waits,
is in `hand`; an attempt at an async stage in `attempting`; what becomes of it in `outcomes`; how it is sent in
`completer` and the ledger; what is due in runs in `closing`.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from oaflow import __version__
from oaflow.ledger import handover as ledger
from oaflow.ledger.handover import Beat
from oaflow.ledger.heart import Heart
from oaflow.ledger.lanes import claim_lane
from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.wire import Refused, Wire
from oaflow.plan import FORMAT
from oaflow.runtime.appetite import Appetite
from oaflow.runtime.attempting import Attempting
from oaflow.runtime.claims import Claims
from oaflow.runtime.closing import Closing
from oaflow.runtime.completer import Completer
from oaflow.runtime.continuation import Continuation
from oaflow.runtime.executors import Executor
from oaflow.runtime.feeding import share
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held, crash_error, held_of, timeout_error, worker_crash_error
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.lanes import Lane, Lanes
from oaflow.runtime.locking import LockError
from oaflow.runtime.messages import Assignment, Death, Handover
from oaflow.runtime.options import Options
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.pace import MOST_AHEAD, Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.policy import Trouble
from oaflow.runtime.pool import Pool
from oaflow.runtime.resting import Resting
from oaflow.runtime.slots import Slots
from oaflow.runtime.troubles import describe
from oaflow.runtime.upkeep import Upkeep
from oaflow.runtime.vitals import Pulse

log = logging.getLogger(__name__)

UNANSWERED = 500  # completions that may wait for an answer before no more work is started
WAIT_SECONDS = 5.0  # that a job waits here before it is given back
LOOK_SECONDS = 0.25  # between two looks through all that waits here, where nothing is heard of the runs
# So many times `poll`, at most, from one look for jobs to the next, while none come: what is entered is notified. What
# is not (given back by others, due after a delay that another worker gave it) is found by these looks only.
LONGEST, GROWTH = 2.5, 1.5
KINDS = (True, False)  # of stages: those in the worker's loop, and the others


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
        self.worker = 0
        self._pace = Pace()
        self._wake = asyncio.Event()
        self._lanes = Lanes(self._wake.set)
        self._feeding = False  # whether that is about to be done
        self._left = False  # whether something was left to others that nothing here has had time for since
        # Of which kinds there may be something to claim: of async stages (True), of the others.
        self._more = set(KINDS)
        self._stale = True
        self._patience = options.poll  # seconds until the next look for jobs
        self._next_look = 0.0  # when to look next whether what waits here is to be left to others
        self._stopping = self._starting_over = False
        self._has_plans = False
        self.claims = Claims()
        self._loops: list[asyncio.Task[None]] = []
        self._sends: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log = JobLog(settings.home / "logs")
        self._continuation = Continuation(wire, lambda: self._appetite.places())
        self._completer = Completer(wire, self._settled, begin=self._continuation.begin)
        self._upkeep = Upkeep(wire, settings, self._changed, options.due)
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
            probe=self._pool.probe,
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
            break_off=self._break_off,
            most_crashes=settings.crashes,
        )
        self._attempting = Attempting(
            wire, options, self._outcomes, worker=lambda: self.worker, temp=lambda: self._pool.temp
        )
        self._slots = Slots(
            self._attempting.attempt,
            closed=self._is_closed,
            busy=lambda: any(executor.load for executor in self._pool.executors),
            drop=self._drop,
            freed=self._freed,
        )
        self._hand = Hand(
            self._slots,
            passages=self._passages,
            lanes=self._lanes,
            forget=lambda job: self._resting.forget(job),
        )
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
        self._closing = Closing(wire, self._passages, self._wake.set)
        self._resting = Resting(
            wire,
            settings.deep,
            passages=lambda: self._passages.known,
            acknowledge=self._acknowledge,
            rest=lambda held: self._place_of(held).rest(held.row.id),
            go_on=lambda held: self._place_of(held).go_on(held.row.id),
            break_off=self._break_off,
            changed=self._due,
            say=lambda rests: self._wire.send("rests", ledger.say_rests, self.worker, rests),
        )

    # -- life ------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """
        Start the executors, which takes longer than all the rest. The database is not asked for anything yet.
        """
        self._loop = asyncio.get_running_loop()
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
        self._completer.start(self.worker)
        self._heart.start(self.worker)
        for loop in (
            self._claim_loop(),
            self._upkeep.recover(),
            self._upkeep.watch_room(),
            self._upkeep.keep_history(),
        ):
            self._loops.append(asyncio.create_task(loop, name=f"oaflow {loop.__name__}"))
        return self.worker

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
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """
        Let running jobs end for the time of grace, give the rest back, send all answers, and unregister.
        """
        self.stop_claiming()
        self._resting.stop()
        await self._give_back(self._hand.take_back())
        deadline = time.monotonic() + self._options.grace
        while self._busy() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self._slots.cancel_all()
        await self._slots.empty()
        await self._pool.stop()  # and with it the folder of temporary files, also of those
        await self._completer.idle()
        await self._give_back(self._hand.take_back())  # continued by what was on the wire
        for held in self._hand.all:
            # Begun and cut off: a new attempt number, so that what it wrote is known to be an earlier attempt's.
            self._outcomes.end(held, "paused")
        await self._completer.idle()
        await self._close_quiet()
        await self._wire.send("cancel", ledger.cancel_rest)
        for task in self._loops:
            task.cancel()
        self._heart.stop()
        self._completer.stop()
        await self._wire.send("unregister", ledger.unregister, self.worker)
        self._log.close()

    async def _register(self) -> None:
        self.worker = await self._wire.send(
            "register",
            ledger.register,
            host=socket.gethostname(),
            pid=os.getpid(),
            program=f"oaflow {__version__}",
            formats=[FORMAT],
            only=self._passages.only,
        )
        self._completer.worker = self._heart.worker = self.worker
        self._resting.unsaid()
        if self._options.registered:
            self._options.registered(self.worker)
        await self._advertise()

    async def _advertise(self) -> None:
        known = self._passages
        await self._wire.send("advertise", ledger.advertise, self.worker, known.takes, known.async_tasks, known.lacks)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _start_over(self, worker: int) -> None:
        """
        Declared dead: the jobs in hand are others' now. Drop all of it and register anew. Heart and claims may both
        learn of it; the second finds it done.
        """
        if worker != self.worker or self._starting_over:
            return
        self._starting_over = True
        try:
            await self._begin_anew()
        finally:
            self._starting_over = False

    async def _begin_anew(self) -> None:
        log.error("worker %s was declared dead; its jobs are dropped, and it registers anew", self.worker)
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
        self._changed()

    def pulse(self, now: float) -> Pulse:
        """
        What there is to say of this worker at this moment of the monotonic clock.
        """
        tried, answered = self._heart.tried, self._heart.answered
        return Pulse(
            heard=now,
            heart=None if tried is None else now - tried,
            database=None if answered is None else now - answered,
            plans=self._has_plans,
        )

    def _busy(self) -> bool:
        return bool(self._slots.running) or any(executor.load for executor in self._pool.executors)

    # -- what is heard ----------------------------------------------------------------------------------------------

    def heard(self, channel: str, notification: Mapping[str, Any]) -> None:
        """
        A notification of the database arrived.
        """
        if channel == "oaflow":
            passage = self._passages.get(str(notification.get("run")))
            if passage is not None and notification.get("event") == "run.cancelled":
                passage.state = "cancelled"
            if notification.get("event") in ("limits.changed", "jobs.recovered"):
                self._lanes.changed()
            if notification.get("event") == "task.asked":
                self._passages.ask(str(notification.get("task")))
            self._stale = True
        self._look()
        self._wake.set()

    def missed(self) -> None:
        """
        The connection that hears notifications was lost: what came meanwhile is looked for, at short intervals again.
        """
        self._patience = self._options.poll
        self._due()

    def _due(self) -> None:
        self._look()
        self._wake.set()

    def _changed(self) -> None:
        self._stale = True
        self._look()
        self._wake.set()

    def _look(self) -> None:
        """
        There may be something to claim.
        """
        self._more.update(KINDS)
        self._lanes.look()

    def _told(self, beat: Beat) -> None:
        """
        In the heart's thread: what a beat learned.
        """
        if self._loop is not None and not beat.alive and not self._stopping:
            worker = self.worker
            self._loop.call_soon_threadsafe(lambda: self._aside(self._start_over(worker)))

    def _forget(self, run: str) -> None:
        self._pool.forget(run)
        self._pace.forget(run)
        self._resting.forget_run(run)

    # -- claims -----------------------------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._turn()
            except Refused as refused:
                if refused.worker_gone:
                    await self._start_over(self.worker)
                else:
                    log.exception("claiming failed")
                    await asyncio.sleep(1)
            except Exception:  # one run that cannot be read must not stop a worker that looks alive
                log.exception("claiming failed")
                await asyncio.sleep(1)
            if self._may_claim():
                continue
            try:
                async with asyncio.timeout(self._patience):
                    await self._wake.wait()
            except TimeoutError:
                self._look()
                self._patience = min(self._patience * GROWTH, self._options.poll * LONGEST)

    async def _turn(self) -> None:
        if self._stale:
            self._stale = False
            other_triples, new_tasks = await self._passages.refresh()
            self._has_plans = True
            if other_triples:
                self._more.update(KINDS)
            if new_tasks:
                await self._advertise()
            if other_triples and (new := self._lanes.take(self._passages.ways)):
                # Claimed before the limit was heard of: what is not begun waits its turn.
                await self._give_back(self._hand.take_back(lambda held: (held.row.queue, held.row.task) in new))
            await self._resting.look()
            self._next_look = 0.0
        await self._leave_to_others()
        for lane in self._lanes.due:
            if self._may_claim_lane(lane):
                await self._claim_lane(lane)
        kinds = [in_loop for in_loop in KINDS if self._may_claim_of(in_loop)]
        # Before the claims, not after them: what is heard while they are on the wire may be jobs that they did not see,
        # and these would wait for the next poll (1 s of the 3 s that a small run took). Not of a kind that there is no
        # room for at the moment: that is asked for when there is.
        self._more.difference_update(kinds, [kind for kind in KINDS if not self._passages.triples(in_loop=kind)])
        for in_loop in kinds:
            await self._claim(in_loop)
        self._feed()
        if self._closing.any:
            await self._close_quiet()

    def _may_claim(self) -> bool:
        return self._may_claim_of(True) or self._may_claim_of(False) or any(map(self._may_claim_lane, self._lanes.due))

    def _may_claim_lane(self, lane: Lane) -> bool:
        return not self._stopping and self._upkeep.no_room is None and self._appetite.room_for(lane) > 0

    def _may_claim_of(self, in_loop: bool) -> bool:
        return (
            in_loop in self._more
            and not self._stopping
            and self._upkeep.no_room is None
            and bool(self._passages.triples(in_loop=in_loop))
            and self._appetite.room(in_loop) > 0
        )

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

    async def _claim(self, in_loop: bool) -> None:
        worker, most = self.worker, self._appetite.room(in_loop)
        triples = self._resting.open(self._passages.triples(in_loop=in_loop))
        with self.claims.sent():
            rows = await self._wire.send("claim", ledger.claim, worker, triples, most)
            if len(rows) >= most:
                self._more.add(in_loop)
            # What is left behind is at most as urgent as the last that came.
            self._appetite.left(in_loop, rows[-1].priority if len(rows) >= most else None)
            strangers = [row.id for row in rows if not await self._take(row)]
        if strangers:
            await self._wire.send("release", ledger.release, worker, strangers)

    async def _claim_lane(self, lane: Lane) -> None:
        worker, most, way = self.worker, self._appetite.room_for(lane), lane.way
        lane.due = False  # before the claim: what is heard while it is on the wire may be what it did not see
        with self.claims.sent():
            after = lane.after if way.locks else None
            runs = [run for *_, run in self._resting.open([(way.queue, way.task, run) for run in way.runs])]
            rows, again = await self._wire.send("claim", claim_lane, worker, way.queue, way.task, runs, most, after)
            lane.after = next((row.lock for row in reversed(rows) if row.lock), lane.after)
            strangers = [row.id for row in rows if not await self._take(row)]
        self._lanes.answered(lane, full=len(rows) >= most, again=again)
        if strangers:
            await self._wire.send("release", ledger.release, worker, strangers)

    async def _take(self, row: Claimed) -> bool:
        mark = orjson.loads(row.mark)
        run = mark.get("run")
        passage = await self._passages.find(run) if isinstance(run, str) else None
        if passage is None:
            log.error("job %s of task %s carries no run that is known; it is given back", row.id, row.task)
            return False
        held = held_of(row, passage, mark)
        stage = held.stage.name
        self._hand.take(held)
        self._patience = self._options.poll
        if stage not in passage.plan.stages:
            message = f"the plan of run {run} has no stage {stage!r}; it has: {', '.join(passage.plan.stages)}"
            self._outcomes.end(held, "failed", {"error": {"type": "UnknownStageError", "message": message}})
        elif held.stage.lock is not None and await self._goes_back_for_its_lock(held):
            pass
        elif row.crashes >= self._options.settings.crashes:
            self._outcomes.trouble(held, Trouble("crash", worker_crash_error(row.crashes)), time.time())
        else:
            self._hand.put(held)
        return True

    async def _goes_back_for_its_lock(self, held: Held) -> bool:
        """
        Whether a job came without its lock: then it is given back with it, or fails where it cannot be told.
        """
        try:
            lock = held.missing_lock()
        except LockError as error:
            trouble = Trouble("error", describe(error, held.stage.name, None), final=True)
            self._outcomes.trouble(held, trouble, time.time())
            return True
        if lock is None:
            return False
        await self._wire.send("lock", ledger.lock, self.worker, held.row.id, lock)
        self._hand.let_go(held)
        self._lanes.ended(held.row.queue, held.row.task)  # it may be claimed now
        return True

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
        if not self._wake.is_set() and self._may_claim():
            self._wake.set()

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
        busy = [executor for executor in loads if any(self._pace.ahead(*stage) == 1 for stage in executor.stages)]
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
        return self._stopping or self._is_full()

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
        self._has_time()
        if self._more:
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
            self._wake.set()

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
        self._has_time()
        self._feed()
        if self._may_claim():
            self._wake.set()

    def died(
        self, executor: Executor, culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        """
        An executor is gone: its running job is charged, what it had not started goes back to the buffer.
        """
        if self._stopping and reason.kind == "killed":
            return  # drain gives back what is left
        back = [held for assignment in returned if (held := self._hand.get(assignment.job)) is not None]
        held = self._hand.get(culprit.job) if culprit else None
        if held is not None:
            self._resting.forget(held.row.id)
            now = time.time()
            match reason.kind:
                case "timeout":
                    trouble = Trouble("error", timeout_error(held.stage))
                    self._outcomes.trouble(held, trouble, now - (held.stage.timeout or 0))
                case "killed":
                    back.insert(0, held)
                case _:
                    self._outcomes.trouble(held, Trouble("crash", crash_error(reason)), now)
        self._hand.put_back(back)
        self._has_time()
        self._wake.set()

    def line(self, executor: Executor | None, stream: str, text: str, job: Assignment | None) -> None:
        """
        A line was printed.
        """
        held = self._hand.get(job.job) if job else None
        self._log.write(
            job.run if job else None,
            stage=job.stage if job else None,
            job=job.job if job else None,
            stream=stream,
            text=text,
            documents=held.documents if held else None,
        )

    def ready(self) -> None:
        """
        There is a new executor, or one became free.
        """
        self._wake.set()

    # -- what the database answers ------------------------------------------------------------------------------------

    def _settled(self, completion: Completion, answer: str) -> None:
        """
        The database answered.
        """
        if self._completer.waiting == UNANSWERED:
            self._feed_soon()  # one more, and nothing was begun: nobody else says that it may be now
        continued = self._continuation.ended(completion)
        held = self._hand.get(completion.job)
        if held is None or held.row.attempts != completion.attempt:
            return  # let go since; where it is in hand again, that is another attempt
        taken = answer in ("applied", "already")
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
                self._more.update(KINDS)
            if self._may_claim():
                self._wake.set()
            if taken:
                self._resting.handed(held, completion.position or 0, len(completion.successors))
            else:
                self._abandon(held)
            return
        self._hand.let_go(held)
        self._lanes.ended(held.row.queue, held.row.task)
        if completion.outcome == "failed" and taken and held.passage.stops:
            self._closing.failed(completion.run)
            self._wake.set()
        if len(completion.successors) > len(continued) or completion.outcome in ("retried", "crashed", "paused"):
            self._more.update(KINDS)
        if completion.delay:  # nobody notifies when it is over
            asyncio.get_running_loop().call_later(completion.delay, self._due)
        if held.passage.plan.joins or held.passage.plan.collects:
            self._closing.soon(completion.run)
        elif not completion.successors and completion.outcome in ("done", "failed", "cancelled"):
            self._closing.quiet(completion.run)
        if not held.passage.held:
            self._wake.set()
        elif self._more or self._lanes.due:
            self._feed_soon()

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

    async def _leave_to_others(self) -> None:
        """
        Give back what waits here and should not: its run is held, or another worker may be free for it by now. That one
        gets it, as nothing more is claimed here until the next look, or until an attempt has ended.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        await self._give_back(self._hand.take_back(lambda held: held.passage.state == "paused"))
        late = now - WAIT_SECONDS
        if back := self._hand.take_back(lambda held: held.since < late):
            await self._give_back(back)
            self._left = True
            self._more.clear()

    def _has_time(self) -> None:
        """
        An attempt has ended here: what was left to others may be claimed again.
        """
        if self._left:
            self._left = False
            self._more.update(KINDS)

    async def _give_back(self, jobs: Sequence[Held]) -> None:
        if jobs:
            await self._wire.send("release", ledger.release, self.worker, [held.row.id for held in jobs])
        for held in jobs:
            self._hand.let_go(held)

    async def _close_quiet(self) -> None:
        if became := await self._closing.ask():
            self._more.update(KINDS)
            self._stale |= any(state != "gathered" for _, state in became)
