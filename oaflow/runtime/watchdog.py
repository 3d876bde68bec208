"""
Kills executors whose jobs take longer, or more memory, than they may.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from oaflow.runtime.executors import Executor
from oaflow.runtime.messages import Assignment
from oaflow.runtime.processes import resident
from oaflow.runtime.programs import memory_of_programs

# Above this part of a job's limit an executor is replaced when the job has ended: what earlier jobs left in it must not
# be charged to a later one.
FULL = 0.5


class Watchdog:
    """
    That of one pool.

    Args:
        executors: those that are there, as the pool keeps them.
        busy: whether any of them is at work.
        given: set when one may be, and cleared here.
        retire: lets one finish what it has in hand, and end.
        poll: seconds between two looks.
    """

    def __init__(
        self,
        executors: Sequence[Executor],
        *,
        busy: Callable[[], bool],
        given: asyncio.Event,
        retire: Callable[[Executor], None],
        poll: float,
    ) -> None:
        self._executors, self._busy, self._given = executors, busy, given
        self._retire, self._poll = retire, poll

    async def watch(self) -> None:
        """
        Look at times and memory while there is work.
        """
        while True:
            await self._given.wait()
            await asyncio.sleep(self._poll)
            if not self._busy():
                self._given.clear()
            now = time.monotonic()
            for executor in list(self._executors):
                if executor.death is None and (running := executor.running) is not None:
                    self._look(executor, executor.in_hand[running[0]], running[1], now)

    def _look(self, executor: Executor, assignment: Assignment, since: float, now: float) -> None:
        if assignment.timeout is not None and executor.seconds(since, now) > assignment.timeout:
            executor.kill_for("timeout", because=f"longer than {assignment.timeout:g} s")
        elif assignment.memory is not None:
            self._look_at_memory(executor, assignment, assignment.memory, since)

    def _look_at_memory(self, executor: Executor, assignment: Assignment, limit: int, since: float) -> None:
        rss = resident(executor.pid)
        programs = 0 if rss > limit else memory_of_programs(executor.pid, since, limit - rss)
        # Twice: a program that is only just being started still has all that its parent has.
        greedy_before, executor.greedy = executor.greedy, assignment.job if rss + programs > limit else None
        if rss > limit or (executor.greedy is not None and executor.greedy == greedy_before):
            executor.kill_for("memory", rss=rss + programs, because=f"more than {limit} bytes")
        elif rss > limit * FULL:
            self._retire(executor)
