"""
A checked pipeline, frozen: what a worker needs to route and run. No I/O, no compiler, no functions.

A `Plan` holds no values of params; `bind` fills them in and drops disabled stages. Routing takes a `BoundPlan` only.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from oaflow.model import Emit, Retry

FORMAT = 1

# A value that is still open in a plan: exactly `${params.NAME}`.
Open = str

_REFERENCE = re.compile(r"\$\{params\.([A-Za-z_][A-Za-z0-9_]*)\}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedParam(_Frozen):
    """
    A param as the run checks it: durations are seconds, sizes bytes, paths absolute.
    """

    type: Literal["string", "int", "float", "bool", "path", "list", "duration", "size", "choice"]
    of: str | None = None
    default: Any = None
    required: bool = False
    choices: tuple[Any, ...] | None = None
    env: str | None = None
    positional: bool = False
    remember: bool = False


class PlannedEdge(_Frozen):
    """
    Where what is emitted on `port` goes; `recurse` is the greatest depth of an edge that closes a cycle.
    """

    to: str
    port: str = "default"
    recurse: int | None = None


class PlannedRetry(_Frozen):
    """
    A `Retry` whose members may still be open.
    """

    max: int | Open = 5
    backoff: str = "exponential"
    base: float | Open = 2.0
    cap: float | Open = 600.0


class PlannedStage(_Frozen):
    """
    One stage: what runs, on which queue, and where its output goes.

    `ports` are all ports that may be emitted on without an error: those wired by `edges`, and those in `dropped`.
    A stage with no edge and nothing dropped is an end: what it returns on any port is counted as ended.
    `options` are the keyword arguments of the function (`with` in a pipeline file).
    `enabled` is a bool, or the name of the param that decides.
    """

    task: str
    queue: str
    edges: tuple[PlannedEdge, ...] = ()
    dropped: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}
    retry: PlannedRetry = PlannedRetry()
    timeout: float | Open | None = None
    memory: int | Open | None = 2 * 1024**3
    priority: int | Open = 50
    on_error: str | None = None
    emit: Emit = "success"
    enabled: bool | str = True
    external: bool = False
    origin: str | None = None
    accepts: tuple[str, ...] | None = None
    emits: Mapping[str, tuple[str, ...]] | None = None
    takes: str | None = None
    gives: str | None = None

    @property
    def end(self) -> bool:
        """
        Whether nothing follows, so that what is returned is counted as ended.
        """
        return not self.edges and not self.dropped


class Plan(_Frozen):
    """
    A pipeline that passed every check. Immutable, named by the SHA-256 of its canonical JSON.
    """

    format: int = FORMAT
    pipeline: str
    start: tuple[str, ...]
    params: Mapping[str, PlannedParam] = {}
    stages: Mapping[str, PlannedStage]

    def canonical(self) -> bytes:
        """
        The plan as canonical JSON: keys sorted, what equals the default left out, `format` always there.
        """
        body = self.model_dump(mode="json", exclude_defaults=True) | {"format": self.format}
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)

    @cached_property
    def digest(self) -> str:
        """
        The name of the plan: SHA-256 of its canonical form, in hex.
        """
        return hashlib.sha256(self.canonical()).hexdigest()


class BoundStage(_Frozen):
    """
    A stage of a run: nothing open is left in it. Times are seconds, `memory` is bytes.
    """

    name: str
    task: str
    queue: str
    edges: tuple[PlannedEdge, ...]
    dropped: tuple[str, ...]
    options: Mapping[str, Any]
    retry: Retry
    timeout: float | None
    memory: int | None
    priority: int
    on_error: str | None
    emit: Emit
    external: bool
    origin: str

    @cached_property
    def ports(self) -> tuple[str, ...]:
        """
        The ports that may be emitted on, in the order of the plan.
        """
        return tuple(dict.fromkeys([*(edge.port for edge in self.edges), *self.dropped]))

    @property
    def end(self) -> bool:
        """
        Whether nothing follows, so that what is returned is counted as ended.
        """
        return not self.edges and not self.dropped


class BoundPlan(_Frozen):
    """
    A plan with the values of one run's params filled in, and its disabled stages gone.

    `disabled` maps each stage that fell away to the reason. An edge to one of these is gone with it; what is emitted
    on a port of which no edge is left is counted as unmatched.
    """

    digest: str
    pipeline: str
    start: tuple[str, ...]
    params: Mapping[str, Any]
    stages: Mapping[str, BoundStage]
    disabled: Mapping[str, str] = {}


def references(value: Any) -> set[str]:
    """
    The names of all params that a value mentions as `${params.NAME}`, at any depth.
    """
    match value:
        case str():
            return set(_REFERENCE.findall(value))
        case Mapping():
            return set().union(*(references(item) for item in value.values())) if value else set()
        case list() | tuple():
            return set().union(*(references(item) for item in value)) if value else set()
        case _:
            return set()
