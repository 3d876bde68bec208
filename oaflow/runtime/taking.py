"""
Takes claimed jobs in hand, or gives them back.
"""

import logging
import time

import orjson

from oaflow.ledger import handover as ledger
from oaflow.ledger.rows import Claimed
from oaflow.ledger.wire import Wire
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held, held_of, worker_crash_error
from oaflow.runtime.lanes import Lanes
from oaflow.runtime.locking import LockError
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.passages import Passages
from oaflow.runtime.policy import Trouble
from oaflow.runtime.troubles import describe

log = logging.getLogger(__name__)


class Taking:
    """
    Takes claimed jobs in hand.

    Args:
        wire: to the database.
        hand: where they wait.
        passages: knows the runs that they belong to.
        lanes: told about locks that are free.
        outcomes: sends the outcome of jobs that do not run.
        most_crashes: how many crashes fail a job.
    """

    def __init__(
        self,
        wire: Wire,
        hand: Hand,
        passages: Passages,
        lanes: Lanes,
        outcomes: Outcomes,
        *,
        most_crashes: int,
    ) -> None:
        self._wire, self._hand, self._passages, self._lanes, self._outcomes = wire, hand, passages, lanes, outcomes
        self._most_crashes = most_crashes

    async def take(self, row: Claimed) -> bool:
        """
        Take one job; returns whether its run is known. If it is not, the caller must give the job back.
        """
        mark = orjson.loads(row.mark)
        run = mark.get("run")
        passage = await self._passages.find(run) if isinstance(run, str) else None
        if passage is None:
            log.error("job %s of task %s carries no run that is known; it is given back", row.id, row.task)
            return False
        held = held_of(row, passage, mark)
        stage = held.stage.name
        if held.collected and held.repeats_stream:
            held.streamed = bool(await self._wire.send("chunks", ledger.chunks, row.id))
        self._hand.take(held)
        if stage not in passage.plan.stages:
            message = f"the plan of run {run} has no stage {stage!r}; it has: {', '.join(passage.plan.stages)}"
            self._outcomes.end(held, "failed", {"error": {"type": "UnknownStageError", "message": message}})
        elif held.stage.lock is not None and await self._goes_back_for_its_lock(held):
            pass
        elif row.crashes >= self._most_crashes:
            self._outcomes.trouble(held, Trouble("crash", worker_crash_error(row.crashes)), time.time())
        else:
            self._hand.put(held)
        return True

    async def _goes_back_for_its_lock(self, held: Held) -> bool:
        """
        Whether a job came without its lock: then it is given back with it, or fails if the lock cannot be computed.
        """
        try:
            lock = held.missing_lock()
        except LockError as error:
            trouble = Trouble("error", describe(error, held.stage.name, None), final=True)
            self._outcomes.trouble(held, trouble, time.time())
            return True
        if lock is None:
            return False
        await self._wire.send("lock", ledger.lock, self._wire.worker, held.row.id, lock)
        self._hand.let_go(held)
        self._lanes.ended(held.row.queue, held.row.task)  # it may be claimed now
        return True
