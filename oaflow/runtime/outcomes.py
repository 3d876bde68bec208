"""
Takes the outcome of an attempt, a hand-over or an error: logs it, and passes it to the completer.

`completions` decides what becomes of it. This keeps no state: the dispatcher has the jobs in hand, and gets the answers
of the database.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from oaflow.ledger.rows import Completion, Successor
from oaflow.runtime.completer import Completer
from oaflow.runtime.completions import ended, handed, trouble_of, troubled
from oaflow.runtime.held import Held
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.messages import Handover
from oaflow.runtime.pace import Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.policy import Trouble
from oaflow.runtime.timings import Timings
from oaflow.runtime.upkeep import Upkeep

log = logging.getLogger(__name__)


class Outcomes:
    """
    Turns ends of attempts into completions.

    Args:
        completer: sends them.
        lines: the log of the jobs.
        upkeep: told about full disks.
        passages: knows the versions of tasks.
        pace: learns how long attempts take.
        timings: records it for estimates.
        break_off: ends an attempt at a stream whose run was cancelled.
        most_crashes: how many crashes fail a job.
    """

    def __init__(
        self,
        completer: Completer,
        *,
        lines: JobLog,
        upkeep: Upkeep,
        passages: Passages,
        pace: Pace,
        timings: Timings,
        break_off: Callable[[Held], None],
        most_crashes: int,
    ) -> None:
        self._completer, self._log, self._upkeep = completer, lines, upkeep
        self._passages, self._pace, self._timings = passages, pace, timings
        self._break_off, self._most_crashes = break_off, most_crashes

    def take(self, held: Held, handover: Handover) -> None:
        """
        An attempt ended, or a chunk of a stream arrived.
        """
        chunk = handover.outcome == "chunk"
        held.streamed |= chunk
        if not chunk:
            seconds = handover.ended - handover.started
            in_loop = self._passages.probe_of(held.stage.task).is_async
            self._pace.saw(held.passage.id, held.stage.name, seconds, in_loop=in_loop)
        if handover.warning:
            self.warn(held, handover.warning)
        if held.passage.cancelled:
            if chunk:
                self._break_off(held)
            else:
                self.end(held, "cancelled")
        elif handover.outcome == "failed":
            trouble, detail = trouble_of(handover)
            if trouble.kind == "room":
                self._upkeep.report_full(held.stage.name, str(trouble.error["message"]))
            self.trouble(
                held,
                trouble,
                handover.started,
                detail=detail,
                emitted=handover.successors,
                version=handover.version,
            )
        else:
            self._send(held, handed(held, handover))

    def warn(self, held: Held, warning: str) -> None:
        """
        Log a warning once for each stage of a run.
        """
        if held.stage.name not in held.passage.warned:
            held.passage.warned.add(held.stage.name)
            log.warning("run %s: %s", held.passage.id, warning)
            run, stage = held.passage.id, held.stage.name
            self._log.write(run, stage=stage, job=held.row.id, stream="warning", text=warning)

    def trouble(
        self,
        held: Held,
        trouble: Trouble,
        started: float,
        *,
        detail: Mapping[str, Any] | None = None,
        emitted: tuple[Successor, ...] = (),
        version: str | None = None,
    ) -> None:
        """
        Log an attempt that failed, and send what `troubled` decides.
        """
        error = trouble.error
        self._log.write(
            held.passage.id,
            stage=held.stage.name,
            job=held.row.id,
            stream="error",
            text=error.get("traceback") or f"{error.get('type', 'error')}: {error.get('message', '')}",
            documents=held.documents,
        )
        self._send(
            held,
            troubled(
                held,
                trouble,
                started=started,
                now=time.time(),
                version=self._passages.probe_of(held.row.task).version if version is None else version,
                most_crashes=self._most_crashes,
                detail=detail,
                emitted=emitted,
            ),
        )

    def end(self, held: Held, outcome: str, detail: Mapping[str, Any] | None = None) -> None:
        """
        Send what became of an attempt about which nothing else is known.
        """
        now = time.time()
        self._completer.put(ended(held, outcome, detail, started=now, now=now))

    def _send(self, held: Held, completion: Completion) -> None:
        in_loop = self._passages.probe_of(held.stage.task).is_async
        self._timings.saw(completion, held.row.args, in_loop=in_loop, collected=held.collected)
        self._completer.put(completion)
