"""
Gives claimed jobs to slots and executors that have room. `feeding` decides which executor gets what.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from oaflow.runtime.attempting import Attempting
from oaflow.runtime.claiming import Claiming
from oaflow.runtime.completer import Completer
from oaflow.runtime.executors import Executor
from oaflow.runtime.feeding import share
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held
from oaflow.runtime.lanes import Lanes
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.pace import MOST_AHEAD, Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.pool import Pool
from oaflow.runtime.slots import Slots

UNANSWERED = 500  # how many completions may wait for an answer before no more work is started


class Feeder:
    """
    The feeder of one worker.

    Args:
        hand: the claimed jobs, in their order.
        slots: where async stages run.
        pool: of the executors.
        completer: knows how many answers are outstanding.
        passages: knows which runs were cancelled.
        lanes: tells which jobs an executor gets one at a time.
        pace: tells how many it gets of the others.
        outcomes: takes the jobs that will not run any more.
        attempting: knows what earlier attempts at streams handed over.
        claiming: notified when there may be room for more.
    """

    def __init__(
        self,
        hand: Hand,
        slots: Slots,
        pool: Pool,
        *,
        completer: Completer,
        passages: Passages,
        lanes: Lanes,
        pace: Pace,
        outcomes: Outcomes,
        attempting: Attempting,
        claiming: Claiming,
    ) -> None:
        self._hand, self._slots, self._pool, self._completer = hand, slots, pool, completer
        self._passages, self._lanes, self._pace = passages, lanes, pace
        self._outcomes, self._attempting, self._claiming = outcomes, attempting, claiming
        self._coming = False  # whether feeding is scheduled
        self._sends: set[asyncio.Task[None]] = set()

    @property
    def closed(self) -> bool:
        """
        Whether no attempt may start now.
        """
        return self._claiming.stopping or self.full

    @property
    def full(self) -> bool:
        """
        Whether too many hand-overs await their answer.
        """
        return self._completer.waiting > UNANSWERED

    def answered(self) -> None:
        """
        An answer has arrived.
        """
        if self._completer.waiting == UNANSWERED:
            self.soon()  # with one more outstanding, nothing could start; nothing else signals that it can now

    def freed(self) -> None:
        """
        An attempt has ended in a slot.
        """
        self._claiming.has_time()
        if self._claiming.expects:
            self.soon()

    def soon(self) -> None:
        """
        Feed and claim once for a whole group of answers, or of attempts that end together.
        """
        if not self._coming:
            self._coming = True
            asyncio.get_running_loop().call_soon(self._come)

    def feed(self) -> None:
        """
        Give out the jobs that there is room for.
        """
        if self._passages.any_cancelled:  # at once, not in their turn: the running jobs may take long
            for held in self._hand.take_back(lambda held: held.passage.cancelled):
                self._outcomes.end(held, "cancelled")
        self._slots.fill()
        if self.closed or self._slots.one_alone or not self._hand.buffer:
            return
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

    def feed_and_claim(self) -> None:
        """
        Give out the jobs that there is room for, and claim more for the remaining room.
        """
        self.feed()
        self._claiming.wake_for_jobs()

    def _come(self) -> None:
        self._coming = False
        self.feed_and_claim()

    def _ahead(self, held: Held) -> int:
        if self._pool.preloads.waits(held.row.task):
            return 0
        lane = self._lanes.of(held.row.queue, held.row.task)
        if lane is not None and lane.way.at_once:
            return 1  # a job that waits in an executor holds a place, too
        return self._pace.ahead(held.passage.id, held.stage.name)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _send_with_chunks(self, executor: Executor, group: Sequence[Held]) -> None:
        assignments = {held.row.id: held.assignment(await self._attempting.earlier(held)) for held in group}
        still = [held for held in group if self._hand.get(held.row.id) is held]
        if executor in self._pool.executors:
            self._pool.send(executor, [assignments[held.row.id] for held in still])
        else:
            self._hand.put_back(still)
            self._claiming.wake()
