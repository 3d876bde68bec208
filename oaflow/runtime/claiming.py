"""
Claims jobs for a worker when there may be some and it has room for them.

`appetite` decides how many; `taking` receives what was claimed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from oaflow.ledger import handover as ledger
from oaflow.ledger.lanes import claim_lane
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.appetite import Appetite
from oaflow.runtime.claims import Claims
from oaflow.runtime.closing import Closing
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held
from oaflow.runtime.lanes import Lane, Lanes
from oaflow.runtime.passages import Passages
from oaflow.runtime.resting import Resting
from oaflow.runtime.taking import Taking
from oaflow.runtime.upkeep import Upkeep

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0  # how long a job waits here before it is given back
LOOK_SECONDS = 0.25  # between two looks through the waiting jobs, if no notification about the runs arrives
# The longest time between polls, as a multiple of `poll`, while no jobs come. New jobs are notified; others (given back
# by other workers, or due after a delay that another worker set) are found only by polling.
LONGEST, GROWTH = 2.5, 1.5
KINDS = (True, False)  # of stages: async ones, in the worker's loop, and the others


class Claiming:
    """
    The claims of one worker.

    Args:
        wire: to the database.
        hand: the jobs that were claimed but not started, which can be left to other workers.
        appetite: how many jobs there is room for.
        taking: takes the claimed jobs.
        passages: tells what there is to claim.
        lanes: the same, for tasks with a limit or locks.
        resting: excludes the jobs of resting streams.
        upkeep: knows whether a disk is full.
        closing: knows what is due in runs.
        poll: the least number of seconds between two polls.
        advertise: publishes what the worker can run.
        give_back: gives back jobs that were not started.
        feed: gives claimed jobs to slots and executors.
        start_over: registers again, because the worker with that id was declared dead.
    """

    def __init__(
        self,
        wire: Wire,
        hand: Hand,
        appetite: Appetite,
        taking: Taking,
        passages: Passages,
        lanes: Lanes,
        resting: Resting,
        upkeep: Upkeep,
        closing: Closing,
        *,
        poll: float,
        advertise: Callable[[], Awaitable[None]],
        give_back: Callable[[Sequence[Held]], Awaitable[None]],
        feed: Callable[[], None],
        start_over: Callable[[int], Awaitable[None]],
    ) -> None:
        self._wire, self._hand, self._appetite, self._taking = wire, hand, appetite, taking
        self._passages, self._lanes, self._resting = passages, lanes, resting
        self._upkeep, self._closing, self._poll = upkeep, closing, poll
        self._advertise, self._give_back, self._feed, self._start_over = advertise, give_back, feed, start_over
        self.claims = Claims()
        self.stopping = False  # whether claiming has stopped
        self.has_plans = False  # whether the list of runs has been read
        self._wake = asyncio.Event()
        self._left = False  # whether jobs were left to others that no executor here has had time for since
        # The kinds of jobs that there may be: of async stages (True), and of the others.
        self._more = set(KINDS)
        self._stale = True
        self._patience = poll  # seconds until the next poll
        self._next_look = 0.0  # when to check next whether waiting jobs should be left to others

    async def keep_claiming(self) -> None:
        """
        Claim, and do what is due in runs, until it is stopped.
        """
        while not self.stopping:
            self._wake.clear()
            try:
                await self._turn()
            except Refused as refused:
                if refused.worker_gone:
                    await self._start_over(self._wire.worker)
                else:
                    log.exception("claiming failed")
                    await asyncio.sleep(1)
            except Exception:  # one unreadable run must not stop a worker that looks alive
                log.exception("claiming failed")
                await asyncio.sleep(1)
            if self._may_claim():
                continue
            try:
                async with asyncio.timeout(self._patience):
                    await self._wake.wait()
            except TimeoutError:
                self._look()
                self._patience = min(self._patience * GROWTH, self._poll * LONGEST)

    def stop(self) -> None:
        """
        Stop claiming.
        """
        self.stopping = True
        self.wake()

    def wake(self) -> None:
        """
        Take the next turn now.
        """
        self._wake.set()

    def wake_for_jobs(self) -> None:
        """
        Take the next turn now, if there may be jobs to claim and there is room for them.
        """
        if not self._wake.is_set() and self._may_claim():
            self.wake()

    def due(self) -> None:
        """
        There may be something to claim now.
        """
        self._look()
        self.wake()

    def missed(self) -> None:
        """
        The same, after notifications may have been missed: poll at short intervals again.
        """
        self._patience = self._poll
        self.due()

    def changed(self) -> None:
        """
        The runs, or what the worker can run, may have changed.
        """
        self._stale = True
        self.due()

    def more(self) -> None:
        """
        There may be more jobs with neither a limit nor locks.
        """
        self._more.update(KINDS)

    @property
    def expects(self) -> bool:
        """
        Whether there may be jobs to claim with neither a limit nor locks.
        """
        return bool(self._more)

    def has_time(self) -> None:
        """
        An attempt has ended here: jobs that were left to others may be claimed again.
        """
        if self._left:
            self._left = False
            self._more.update(KINDS)
            self._lanes.has_time()

    async def close_quiet(self) -> None:
        """
        Do what is due in runs, which may create jobs.
        """
        if became := await self._closing.ask():
            self.more()
            self._stale |= any(state != "gathered" for _, state in became)

    def _look(self) -> None:
        self._more.update(KINDS)
        self._lanes.look()

    async def _turn(self) -> None:
        if self._stale:
            self._stale = False
            other_triples, news = await self._passages.refresh()
            self.has_plans = True
            if other_triples:
                self._more.update(KINDS)
            if news:
                await self._advertise()
            if other_triples and (new := self._lanes.take(self._passages.ways)):
                # Claimed before the limit was known: jobs that have not started wait for their turn.
                await self._give_back(self._hand.take_back(lambda held: (held.row.queue, held.row.task) in new))
            await self._resting.look()
            self._next_look = 0.0
        await self._leave_to_others()
        for lane in self._lanes.due:
            if self._may_claim_lane(lane):
                await self._claim_lane(lane)
        kinds = [in_loop for in_loop in KINDS if self._may_claim_of(in_loop)]
        # Reset before the claims, not after: a notification that arrives while they are on the wire may be about jobs
        # that they did not see, which would then wait for the next poll (1 s of the 3 s of a small run). Kinds without
        # room stay set, to be claimed once there is room.
        self._more.difference_update(kinds, [kind for kind in KINDS if not self._passages.triples(in_loop=kind)])
        for in_loop in kinds:
            await self._claim(in_loop)
        self._feed()
        if self._closing.any:
            await self.close_quiet()

    def _may_claim(self) -> bool:
        return self._may_claim_of(True) or self._may_claim_of(False) or any(map(self._may_claim_lane, self._lanes.due))

    def _may_claim_lane(self, lane: Lane) -> bool:
        return not self.stopping and self._upkeep.no_room is None and self._appetite.room_for(lane) > 0

    def _may_claim_of(self, in_loop: bool) -> bool:
        return (
            in_loop in self._more
            and not self.stopping
            and self._upkeep.no_room is None
            and bool(self._passages.triples(in_loop=in_loop))
            and self._appetite.room(in_loop) > 0
        )

    async def _claim(self, in_loop: bool) -> None:
        worker, most = self._wire.worker, self._appetite.room(in_loop)
        if not most:  # the claim of the other kind may have brought a suspect that must run alone
            self._more.add(in_loop)
            return
        triples = self._resting.open(self._passages.triples(in_loop=in_loop))
        with self.claims.sent():
            rows = await self._wire.send("claim", ledger.claim, worker, triples, most)
            self.claims.came += len(rows)
            if len(rows) >= most:
                self._more.add(in_loop)
            # What remains in the queue is at most as urgent as the last job that came.
            self._appetite.left(in_loop, rows[-1].priority if len(rows) >= most else None)
            strangers = [row.id for row in rows if not await self._taking.take(row)]
            if len(strangers) < len(rows):
                self._patience = self._poll
        if strangers:
            await self._wire.send("release", ledger.release, worker, strangers)

    async def _claim_lane(self, lane: Lane) -> None:
        worker, most, way = self._wire.worker, self._appetite.room_for(lane), lane.way
        lane.due = False  # before the claim: a notification meanwhile may be about jobs that it does not see
        with self.claims.sent():
            after = lane.after if way.locks else None
            runs = [run for *_, run in self._resting.open([(way.queue, way.task, run) for run in way.runs])]
            rows, again = await self._wire.send("claim", claim_lane, worker, way.queue, way.task, runs, most, after)
            self.claims.came += len(rows)
            lane.after = next((row.lock for row in reversed(rows) if row.lock), lane.after)
            strangers = [row.id for row in rows if not await self._taking.take(row)]
            if len(strangers) < len(rows):
                self._patience = self._poll
        self._lanes.answered(lane, full=len(rows) >= most, again=again)
        if strangers:
            await self._wire.send("release", ledger.release, worker, strangers)

    async def _leave_to_others(self) -> None:
        """
        Give back jobs that should not wait here: their run is paused, or another worker may be free for them by now.
        That worker gets them, because nothing more is claimed here until the next look or until an attempt has ended.
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
            # Longer than the polling interval of others, or this worker would be the first to claim them again.
            self._lanes.leave([(held.row.queue, held.row.task) for held in back], WAIT_SECONDS)
