"""
Acts on the database's answer to a completion: lets the job go, queues the successors that continue here, and tells
whatever waited for it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.wire import Wire
from oaflow.runtime.attempts import Attempts
from oaflow.runtime.claiming import Claiming
from oaflow.runtime.closing import Closing
from oaflow.runtime.continuation import Continuation
from oaflow.runtime.feeder import Feeder
from oaflow.runtime.figures import Figures
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import Held
from oaflow.runtime.lanes import Lanes
from oaflow.runtime.resting import Resting

if TYPE_CHECKING:
    from oaflow.runtime.spans import Spans

log = logging.getLogger(__name__)


class Settling:
    """
    The part of a worker that receives these answers.

    Args:
        wire: to the database.
        hand: the jobs in hand.
        attempts: the running attempts.
        continuation: knows which successors continue here.
        feeder: feeds jobs when there is room.
        claiming: claims when there may be more.
        lanes: told about places that became free.
        resting: decides when streams may continue.
        closing: told in which runs something may be due.
        figures: counts what the database has recorded.

    Attributes:
        spans: traces attempts, if tracing is on.
    """

    def __init__(
        self,
        wire: Wire,
        hand: Hand,
        attempts: Attempts,
        *,
        continuation: Continuation,
        feeder: Feeder,
        claiming: Claiming,
        lanes: Lanes,
        resting: Resting,
        closing: Closing,
        figures: Figures,
    ) -> None:
        self._wire, self._hand, self._attempts, self._continuation = wire, hand, attempts, continuation
        self._feeder, self._claiming, self._lanes = feeder, claiming, lanes
        self._resting, self._closing, self._figures = resting, closing, figures
        self.spans: Spans | None = None

    def is_awaited(self, completion: Completion) -> bool:
        """
        Whether anything waits for the answer: a stream, other jobs for the place or lock that the job holds, or an idle
        executor that could run a successor.
        """
        held = self._hand.get(completion.job)
        if held is None or completion.outcome == "chunk" or self._lanes.of(held.row.queue, held.row.task) is not None:
            return True
        return not self._hand.buffer and self._attempts.idle

    def settled(self, completion: Completion, answer: str) -> None:
        """
        The database answered `applied`, `already`, `fenced`, `gone`, or `refused`.
        """
        self._feeder.answered()
        continued = self._continuation.ended(completion)
        held = self._hand.get(completion.job)
        taken = answer in ("applied", "already")
        if taken and held is not None:
            self._watch(held, completion)
        if held is None or held.row.attempts != completion.attempt:
            return  # let go since; if it is in hand again, that is another attempt
        if taken and held.passage.plan.collects:
            self._closing.when_due(held.passage, completion.successors)
        if taken and continued:
            self._go_on(held, continued)
        if not taken:
            log.warning("the %s of job %s was not taken: it is %s", completion.outcome, completion.job, answer)
        if completion.outcome == "chunk":
            self._part_settled(held, completion, taken=taken, continued=len(continued))
            return
        self._hand.let_go(held)
        self._lanes.ended(held.row.queue, held.row.task)
        if completion.outcome == "failed" and taken and held.passage.stops:
            self._closing.failed(completion.run)
            self._claiming.wake()
        if len(completion.successors) > len(continued) or completion.outcome in ("retried", "crashed", "paused"):
            self._claiming.more()
        if completion.delay:  # nothing notifies when its delay is over
            asyncio.get_running_loop().call_later(completion.delay, self._claiming.due)
        if held.passage.plan.joins or held.passage.plan.collects:
            self._closing.soon(completion.run)
        elif not completion.successors and completion.outcome in ("done", "failed", "cancelled"):
            self._closing.quiet(completion.run)
        if held.passage.cancelled and not held.passage.held:
            self._claiming.changed()  # it has ended here
        elif not held.passage.held:
            self._claiming.wake()
        elif self._claiming.expects or self._lanes.due:
            self._feeder.soon()

    def _part_settled(self, held: Held, part: Completion, *, taken: bool, continued: int) -> None:
        if held.passage.plan.collects:
            self._closing.soon(part.run)
        if len(part.successors) > continued:
            self._claiming.more()
        self._claiming.wake_for_jobs()
        if taken:
            self._resting.handed(held, part.position or 0, len(part.successors))
        else:
            self._hand.let_go(held)
            self._attempts.abandon(held)

    def _go_on(self, parent: Held, successors: Sequence[Successor]) -> None:
        """
        Take the successors of a job that this worker already owns.
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
        self._feeder.soon()

    def _watch(self, held: Held, completion: Completion) -> None:
        """
        Count what the database has recorded, and trace it. The job may be in hand again for another attempt, if that
        was claimed before the answer to this one was read.
        """
        took, handed = completion.ended - completion.started, time.time() - completion.ended
        self._figures.ended(held.passage.plan.pipeline, held.stage.name, completion.outcome, took, handed)
        if self.spans is None:
            return
        try:
            self.spans.ended(held, completion, self._wire.worker)
        except Exception:  # an error in watching must not lose a job
            log.exception("job %s is in no trace", completion.job)
