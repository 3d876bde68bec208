"""
Asks the database about runs in which something may be due: their end, a join, jobs to collect, or cancelling after too
many failures.
"""

import asyncio
from collections.abc import Callable, Sequence

from oaflow.ledger import handover as ledger
from oaflow.ledger.rows import Successor
from oaflow.ledger.wire import Wire
from oaflow.runtime.asking import Asking
from oaflow.runtime.held import Passage
from oaflow.runtime.passages import Passages


class Closing:
    """
    Tracks what may be due in the runs of one worker, and asks about it.

    Args:
        wire: to the database.
        passages: the runs.
        wake: called when there is something to ask.
    """

    def __init__(self, wire: Wire, passages: Passages, wake: Callable[[], None]) -> None:
        self._wire, self._passages, self._wake = wire, passages, wake
        self._quiet: set[str] = set()
        self._failing: set[str] = set()
        self._asking = Asking(
            lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call), self._ask_about
        )

    @property
    def any(self) -> bool:
        """
        Whether there is something to ask.
        """
        return bool(self._quiet or self._failing)

    def quiet(self, run: str) -> None:
        """
        A job of a run has ended without a successor.
        """
        self._quiet.add(run)

    def failed(self, run: str) -> None:
        """
        A job has failed in a run that is cancelled after a number of failures: asked once for all that fail meanwhile.
        """
        self._failing.add(run)

    def soon(self, run: str) -> None:
        """
        A job has ended in a run that joins or collects.
        """
        self._asking.soon(run)

    def when_due(self, passage: Passage, successors: Sequence[Successor]) -> None:
        """
        Jobs that wait to be collected will have waited long enough after this many seconds.
        """
        for stage in {successor.stage for successor in successors if successor.collect is not None}:
            if (collect := passage.plan.stages[stage].collect) is not None:
                self._asking.after(passage.id, collect.wait)

    async def ask(self) -> list[tuple[str, str]]:
        """
        After the commit of hand-overs that left no successor: end the runs that are finished.

        Only for runs of which this worker holds no job; the worker that holds the last job asks last. Before that, a
        join may be due, or jobs that wait to be collected.

        Returns:
            each run in which something happened, and what (`ledger.close`).
        """
        # Checked first, because a run that is given up ends differently.
        while self._failing:
            await self._wire.send("stop", ledger.stop, self._failing.pop())
        passages = {run: self._passages.get(run) for run in self._quiet}
        ready = [
            run
            for run, passage in passages.items()
            if passage is None or passage.plan.joins or passage.plan.collects or not passage.held
        ]
        self._quiet.difference_update(ready)
        return await self._wire.send("close", ledger.close, ready) if ready else []

    def _ask_about(self, run: str) -> None:
        """
        Ask in the next turn what has become due in a run.
        """
        self._quiet.add(run)
        self._wake()
