"""
A checked pipeline, frozen: what a worker needs to route and run. No I/O, no compiler, no functions.

A `Plan` holds no values of params; `bind` fills them in and drops disabled stages. Routing takes a `BoundPlan` only.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from oaflow.errors import EnvironmentProblem
from oaflow.model import Choose, Emit, Retry, Where
from oaflow.plan.conditions import Condition, condition_text, conditions_of
from oaflow.plan.joins import feeders_of, followers_of, waits_of

FORMAT = 1

# The queue and the task of the job that takes the place of one of an external stage when that has come to its end, and
# holds what its service handed over (`oaflow.answer_v1`).
ANSWERS = ("oaflow", "oaflow.stages.answer")

# A value that is still open in a plan: exactly `${params.NAME}`.
Open = str

# A param that is filled in; behind another `$` it is text, which `$${` is written for.
REFERENCE = re.compile(r"(?<!\$)\$\{params\.([A-Za-z_][A-Za-z0-9_]*)\}")
ESCAPED = "$${"


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

    `when` decides over the whole job and `where` over each entity: expressions, or for `where` a mapping, in which
    params are still open. `rest` takes what no other edge of the port took. With `load` the entities are read from the
    store before it is decided.
    """

    to: str
    port: str = "default"
    recurse: int | None = None
    when: str | None = None
    where: str | Where | None = None
    rest: bool = False
    load: bool = False

    @property
    def condition(self) -> str:
        """
        What it takes, in the words of the file; empty where that is all.
        """
        return condition_text(self.when, self.where, self.rest)

    @property
    def takes_all(self) -> bool:
        """
        Whether no condition stands at it.
        """
        return self.when is None and self.where is None and not self.rest


class PlannedRetry(_Frozen):
    """
    A `Retry` whose members may still be open.
    """

    max: int | Open = 5
    backoff: str = "exponential"
    base: float | Open = 2.0
    cap: float | Open = 600.0


class PlannedCollect(_Frozen):
    """
    How many entities of several jobs are put into one, and for how many seconds the first of them waits for others.
    """

    size: int | Open
    wait: float | Open = 2.0


