"""
The errors in what a stage function returned. Such an attempt is not repeated, because it would return the same again.

    RouteError
    |- NotAJobError            something other than a job
    |- TooManyJobsError        more jobs than can be handed over together
    |- StreamDiffersError      a repeated stream differs
    `- EmissionError           a job that cannot be written
    TimeoutError
    `- StageTimeoutError       an async stage took too long; this one may be repeated
"""

from collections.abc import Mapping
from inspect import isawaitable
from typing import Any

from pydantic import BaseModel

from oaflow.errors import JobError, RouteError
from oaflow.model import Out
from oaflow.runtime.troubles import storable


class NotAJobError(RouteError):
    """
    A stage returned something that is not a job.
    """

    def __init__(self, stage: str, value: Any) -> None:
        self.stage, self.found = stage, type(value).__name__
        help = "a stage returns a job, Out(port, job), an iterable of these, or None"
        match value:
            case Out(port=str() as port, job=sent):
                said = f"Out({_short(port)}, ...) of a {type(sent).__name__}"
                help = f"an Out has one job: [Out({port!r}, job) for job in jobs]"
            case Out(port=port, job=sent):
                said = f"Out({type(port).__name__}, {type(sent).__name__})"
                help = "the port comes first: Out('default', job)"
            case Mapping() | BaseModel():
                said = f"{self.found} {_short(value)}"
                help = 'what is to travel stands in the payload of a job: job.model_copy(update={"payload": ...})'
            case _:
                said = f"{self.found} {_short(value)}"
                if isawaitable(value):
                    help = "await it, in an `async def`"
        super().__init__(f"stage {stage!r} returned {said}, which is no job", help=help)


class TooManyJobsError(RouteError):
    """
    A stage returned more jobs than can be handed over together.
    """

    def __init__(self, stage: str, most: int) -> None:
        self.stage, self.most = stage, most
        super().__init__(
            f"stage {stage!r} returned more than {most:,} jobs, which are handed over together under 'emit: success'",
            help="say 'emit: stream' for the stage, and yield the jobs",
        )


class StreamDiffersError(RouteError):
    """
    A repeated attempt at a stream does not emit what earlier attempts handed over.
    """

    def __init__(self, stage: str, position: int, size: int) -> None:
        self.stage, self.position, self.size = stage, position, size
        super().__init__(
            f"stage {stage!r} repeated its stream, and it differs from what was handed over: the first difference is "
            f"in jobs {position} to {position + size - 1}",
            help="a stage with 'emit: stream' yields the same jobs in the same order each time",
        )


class EmissionError(RouteError):
    """
    A returned job cannot be written.

    Args:
        port: the one that it was returned on; None if it is the stage's own job, on its way to `on_error`.
    """

    def __init__(self, stage: str, problem: JobError, port: str | None) -> None:
        self.stage, self.problem, self.port = stage, problem, port
        on = "" if port is None else f" on port {port!r}"
        super().__init__(f"stage {stage!r} returned a job{on} that cannot be sent: {problem}", help=problem.help)


class StageTimeoutError(TimeoutError):
    """
    An async stage took longer than its `timeout`.
    """

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage, self.seconds = stage, seconds
        super().__init__(f"stage {stage!r} took longer than its timeout of {seconds:g} s")


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        return ""
    return storable(text if len(text) <= 80 else text[:77] + "...")
