"""
Claims jobs for a worker: when there may be some and it has room for them.

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

WAIT_SECONDS = 5.0  # that a job waits here before it is given back
LOOK_SECONDS = 0.25  # between two looks through all that waits here, where nothing is heard of the runs
# So many times `poll`, at most, from one look for jobs to the next, while none come: what is entered is notified. What
# is not (given back by others, due after a delay that another worker gave it) is found by these looks only.
LONGEST, GROWTH = 2.5, 1.5
KINDS = (True, False)  # of stages: those in the worker's loop, and the others


class Claiming:
    """
    The claims of one worker.

    Args:
        wire: to the database.
        hand: what was claimed and not begun, so that it can be left to others.
        appetite: how much there is room for.
        taking: takes what comes.
        passages: say what there is to claim.
        lanes: the same, of what has a limit or locks.
        resting: leaves out what follows a stream that rests.
        upkeep: knows whether a disk is full.
        closing: knows what is due in runs.
        poll: seconds from one look for jobs to the next, at least.
        advertise: says what the worker can run.
        give_back: gives back jobs that were not begun.
        feed: gives what was claimed to slots and executors.
        start_over: registers anew, as the worker of that id was declared dead.
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
        self.stopping = False  # whether nothing more is to be claimed
        self.has_plans = False  # whether what runs there are has been read
        self._wake = asyncio.Event()
        self._left = False  # whether something was left to others that nothing here has had time for since
        # Of which kinds there may be something to claim: of async stages (True), of the others.
        self._more = set(KINDS)
        self._stale = True
        self._patience = poll  # seconds until the next look for jobs
        self._next_look = 0.0  # when to look next whether what waits here is to be left to others

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
                self._patience = min(self._patience * GROWTH, self._poll * LONGEST)

    def stop(self) -> None:
        """
        Claim nothing more.
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
        Take the next turn now, where there may be something to claim, and there is room for it.
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
        The same, and of what came meanwhile nobody was told: it is looked for at short intervals again.
        """
        self._patience = self._poll
        self.due()

    def changed(self) -> None:
        """
        The runs, or what the worker can run, may be others than before.
        """
        self._stale = True
        self.due()

    def more(self) -> None:
        """
        There may be more of what has neither a limit nor locks.
        """
        self._more.update(KINDS)

    @property
    def expects(self) -> bool:
        """
        Whether there may be something to claim that has neither a limit nor locks.
        """
        return bool(self._more)

    def has_time(self) -> None:
        """
        An attempt has ended here: what was left to others may be claimed again.
        """
        if self._left:
            self._left = False
            self._more.update(KINDS)
            self._lanes.has_time()

    async def close_quiet(self) -> None:
        """
        Do what is due in runs; jobs may come of it.
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
        if not most:  # what the claim of the other kind brought: a suspect that runs alone, say
            self._more.add(in_loop)
            return
        triples = self._resting.open(self._passages.triples(in_loop=in_loop))
        with self.claims.sent():
            rows = await self._wire.send("claim", ledger.claim, worker, triples, most)
            self.claims.came += len(rows)
            if len(rows) >= most:
                self._more.add(in_loop)
            # What is left behind is at most as urgent as the last that came.
            self._appetite.left(in_loop, rows[-1].priority if len(rows) >= most else None)
            strangers = [row.id for row in rows if not await self._taking.take(row)]
            if len(strangers) < len(rows):
                self._patience = self._poll
        if strangers:
            await self._wire.send("release", ledger.release, worker, strangers)

    async def _claim_lane(self, lane: Lane) -> None:
        worker, most, way = self._wire.worker, self._appetite.room_for(lane), lane.way
        lane.due = False  # before the claim: what is heard while it is on the wire may be what it did not see
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
            # For longer than others take to look: this worker would be the first to ask for what it has given back.
            self._lanes.leave([(held.row.queue, held.row.task) for held in back], WAIT_SECONDS)
