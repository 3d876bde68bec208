"""
Makes the completion of an attempt, as it is sent to the database. Pure: `policy` decides, `completer` sends.
"""

from collections.abc import Mapping
from typing import Any, assert_never

import orjson

from oaflow.ledger.rows import Completion, Successor
from oaflow.runtime.held import Held, successor_of
from oaflow.runtime.messages import Handover
from oaflow.runtime.policy import Again, Divert, Fail, Part, Trouble, judge


def handed(held: Held, handover: Handover) -> Completion:
    """
    An attempt that succeeded, or a chunk of its stream.
    """
    return Completion(
        held.row.id,
        held.row.attempts,
        handover.outcome,
        held.passage.id,
        held.stage.name,
        held.parent,
        handover.started,
        handover.ended,
        0.0,
        # The last chunk goes with the end of the job: nothing will ask for it again.
        handover.position if handover.outcome == "chunk" else None,
        handover.digest,
        handover.version,
        _counted(held, handover.detail),
        handover.successors,
    )


def troubled(
    held: Held,
    trouble: Trouble,
    *,
    started: float,
    now: float,
    version: str,
    most_crashes: int,
    detail: Mapping[str, Any] | None = None,
    emitted: tuple[Successor, ...] = (),
) -> Completion:
    """
    An attempt that failed. Under `emit: always`, what it emitted goes out if it was the last attempt, and is lost
    otherwise.

    Args:
        detail: what is recorded about it besides the error.
        most_crashes: how many crashes fail a job.
    """
    error, documents = trouble.error, held.documents
    kept: dict[str, Any] = {**(detail or {}), "error": error} | ({"documents": documents} if documents else {})
    verdict = judge(
        trouble,
        held.stage,
        retries=held.row.retries,
        crashes=held.row.crashes,
        most_crashes=most_crashes,
        # What was handed over is not undone: each of the jobs that it was collected from would hand it over again.
        collected=held.collected > 0 and not held.streamed,
        parted=held.parted,
    )
    match verdict:
        case Again(charge, delay):
            return ended(held, charge, _attempt(kept), started=started, now=now, delay=delay, version=version)
        case Part():
            return ended(held, "parted", _attempt(kept), started=started, now=now, version=version)
        case Divert():
            ways = held.diverted(error)
            kept["handed"] = [*kept.get("handed", []), *([way.stage, way.documents] for way in ways)]
            out = (*emitted, *map(successor_of, ways))
            return ended(held, "diverted", kept, started=started, now=now, version=version, successors=out)
        case Fail():
            return ended(held, "failed", kept, started=started, now=now, version=version, successors=emitted)
        case _:
            assert_never(verdict)


def ended(
    held: Held,
    outcome: str,
    detail: Mapping[str, Any] | None = None,
    *,
    started: float,
    now: float,
    delay: float = 0.0,
    version: str = "",
    successors: tuple[Successor, ...] = (),
) -> Completion:
    """
    An attempt that ended in the given way.
    """
    return Completion(
        job=held.row.id,
        attempt=held.row.attempts,
        outcome=outcome,
        run=held.passage.id,
        stage=held.stage.name,
        parent=held.parent,
        started=started,
        ended=now,
        delay=delay,
        version=version,
        detail=_counted(held, orjson.dumps(detail or {})),
        successors=successors,
    )


def trouble_of(handover: Handover) -> tuple[Trouble, dict[str, Any]]:
    """
    What went wrong with an attempt whose function raised, and what is recorded about it.
    """
    detail = orjson.loads(handover.detail)
    error = detail.get("error", {})
    return Trouble("room" if error.get("full") else "error", error, handover.final), detail


def _counted(held: Held, detail: bytes) -> bytes:
    """
    The detail of an attempt, with the number of jobs that its own was collected from: they end with it.
    """
    return orjson.dumps({**orjson.loads(detail), "collected": held.collected}) if held.collected else detail


def _attempt(detail: Mapping[str, Any]) -> dict[str, Any]:
    """
    What is recorded about an attempt that was not the last: nothing that it emitted.
    """
    return {key: value for key, value in detail.items() if key in ("error", "documents")}
