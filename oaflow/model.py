"""
What an author declared: frozen, closed to unknown keys, and mute. No file, no database, no import of a stage.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Emit = Literal["success", "stream", "always"]

# The attribute under which a decorated function carries its StageOptions.
STAGE_ATTRIBUTE = "__oaflow_stage__"


class Declaration(BaseModel):
    """
    Base of everything an author writes: immutable, and closed to unknown keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Retry(Declaration):
    """
    How often and how soon a failed attempt is repeated.

    `max` is repetitions after the first attempt. With `exponential`, repetition n waits `base * 2 ** (n - 1)` seconds,
    at most `cap`; with `none` there is no wait.
    """

    max: int = 5
    backoff: Literal["none", "exponential"] = "exponential"
    base: float = 2.0
    cap: float = 600.0

    def delay(self, repetition: int) -> float:
        """
        Seconds to wait before the given repetition, counted from 1.
        """
        if self.backoff == "none":
            return 0.0
        return min(self.cap, self.base * 2.0 ** min(repetition - 1, 60))


class StageOptions(Declaration):
    """
    What `@stage` attaches to a function: its own defaults for the keys of a stage, and what it promises.

    Durations are seconds, sizes are bytes. `ports` holds the names that the function may emit on. `accepts` and `emits`
    name FtM schemata; `emits` may be given per port.
    """

    queue: str | None = None
    ports: tuple[str, ...] = ("default",)
    emit: Emit = "success"
    retry: Retry | None = None
    timeout: float | None = None
    memory: int | None = None
    priority: int | None = None
    accepts: tuple[str, ...] | None = None
    emits: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None


def stage_options(function: Any) -> StageOptions | None:
    """
    The options of a decorated function, or None where it is not decorated.
    """
    options = getattr(function, STAGE_ATTRIBUTE, None)
    return options if isinstance(options, StageOptions) else None
