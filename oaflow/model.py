"""
What an author declared: frozen, closed to unknown keys, and mute. No file, no database, no import of a stage.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

from oaflow.diagnostics import Path

# The language that this program reads (`oaflow: 1`).
LANGUAGE = 1

# A value that only a run knows: exactly `${params.NAME}`.
Open = str

ParamType = Literal["string", "int", "float", "bool", "path", "list", "duration", "size", "choice"]

Emit = Literal["success", "stream", "always"]

# Whether each edge of a port takes what it can, or an entity goes along the first that takes it.
Choose = Literal["all", "first"]

# The mapping form of `where`: for each key the values of which one must be there; `not` holds another such mapping.
Wanted = Mapping[str, tuple[str, ...]]
Where = Mapping[str, tuple[str, ...] | Wanted]

# How the name of a port is written.
PORT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

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


# With a default, so that `Out` alone may be written where nothing is to be said.
Sent = TypeVar("Sent", covariant=True, default=Any)


@dataclass(frozen=True)
class Out(Generic[Sent]):
    """
    A job on a named port of the stage that emits it; a bare job goes out on port `default`. `Out[Page]` says the class
    of the job.
    """

    port: str
    job: Sent


def stage_options(function: Any) -> StageOptions | None:
    """
    The options of a decorated function, or None where it is not decorated.
    """
    options = getattr(function, STAGE_ATTRIBUTE, None)
    return options if isinstance(options, StageOptions) else None


class Param(Declaration):
    """
    A value that each run may set. `default` and `choices` are as the author wrote them, and checked like a value.
    """

    type: ParamType = "string"
    of: ParamType | None = None
    default: Any = None
    required: bool = False
    help: str | None = None
    choices: tuple[Any, ...] | None = None
    env: str | None = None
    positional: bool = False
    remember: bool = False


class Edge(Declaration):
    """
    What is emitted on `port` goes to the stage `to`; `recurse` is the greatest depth of an edge that closes a cycle.

    `when` decides over the whole job and `where` over each entity: expressions, or for `where` a mapping. `rest` is
    the author's `else`: what no other edge of the port took. With `load` the entities are read from the store before
    it is decided.

    `place` leads from the stage to where the author wrote the target, for messages; it is no part of what the edge
    means.
    """

    to: str
    port: str = "default"
    recurse: int | None = None
    when: str | None = None
    where: str | Where | None = None
    rest: bool = False
    load: bool = False
    place: Path = Field(default=("next",), exclude=True, repr=False)

    @property
    def takes_all(self) -> bool:
        """
        Whether no condition stands at it.
        """
        return self.when is None and self.where is None and not self.rest


class Repeat(Declaration):
    """
    A `retry` as written: what was not said is None, to be taken from `defaults`, the decorator, or `Retry`.
    """

    max: int | Open | None = None
    backoff: Literal["none", "exponential"] | None = None
    base: float | Open | None = None
    cap: float | Open | None = None


class Collect(Declaration):
    """
    How many entities of several jobs are put into one, and for how many seconds the first of them may wait for others.
    """

    size: int | Open
    wait: float | Open | None = None


class Defaults(Declaration):
    """
    What holds for every stage that does not say otherwise. None: not said.
    """

    queue: str | None = None
    retry: Repeat | None = None
    timeout: float | Open | None = None
    memory: int | Open | None = None
    priority: int | Open | None = None
    emit: Emit | None = None
    choose: Choose | None = None
    collect: Collect | Literal[False] | None = None
    lock: str | None = None
    concurrency: int | Open | None = None
    rate: float | Open | None = None


class Stage(Declaration):
    """
    One stage as written, shorthands written out: durations are seconds, sizes are bytes, a rate is so many in a second.
    None: not said.

    `options` is the author's `with`. `dropped` are the ports that are deliberately not wired. `enabled` is a bool, or
    an expression on the params. `split` is the most entities of one of its jobs, `collect` what several are put
    together to, or False where they are not. `join` are the stages that it waits for, or `run`; empty where it is none.
    Of the jobs for which `lock`, an expression, has the same value, one at a time runs.
    """

    task: str
    queue: str | None = None
    next: tuple[Edge, ...] = ()
    choose: Choose | None = None
    dropped: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}
    retry: Repeat | None = None
    timeout: float | Open | None = None
    memory: int | Open | None = None
    priority: int | Open | None = None
    on_error: str | None = None
    emit: Emit | None = None
    enabled: bool | str = True
    external: bool = False
    origin: str | None = None
    description: str | None = None
    split: int | None = None
    collect: Collect | Literal[False] | None = None
    join: tuple[str, ...] = ()
    lock: str | None = None
    concurrency: int | Open | None = None
    rate: float | Open | None = None

    @property
    def ports(self) -> tuple[str, ...]:
        """
        All ports that the author wired or dropped, in the order written.
        """
        return tuple(dict.fromkeys([*(edge.port for edge in self.next), *self.dropped]))

    @property
    def targets(self) -> tuple[str, ...]:
        """
        The stages that it leads to, `on_error` included.
        """
        return (*(edge.to for edge in self.next), *([self.on_error] if self.on_error else []))


class Case(Declaration):
    """
    One of a pipeline's `tests`: the job that the function of the stage `at` returned on `port`, and how many of its
    entities (jobs, where it has none) are to go to which stages. `job` holds `entities`, `context` and `payload`.
    """

    at: str
    port: str = "default"
    params: Mapping[str, Any] = {}
    job: Mapping[str, Any] = {}
    expect: Mapping[str, int] = {}
    description: str | None = None


class Pipeline(Declaration):
    """
    A pipeline as written, and not yet checked beyond its shape. `start` is empty where the author named no entry.
    `cases` are its `tests`, which are no part of a plan.
    """

    name: str
    description: str | None = None
    params: Mapping[str, Param] = {}
    defaults: Defaults = Defaults()
    start: tuple[str, ...] = ()
    stages: Mapping[str, Stage]
    cases: tuple[Case, ...] = ()
