"""
What becomes of an attempt: what it handed over, or what went wrong, is judged, logged, and sent.

It decides by `policy` and keeps nothing: jobs in hand, and what the database answers, are the dispatcher's.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, assert_never

import orjson

from oaflow.ledger.rows import Completion, Successor
from oaflow.runtime.completer import Completer
from oaflow.runtime.held import Held
from oaflow.runtime.joblog import JobLog
from oaflow.runtime.messages import Handover
from oaflow.runtime.pace import Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.policy import Again, Divert, Fail, Part, Trouble, judge
from oaflow.runtime.upkeep import Upkeep

log = logging.getLogger(__name__)


class Outcomes:
    """
    Turns ends of attempts into completions.

    Args:
        completer: sends them.
        lines: the log of the jobs.
        upkeep: is told of full disks.
        passages: know the versions of tasks.
        pace: learns how long attempts take.
        break_off: ends an attempt that streams for a run that was cancelled.
        most_crashes: of a job, after which it is failed.
    """

    def __init__(
        self,
        completer: Completer,
        *,
        lines: JobLog,
        upkeep: Upkeep,
        passages: Passages,
        pace: Pace,
        break_off: Callable[[Held], None],
        most_crashes: int,
    ) -> None:
        self._completer, self._log, self._upkeep = completer, lines, upkeep
        self._passages, self._pace = passages, pace
        self._break_off, self._most_crashes = break_off, most_crashes

    def take(self, held: Held, handover: Handover) -> None:
        """
        An attempt ended, or a part of a stream came.
        """
        chunk = handover.outcome == "chunk"
        if not chunk:
            seconds = handover.ended - handover.started
            in_loop = self._passages.probe_of(held.stage.task).is_async
            self._pace.saw(held.passage.id, held.stage.name, seconds, in_loop=in_loop)
        if handover.warning:
            self._warn(held, handover.warning)
        if held.passage.cancelled:
            if chunk:
                self._break_off(held)
            else:
                self.end(held, "cancelled")
        elif handover.outcome == "failed":
            detail = orjson.loads(handover.detail)
            error = detail.get("error", {})
            full = bool(error.get("full"))
            if full:
                self._upkeep.report_full(held.stage.name, str(error["message"]))
            trouble = Trouble("room" if full else "error", error, handover.final)
            self.trouble(
                held,
                trouble,
                handover.started,
                detail=detail,
                emitted=handover.successors,
                version=handover.version,
            )
        else:
            self._completer.put(
                Completion(
                    held.row.id,
                    held.row.attempts,
                    handover.outcome,
                    held.passage.id,
                    held.stage.name,
                    held.parent,
                    handover.started,
                    handover.ended,
                    # The last part goes with the end of the job: nothing will ask for it again.
                    position=handover.position if chunk else None,
                    digest=handover.digest,
                    version=handover.version,
                    detail=_counted(held, handover.detail),
                    successors=handover.successors,
                )
            )

    def _warn(self, held: Held, warning: str) -> None:
        """
        Say something once for each stage of a run.
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
        Decide over an attempt that went wrong, log it, and send what was decided. What it emitted under `emit: always`
        goes out with the last attempt, and is gone with every other.
        """
        error, documents = trouble.error, held.documents
        version = self._passages.probe_of(held.row.task).version if version is None else version
        kept: dict[str, Any] = {**(detail or {}), "error": error} | ({"documents": documents} if documents else {})
        self._log.write(
            held.passage.id,
            stage=held.stage.name,
            job=held.row.id,
            stream="error",
            text=error.get("traceback") or f"{error.get('type', 'error')}: {error.get('message', '')}",
            documents=documents,
        )
        verdict = judge(
            trouble,
            held.stage,
            retries=held.row.retries,
            crashes=held.row.crashes,
            most_crashes=self._most_crashes,
            collected=held.collected > 0,
            parted=held.parted,
        )
        match verdict:
            case Again(charge, delay):
                self.end(held, charge, _attempt(kept), started=started, delay=delay, version=version)
            case Part():
                self.end(held, "parted", _attempt(kept), started=started, version=version)
            case Divert():
                diverted = tuple(filter(None, [held.diverted(error)]))
                handed = [[successor.stage, documents] for successor in diverted]
                kept["handed"] = [*kept.get("handed", []), *handed]
                self.end(held, "diverted", kept, started=started, version=version, successors=(*emitted, *diverted))
            case Fail():
                self.end(held, "failed", kept, started=started, version=version, successors=emitted)
            case _:
                assert_never(verdict)

    def end(
        self,
        held: Held,
        outcome: str,
        detail: Mapping[str, Any] | None = None,
        *,
        started: float | None = None,
        delay: float = 0.0,
        version: str = "",
        successors: tuple[Successor, ...] = (),
    ) -> None:
        """
        Send what became of an attempt.
        """
        now = time.time()
        self._completer.put(
            Completion(
                job=held.row.id,
                attempt=held.row.attempts,
                outcome=outcome,
                run=held.passage.id,
                stage=held.stage.name,
                parent=held.parent,
                started=now if started is None else started,
                ended=now,
                delay=delay,
                version=version,
                detail=_counted(held, orjson.dumps(detail or {})),
                successors=successors,
            )
        )


def _counted(held: Held, detail: bytes) -> bytes:
    """
    The detail of an attempt, with how many jobs its own was put together of: those are done with it.
    """
    return orjson.dumps({**orjson.loads(detail), "collected": held.collected}) if held.collected else detail


def _attempt(detail: Mapping[str, Any]) -> dict[str, Any]:
    """
    What is kept of an attempt that was not the last: nothing of what it emitted.
    """
    return {key: value for key, value in detail.items() if key in ("error", "documents")}
