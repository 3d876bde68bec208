"""
Receives the results of attempts in executors: hand-overs, deaths, and printed lines.
"""

import logging
import time
from collections.abc import Sequence

from oaflow.runtime.claiming import Claiming
from oaflow.runtime.executors import Executor
from oaflow.runtime.feeder import Feeder
from oaflow.runtime.hand import Hand
from oaflow.runtime.held import crash_error, timeout_error
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.logged import Logged
from oaflow.runtime.messages import Assignment, Death, Handover
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.policy import Trouble
from oaflow.runtime.resting import Resting

log = logging.getLogger(__name__)


class Ending:
    """
    The part of a worker that receives them: the `Listener` of its pool.

    Args:
        hand: the jobs in hand.
        outcomes: takes the outcomes of attempts.
        feeder: feeds executors that have room again.
        claiming: claims jobs for them.
        resting: forgets streams whose executor died.
        lines: the log of the jobs.
    """

    def __init__(
        self, hand: Hand, outcomes: Outcomes, *, feeder: Feeder, claiming: Claiming, resting: Resting, lines: JobLog
    ) -> None:
        self._hand, self._outcomes, self._feeder = hand, outcomes, feeder
        self._claiming, self._resting, self._log = claiming, resting, lines

    def handed(self, executor: Executor, handovers: Sequence[Handover]) -> None:
        """
        Attempts ended, or chunks of streams arrived.
        """
        for handover in handovers:
            held = self._hand.get(handover.job)
            if held is None:
                continue
            try:
                self._outcomes.take(held, handover)
            except Exception as problem:  # the others in this message must not be lost with it
                log.exception("job %s", held.row.id)
                error = {"type": type(problem).__name__, "message": str(problem)}
                self._outcomes.end(held, "failed", {"error": error})
        self._claiming.has_time()
        self._feeder.feed_and_claim()

    def unbegun(self, jobs: Sequence[Assignment]) -> None:
        """
        These jobs wait here again, for other executors or other workers.
        """
        self._hand.put_back([held for job in jobs if (held := self._hand.get(job.job)) is not None])
        self._feeder.feed()

    def died(
        self, executor: Executor, culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        """
        An executor has died: its running job is charged, and jobs that it had not started go back to the buffer.
        """
        if self._claiming.stopping and reason.kind == "killed":
            return  # drain gives back the rest
        back = [held for assignment in returned if (held := self._hand.get(assignment.job)) is not None]
        held = self._hand.get(culprit.job) if culprit else None
        if held is not None:
            self._resting.forget(held.row.id)
            now = time.time()
            match reason.kind:
                case "timeout":
                    trouble = Trouble("error", timeout_error(held.stage, reason))
                    self._outcomes.trouble(held, trouble, now - (held.stage.timeout or 0))
                case "killed":
                    back.insert(0, held)
                case _:
                    self._outcomes.trouble(held, Trouble("crash", crash_error(reason)), now)
        self._hand.put_back(back)
        self._claiming.has_time()
        self._claiming.wake()

    def line(
        self,
        executor: Executor | None,
        stream: str,
        text: str,
        job: Assignment | None,
        logged: Logged | None = None,
    ) -> None:
        """
        A line was printed, or a message logged.
        """
        self._log.write(
            job.run if job else None,
            stage=job.stage if job else None,
            job=job.job if job else None,
            stream=stream,
            text=text,
            documents=executor.documents_of(job) if executor and job else None,
            logged=logged,
        )

    def ready(self) -> None:
        """
        There is a new executor, or one became free.
        """
        self._claiming.wake()
