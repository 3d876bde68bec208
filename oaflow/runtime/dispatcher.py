"""
Runs stages: puts the parts of a worker together, starts and stops them.

It runs beside procrastinate's Worker and never goes through it: the Worker's path costs five times the CPU per job.
A job passes through these parts: `claiming` claims it, `taking` accepts it, it waits in `hand`, `feeder` gives it to a
slot or an executor, `attempting` and `ending` pass the result to `outcomes`, `completer` sends it, and `settling` acts
on the answer; `closing` asks what is due in its run. All decisions are in `policy`, `pace`, `appetite`, `feeding` and
`router`.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any

from oaflow import __version__
from oaflow.ledger import handover as ledger
from oaflow.ledger.heart import Heart
from oaflow.ledger.rows import Completion
from oaflow.ledger.wire import Refused, Wire
from oaflow.plan import FORMAT
from oaflow.runtime.appetite import Appetite
from oaflow.runtime.attempting import Attempting
from oaflow.runtime.attempts import Attempts
from oaflow.runtime.claiming import Claiming
from oaflow.runtime.claims import Claims
from oaflow.runtime.closing import Closing
from oaflow.runtime.completer import Completer
from oaflow.runtime.continuation import Continuation
from oaflow.runtime.divert import Divert
from oaflow.runtime.ending import Ending
from oaflow.runtime.feeder import Feeder
from oaflow.runtime.figures import Figures
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.lanes import Lanes
from oaflow.runtime.logged import Logged, LogHandler, attempted, is_of_a_stage
from oaflow.runtime.loops import begin
from oaflow.runtime.messages import Probe
from oaflow.runtime.options import Options
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.pace import Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.pool import Pool
from oaflow.runtime.resting import Resting
from oaflow.runtime.settling import Settling
from oaflow.runtime.slots import Slots
from oaflow.runtime.staleness import Code, Staleness
from oaflow.runtime.standstill import Standstill
from oaflow.runtime.taking import Taking
from oaflow.runtime.telling import Telling
from oaflow.runtime.timings import Timings
from oaflow.runtime.upkeep import Upkeep
from oaflow.runtime.vitals import Pulse

if TYPE_CHECKING:
    from oaflow.runtime.spans import Spans

log = logging.getLogger(__name__)

FAREWELL_SECONDS = 20.0  # the time that the database has to accept what a worker gives back and hands over at its end


class Dispatcher:
    """
    One worker, from registration to drain: its parts, and what reaches them from outside.
    """

    def __init__(self, wire: Wire, options: Options, *, plain: AbstractSet[int] = frozenset()) -> None:
        """
        Args:
            wire: to the database.
            options: of the worker.
            plain: the jobs of plain tasks that this worker also holds.
        """
        settings = options.settings
        self._wire, self._options = wire, options
        self._begins_anew = False
        self._loops: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        # Each part gets the parts that it needs; of two that need each other, the first looks up the second when
        # called.
        self._pace, self._timings, figures = Pace(), Timings(), Figures()
        self._log = JobLog(settings.home / "logs", options.lines)
        self._divert = Divert(self._say)
        self._handler = LogHandler(lambda logged: self._say(attempted.get() or 0, "stderr", logged.text, logged))
        self._handler.addFilter(is_of_a_stage)
        self._lanes = Lanes(lambda: self._claiming.wake())
        self._continuation = Continuation(wire, lambda: self._appetite.places())
        self._completer = Completer(
            wire,
            self._settled,
            begin=self._continuation.begin,
            awaited=lambda item: self._settling.is_awaited(item),
        )
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
            break_off=lambda held: self._attempts.break_off(held),
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
        self._slots = Slots(
            self._attempting.attempt,
            closed=lambda: self._feeder.closed,
            busy=lambda: bool(self._pool.at_work),
            drop=lambda held: self._outcomes.end(held, "cancelled"),
            freed=lambda: self._feeder.freed(),
        )
        self._attempts = Attempts(self._slots, self._pool, self._passages, self._outcomes)
        self._hand = Hand(
            self._slots,
            passages=self._passages,
            lanes=self._lanes,
            forget=lambda job: self._resting.forget(job),
        )
        self._resting = Resting(
            wire,
            settings.deep,
            self._attempts,
            passages=lambda: self._passages.known,
            changed=lambda: self._claiming.due(),
        )
        self._appetite = Appetite(
            self._hand,
            self._slots,
            self._pace,
            self._passages,
            executors=options.executors,
            free=lambda: sum(1 for executor in self._pool.executors if not executor.load),
            closed=lambda: self._feeder.closed,
            full=lambda: self._feeder.full,
            coming=self._continuation.coming,
        )
        self._closing = Closing(wire, self._passages, lambda: self._claiming.wake())
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
            feed=lambda: self._feeder.feed(),
            start_over=self._start_over,
        )
        self._feeder = Feeder(
            self._hand,
            self._slots,
            self._pool,
            completer=self._completer,
            passages=self._passages,
            lanes=self._lanes,
            pace=self._pace,
            outcomes=self._outcomes,
            attempting=self._attempting,
            claiming=self._claiming,
        )
        self._settling = Settling(
            wire,
            self._hand,
            self._attempts,
            continuation=self._continuation,
            feeder=self._feeder,
            claiming=self._claiming,
            lanes=self._lanes,
            resting=self._resting,
            closing=self._closing,
            figures=figures,
        )
        self._ending = Ending(
            self._hand,
            self._outcomes,
            feeder=self._feeder,
            claiming=self._claiming,
            resting=self._resting,
            lines=self._log,
        )
        self._telling = Telling(
            wire,
            options,
            hand=self._hand,
            slots=self._slots,
            pool=self._pool,
            passages=self._passages,
            completer=self._completer,
            claiming=self._claiming,
            heart=self._heart,
            figures=figures,
            timings=self._timings,
        )
        self._standstill = Standstill(self._job_of, self._outcomes.warn)
        self._staleness = Staleness(
            wire,
            loaded=self._code,
            restart=options.restart,
            tell=options.stale,
        )

    @property
    def claims(self) -> Claims:
        """
        The claims on the wire, including those of plain tasks.
        """
        return self._claiming.claims

    # -- life ------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """
        Start the executors, which takes longer than everything else. This does not use the database yet.
        """
        self._loop = asyncio.get_running_loop()
        if self._options.traces:
            self._settling.spans = _spans()
        await self._pool.start(self._ending)

    def work_only(self, run: str) -> None:
        """
        Work on one run only. Call this before `start`.
        """
        self._passages.only = run

    async def start(self) -> int:
        """
        Register, start the loops, and return the worker's id. Call `prepare` first.
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
            self._telling.keep_timings(),
            self._keep_trying(),
            self._staleness.keep_looking(self._options.settings.heartbeat),
        ):
            self._loops.append(begin(loop, loop.__name__))
        return self._wire.worker

    async def dismiss(self) -> None:
        """
        Stop what `prepare` started, if `start` was never called.
        """
        await self._pool.stop()
        self._completer.stop()
        self._log.close()

    def stop_claiming(self) -> None:
        """
        Stop claiming; running jobs continue.
        """
        self._claiming.stop()

    async def drain(self) -> None:
        """
        Give running jobs the grace period to end, give back the rest, send all hand-overs, and unregister.

        This does not wait for a database that is away: recovery gives back the rest.
        """
        self.stop_claiming()
        self._resting.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.grace):
                await self._give_back(self._hand.take_back())
                while self._attempts.any or self.claims.any:  # what a claim brings is given back with the rest
                    await asyncio.sleep(0.02)
        self._slots.cancel_all()
        await self._slots.empty()
        await self._pool.stop()  # and with it the folder of temporary files, which async stages use, too
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
        self._telling.tell_figures()
        if (spans := self._settling.spans) is not None:
            await asyncio.to_thread(spans.stop)
        logging.root.removeHandler(self._handler)
        self._divert.end()
        self._log.close()

    async def _say_farewell(self) -> None:
        await self._completer.idle()
        await self._give_back(self._hand.take_back())  # continued by a hand-over that was on the wire
        for held in self._hand.all:
            # Started and cut off: a new attempt number marks what it wrote as an earlier attempt's.
            self._outcomes.end(held, "paused")
        await self._completer.idle()
        await self._claiming.close_quiet()
        await self._wire.send("cancel", ledger.cancel_rest)
        for task in self._loops:
            task.cancel()
        self._heart.stop()
        await self._telling.say_timings()
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
        The loaded code by task: of async stages in this process, of all others in executors.
        """
        found = {
            task: self._attempting.code_of(task) if probe.is_async else self._pool.preloads.code_of(task, probe)
            for task, probe in self._passages.probes.items()
            if probe.ok
        }
        return {task: code for task, code in found.items() if code is not None}

    async def _probe(self, tasks: Iterable[str]) -> dict[str, Probe]:
        """
        Which tasks this worker can run: not those added to a module after the worker loaded it.
        """
        found = await self._pool.prober.probe(tasks)
        for task, probe in found.items():
            error = self._attempting.problem_with(task) if probe.ok and probe.is_async else probe.error
            if error and (probe.ok or self._pool.preloads.has_old(task)):
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

    async def _start_over(self, worker: int) -> None:
        """
        The worker was declared dead, so its jobs belong to others now. Drop them all and register again. Heartbeat and
        claims may both find out; the second finds nothing left to do.
        """
        if worker != self._wire.worker or self._begins_anew:
            return
        self._begins_anew = True
        try:
            await self._begin_anew()
        finally:
            self._begins_anew = False

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

    # -- what is asked of it ---------------------------------------------------------------------------------------

    def pulse(self, now: float) -> Pulse:
        """
        The state of this worker at this moment of the monotonic clock.
        """
        return self._telling.pulse(now)

    def tell_figures(self) -> None:
        """
        Report what this worker has counted since the last report.
        """
        self._telling.tell_figures()

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
        The connection that listens was lost: poll at short intervals again for what was missed.
        """
        self._claiming.missed()

    def _settled(self, completion: Completion, answer: str) -> None:
        self._settling.settled(completion, answer)

    def _told(self, alive: bool) -> None:
        """
        Called in the thread of the heartbeat: whether this worker still has a row.
        """
        if self._loop is not None and not alive and not self._claiming.stopping:
            worker = self._wire.worker
            self._loop.call_soon_threadsafe(lambda: self._loops.append(begin(self._start_over(worker), "start over")))

    def _job_of(self, task: "asyncio.Task[object]") -> Held | None:
        """
        Called in another thread: the job of the async stage that an asyncio task runs.
        """
        job = self._slots.job_of(task)
        return None if job is None else self._hand.get(job)

    def _forget(self, run: str) -> None:
        self._pool.forget(run)
        self._pace.forget(run)
        self._timings.forget(run)
        self._resting.forget_run(run)
        self._upkeep.over()

    def _say(self, job: int, stream: str, text: str, logged: Logged | None = None) -> None:
        """
        An async stage function has printed a line or logged a message, possibly in a thread.
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