class PlannedStage(_Frozen):
    """
    One stage: what runs, on which queue, and where its output goes.

    `ports` are all ports that may be emitted on without an error: those wired by `edges`, and those in `dropped`.
    A stage with no edge and nothing dropped is an end: what it returns on any port is counted as ended.
    `options` are the keyword arguments of the function (`with` in a pipeline file).
    With `choose: first` the edges of a port are tried in order, and an entity goes along the first that takes it.
    `enabled` is a bool, or an expression on the params.
    `split` is the most entities of one of its jobs, `collect` what several are put together to. `join` are the stages
    that it waits for, or `run`.
    Of the jobs for which `lock`, an expression, has the same value, one at a time runs.
    `concurrency` is how many of its jobs may run at once, `rate` how many begin in a second, over all runs.
    """

    task: str
    queue: str
    edges: tuple[PlannedEdge, ...] = ()
    choose: Choose = "all"
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
    split: int | None = None
    collect: PlannedCollect | None = None
    join: tuple[str, ...] = ()
    lock: str | None = None
    concurrency: int | Open | None = None
    rate: float | Open | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """
        The stages that it leads to, `on_error` included.
        """
        return _targets(self.edges, self.on_error)

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

        Two files that differ only in the order of their keys are one plan, so the orders that come from keys are not in
        it: of edges on different ports, of dropped ports, of start stages. Edges on one port keep theirs.
        """
        body: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        body |= {"format": self.format, "start": sorted(self.start)}
        for name, stage in body["stages"].items():
            put_in_order(stage)
            if stage.get("origin") == f"{self.pipeline}/{name}":
                del stage["origin"]
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def read(cls, definition: bytes | str | Mapping[str, Any]) -> "Plan":
        """
        The plan from its canonical form, as bytes, text, or what a JSON column gives.

        Raises:
            EnvironmentProblem: the plan was made by a program with a later format than this one knows.
        """
        body = orjson.loads(definition) if isinstance(definition, bytes | str) else definition
        if (found := body.get("format")) != FORMAT:
            raise EnvironmentProblem(
                f"the plan of pipeline {body.get('pipeline')!r} has format {found}, but this program "
                f"reads format {FORMAT}",
                help="install the version of oaflow that made the plan",
            )
        return cls.model_validate(body)

    @cached_property
    def digest(self) -> str:
        """
        The name of the plan: SHA-256 of its canonical form, in hex.
        """
        return hashlib.sha256(self.canonical()).hexdigest()


def _port_of(edge: dict[str, Any]) -> str:
    return edge.get("port", "default")


def put_in_order(stage: dict[str, Any]) -> None:
    """
    Brings the dump of a stage into its canonical order, which does not depend on that of keys in a file.
    """
    if "edges" in stage:
        stage["edges"].sort(key=_port_of)
    for edge in stage.get("edges", ()):
        if isinstance(where := edge.get("where"), dict):
            _sort_values(where)
    for key in ("dropped", "accepts"):
        if stage.get(key):
            stage[key].sort()
    for schemata in (stage.get("emits") or {}).values():
        schemata.sort()
    stage.get("join", []).sort()


def _sort_values(where: dict[str, Any]) -> None:
    for wanted in where.values():
        if isinstance(wanted, dict):
            _sort_values(wanted)
        else:
            wanted.sort()


def _targets(edges: Iterable[PlannedEdge], on_error: str | None) -> tuple[str, ...]:
    return (*(edge.to for edge in edges), *([on_error] if on_error else []))


class BoundCollect(_Frozen):
    """
    A `PlannedCollect` in which nothing is open.
    """

    size: int
    wait: float


class BoundStage(_Frozen):
    """
    A stage of a run: nothing open is left in it. Times are seconds, `memory` is bytes, `rate` is in a second.

    `unwired` are ports that the plan wires only to stages that are disabled in this run: emitting on one is no error,
    and nothing takes it. `places` say where its expressions are written, as FILE:LINE:COLUMN: `lock`, and of an edge
    `PORT>STAGE.when` or `PORT>STAGE.where`. No plan has them, as what it does is the same wherever it stands.
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
    unwired: tuple[str, ...] = ()
    choose: Choose = "all"
    split: int | None = None
    collect: BoundCollect | None = None
    join: tuple[str, ...] = ()
    lock: str | None = None
    concurrency: int | None = None
    rate: float | None = None
    places: Mapping[str, str] = {}

    @property
    def lane(self) -> tuple[str, str]:
        """
        Queue and task, by which its jobs are claimed and limited.
        """
        return self.queue, self.task

    @property
    def targets(self) -> tuple[str, ...]:
        """
        The stages that it leads to, `on_error` included.
        """
        return _targets(self.edges, self.on_error)

    @cached_property
    def ports(self) -> tuple[str, ...]:
        """
        The ports that may be emitted on: those with edges, then those dropped, then those unwired.
        """
        return tuple(dict.fromkeys([*(edge.port for edge in self.edges), *self.dropped, *self.unwired]))

    @cached_property
    def edges_by_port(self) -> Mapping[str, tuple[PlannedEdge, ...]]:
        """
        The edges of each port that has any.
        """
        return {port: edges for port in self.ports if (edges := tuple(e for e in self.edges if e.port == port))}

    @cached_property
    def conditions(self) -> Mapping[str, tuple[Condition, ...]]:
        """
        Of each port at which not every edge takes all: what its edges take, in their order.
        """
        return {
            port: conditions_of(edges)
            for port, edges in self.edges_by_port.items()
            if self.choose == "first" or not all(edge.takes_all for edge in edges)
        }

    def port_of(self, queue: str) -> str:
        """
        The port on which an external stage emits what its service hands over to a queue: that of its name, or, where
        the plan names no such port, `default`.
        """
        return "default" if queue not in self.ports and "default" in self.ports else queue

    @property
    def end(self) -> bool:
        """
        Whether nothing follows, so that what is returned is counted as ended.
        """
        return not self.edges and not self.dropped and not self.unwired


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

    @cached_property
    def external(self) -> tuple[str, ...]:
        """
        The stages that live in services of their own.
        """
        return tuple(name for name, stage in self.stages.items() if stage.external)

    @cached_property
    def outward(self) -> frozenset[tuple[str, str]]:
        """
        The ports, each with its stage, from which some edge leads to an external stage.
        """
        return frozenset(
            (name, edge.port) for name, stage in self.stages.items() for edge in stage.edges if edge.to in self.external
        )

    @cached_property
    def joins(self) -> Mapping[str, frozenset[str]]:
        """
        The stages that each join waits for.
        """
        return waits_of(self.stages)

    @cached_property
    def collects(self) -> Mapping[str, frozenset[str]]:
        """
        The stages that collect, with all that lead to them.
        """
        collecting = [name for name, stage in self.stages.items() if stage.collect]
        return {name: feeders_of(self.stages, name) for name in collecting}

    @cached_property
    def rests(self) -> Mapping[str, frozenset[str]]:
        """
        The streams that rest where too much is open in what follows them, each with that.

        Not those that could wait for themselves: what follows would never come to an end while a job of theirs holds
        its lock, or its place among those of the same task.
        """
        streams = [name for name, stage in self.stages.items() if stage.emit == "stream" and stage.lock is None]
        following = {name: followers_of(self.stages, name) for name in streams}
        return {name: after for name, after in following.items() if after and not self._share_a_task(name, after)}

    def _share_a_task(self, name: str, others: Iterable[str]) -> bool:
        return any(self.stages[other].lane == self.stages[name].lane for other in others)

    @property
    def limits(self) -> list[tuple[str, str, int | None, float | None]]:
        """
        What has a limit: (queue, task, concurrency, rate), one for each stage that says so.
        """
        return [
            (stage.queue, stage.task, stage.concurrency, stage.rate)
            for stage in self.stages.values()
            if stage.concurrency is not None or stage.rate is not None
        ]

    def to_json(self) -> bytes:
        """
        The bound plan as JSON, to hand to another process.
        """
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, data: bytes) -> "BoundPlan":
        """
        What `to_json` wrote.
        """
        return cls.model_validate_json(data)


def origin_of_input(pipeline: str) -> str:
    """
    What the entities of `run -i` are signed with: like a stage's, with a name that no stage has.
    """
    return f"{pipeline}/-i"


def references(value: Any) -> set[str]:
    """
    The names of all params that a value mentions as `${params.NAME}`, at any depth.
    """
    match value:
        case str():
            return set(REFERENCE.findall(value))
        case Mapping():
            return set().union(*(references(item) for item in value.values())) if value else set()
        case list() | tuple():
            return set().union(*(references(item) for item in value)) if value else set()
        case _:
            return set()
