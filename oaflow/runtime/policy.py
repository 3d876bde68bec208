"""
Decides what becomes of an attempt that failed: it is repeated, goes to the `on_error` stage, or becomes a failure.
Pure.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from oaflow.plan import BoundStage


@dataclass(frozen=True, slots=True)
class Again:
    """
    The job goes back after `delay` seconds. `charge` says what it costs: a retry, a crash, or nothing.
    """

    charge: Literal["retried", "crashed", "paused"]
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Divert:
    """
    The job goes, as it arrived, to the `on_error` stage.
    """


@dataclass(frozen=True, slots=True)
class Part:
    """
    The job is taken apart: each job that it was collected from runs again alone.
    """


@dataclass(frozen=True, slots=True)
class Fail:
    """
    The job is recorded as a failure.
    """


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    How an attempt failed.

    `error` is the history's record: type, message, and what else is known. `kind` is `error` (the function raised, or
    ran out of time), `crash` (its process died), or `room` (a disk was full, which is not the job's fault).
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
    Decide about an attempt that failed.

    Args:
        trouble: what happened.
        stage: where.
        retries: repetitions that the job has used.
        crashes: crashes that it is charged with, not counting this one.
        most_crashes: how many crashes fail a job.
        collected: whether it was collected from several jobs and may be taken apart, which the first crash or the last
            attempt does.
        parted: whether it was taken out of such a job: it has one attempt, and shares the charge for the crash.
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
