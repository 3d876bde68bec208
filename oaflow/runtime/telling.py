"""
Reports what a worker does: to the database, how long attempts take; to its supervisor, its state and counts.
"""

import asyncio
import contextlib
import os
import time

from oaflow.ledger import handover as ledger
from oaflow.ledger.heart import Heart
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.claiming import Claiming
from oaflow.runtime.completer import Completer
from oaflow.runtime.figures import Figures
from oaflow.runtime.hand import Hand
from oaflow.runtime.options import Options
from oaflow.runtime.passages import Passages
from oaflow.runtime.pool import Pool
from oaflow.runtime.processes import resident
from oaflow.runtime.slots import Slots
from oaflow.runtime.timings import Timings
from oaflow.runtime.vitals import Pulse

TIMINGS_EVERY = 1.0  # seconds between two reports of how long attempts take


class Telling:
    """
    The reporting of one worker. It reads the other parts of the dispatcher.
    """

    def __init__(
        self,
        wire: Wire,
        options: Options,
        *,
        hand: Hand,
        slots: Slots,
        pool: Pool,
        passages: Passages,
        completer: Completer,
        claiming: Claiming,
        heart: Heart,
        figures: Figures,
        timings: Timings,
    ) -> None:
        self._wire, self._options = wire, options
        self._hand, self._slots, self._pool, self._passages = hand, slots, pool, passages
        self._completer, self._claiming, self._heart = completer, claiming, heart
        self._figures, self._timings = figures, timings
        self._memory = 0  # bytes, as last reported

    async def keep_timings(self) -> None:
        """
        Report every second how long attempts took.
        """
        while True:
            await asyncio.sleep(TIMINGS_EVERY)
            await self.say_timings()

    async def say_timings(self) -> None:
        """
        Report how long attempts took, if there is something to report. A report that is sent again after a lost answer
        counts twice, which estimates tolerate.
        """
        kept, shifts = self._timings.take(time.time(), self._passages.busy)
        memory = resident(os.getpid()) + sum(resident(executor.pid) for executor in self._pool.everyone)
        if kept or shifts or abs(memory - self._memory) > self._memory // 8:
            self._memory = memory
            with contextlib.suppress(Refused):
                await self._wire.send(
                    "timings", ledger.keep_timings, self._wire.worker, self._options.executors, memory, kept, shifts
                )

    def pulse(self, now: float) -> Pulse:
        """
        The state of this worker at this moment of the monotonic clock.
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
        Report what this worker has counted since the last report, and its current values, as far as they can be sent.
        """
        if (counted := self._options.counted) is None:
            return
        busy = self._pool.at_work
        news = self._figures.news(
            {"claims": self._claiming.claims.asked, "claimed": self._claiming.claims.came},
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
