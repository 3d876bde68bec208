"""
Decides what becomes of an attempt that went wrong: it is repeated, goes to the `on_error` stage, or is kept as a
failure. Pure.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from oaflow.plan import BoundStage


@dataclass(frozen=True, slots=True)
class Again:
    """
    The job goes back, after `delay` seconds. `charge` says to what: a retry, a crash, or to nothing.
    """

    charge: Literal["retried", "crashed", "paused"]
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Divert:
    """
    The job goes as it arrived to the `on_error` stage.
    """


@dataclass(frozen=True, slots=True)
class Part:
    """
    The job is taken apart: what it was collected of runs again, each alone.
    """


@dataclass(frozen=True, slots=True)
class Fail:
    """
    The job is kept under failures.
    """


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    How an attempt went wrong.

    `error` is what history keeps: type, message, and what else is known. `kind` is `error` (the function raised, or ran
    out of time), `crash` (its process died), or `room` (a disk was full: nobody's fault).
    """

    kind: Literal["error", "crash", "room"]
    error: dict[str, Any] = field(default_factory=dict[str, Any])
    final: bool = False


def judge(
    trouble: Trouble,
    stage: BoundStage,
    *,
    retries: int,
    crashes: int,
    most_crashes: int,
    collected: bool = False,
    parted: bool = False,
) -> Again | Divert | Fail | Part:
    """
    Decide over an attempt that went wrong.

    Args:
        trouble: what happened.
        stage: where.
        retries: repetitions that the job has used.
        crashes: crashes that it is charged with, without this one.
        most_crashes: the crash that fails a job.
        collected: whether it was put together of several, and may be taken apart: the first crash, or the last attempt,
            does that.
        parted: whether it was taken out of such a one: it has one attempt, and its share in the crash of the whole.
    """
    match trouble.kind:
        case "room":
            return Again("paused", delay=1.0)
        case "crash" if crashes + parted + 1 < most_crashes and not collected:
            return Again("crashed")
        case "error" if not trouble.final and retries < stage.retry.max and not parted:
            return Again("retried", stage.retry.delay(retries + 1))
        case _ if collected:
            return Part()
        case _:
            return Divert() if stage.on_error else Fail()
