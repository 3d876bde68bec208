"""
`oaflow route`: where one job would go, with each edge of its port, its condition, and the values that decided. Runs
nothing.
"""

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from oaflow.errors import UnknownPortError, UsageError
from oaflow.expressions import Expression
from oaflow.jobs import AnyJob, ForbiddenValueError, InvalidJobError, read_job
from oaflow.operations.programs import Program, without_required
from oaflow.plan import BoundStage, Condition, Facts, bind, check_params
from oaflow.printed import pipelines as printed
from oaflow.runtime.choosing import ConditionError, Share, choose
from oaflow.runtime.router import edges_of, entities_of, facts_of, route
from oaflow.schemata import SCHEMATA
from oaflow.spelling import did_you_mean

RUN = "example"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    How an edge decides about an entity, or about a job without entities: whether its condition holds, and the values
    that it read. `holds` is None if nothing is evaluated: for an `else`, for an edge without a condition, and with
    `choose: first` after the edge that takes it.
    """

    to: str
    condition: str
    holds: bool | None
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoutedEntity:
    """
    Where an entity goes; id and schema are None for a job without entities. Without edges, nothing takes it.

    Attributes:
        along: the edges that take it, each as the target stage and the condition as written in the file.
    """

    entity: str | None
    schema: str | None
    along: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]

    @property
    def to(self) -> tuple[str, ...]:
        """
        The stages that get it.
        """
        return tuple(to for to, _ in self.along)

    def as_json(self) -> printed.RoutedEntity:
        """
        The public form.
        """
        return {
            "entity": self.entity,
            "schema": self.schema,
            "to": list(self.to),
            "answers": [
                {"to": one.to, "condition": one.condition, "holds": one.holds, "values": dict(one.values)}
                for one in self.answers
            ],
        }


@dataclass(frozen=True, slots=True)
class Routing:
    """
    What becomes of a job that a stage returned on a port.

    Attributes:
        reason: why some entities go nowhere; None if all are taken.
        loads: stages whose incoming edges would read the entities from the store, where here they see only the given
            job.
        disabled: the stages that are off, with the reason.
    """

    stage: str
    port: str
    ways: tuple[RoutedEntity, ...]
    reason: str | None
    loads: tuple[str, ...]
    disabled: Mapping[str, str]

    def as_json(self) -> printed.Routing:
        """
        The public form.
        """
        return {
            "stage": self.stage,
            "port": self.port,
            "ways": [way.as_json() for way in self.ways],
            "reason": self.reason,
            "loads": list(self.loads),
            "disabled": dict(self.disabled),
        }


def routing_of(program: Program, stage: str, port: str, given: Any, params: Mapping[str, object]) -> Routing:
    """
    Where a job goes.

    Args:
        stage: the stage that returned it, on the port.
        given: the job as an author writes it: `entities` and `context`, or a list of entities.

    Raises:
        UsageError: the program has mistakes, or no such stage or port; or what was given is not a job, or has a value
            that a condition cannot use.
    """
    plan = without_required(program.checked())
    bound = bind(plan, check_params(plan, params), places=program.places())
    if stage not in bound.stages:
        why = f"stage {stage!r} is off: {bound.disabled[stage]}" if stage in bound.disabled else None
        raise UsageError(why or f"no stage is named {stage!r}", help=None if why else did_you_mean(stage, bound.stages))
    here = bound.stages[stage]
    job = example_job(given, here)
    try:
        edges = edges_of(here, port)
    except UnknownPortError as problem:
        help = did_you_mean(port, here.ports) or f"its ports are: {', '.join(here.ports)}"
        raise UsageError(f"stage {stage!r} has no port {port!r}", help=help) from problem
    # As written in the file, because bound conditions contain the values of params.
    written = [edge for edge in plan.stages[stage].edges if edge.port == port and edge.to in bound.stages]
    entities = entities_of(job)
    facts = facts_of(bound, job, RUN)
    conditional = port in here.conditions
    try:
        choice = choose(here, port, entities, facts) if conditional else None
    except ConditionError as problem:
        raise UsageError(str(problem)) from problem
    routed = route(bound, stage, job, [(port, job, choice)], run=RUN, job_id=0)
    shares: Sequence[Share] = choice.shares if choice is not None else [None] * len(edges)
    asked = here.conditions[port] if conditional else [Condition(edge, None, None) for edge in edges]
    return Routing(
        stage,
        port,
        tuple(
            RoutedEntity(
                entity["id"] if entity else None,
                entity["schema"] if entity else None,
                tuple(
                    (edge.to, edge.condition)
                    for edge, share in zip(written, shares, strict=True)
                    if share is None or number in share
                ),
                tuple(_answers(here, asked, facts, entity)),
            )
            for number, entity in enumerate(entities or [None])
        ),
        next((loss.reason for loss in routed.losses), None),
        tuple(edge.to for edge in edges if edge.load),
        bound.disabled,
    )


_KEYS = ("entities", "context", "dataset", "payload")


def _answers(
    stage: BoundStage, asked: Sequence[Condition], facts: Facts, entity: Mapping[str, Any] | None
) -> Iterator[Answer]:
    taken = False
    for edge, when, where in asked:
        holds: bool | None = None
        values: dict[str, Any] = {}
        if when is not None and not taken:
            holds, values = _asked(when, facts, None)
        if where is not None and not taken and holds is not False:
            holds, more = _asked(where, facts, entity) if entity is not None else (False, {})
            values |= more
        taken = taken or (stage.choose == "first" and (holds or edge.takes_all))
        yield Answer(edge.to, edge.condition, holds, values)


def _asked(expression: Expression, facts: Facts, entity: Mapping[str, Any] | None) -> tuple[bool, dict[str, Any]]:
    given: dict[str, Any] = {**facts._asdict(), "e": entity}
    return expression.holds(**given), expression.values(**given)


def read_example(name: str | None) -> Any:
    """
    A job from a JSON file, or FtM entities, one per line; `-` is stdin, and None an empty job.

    Raises:
        UsageError: it is not JSON.
    """
    if name is None:
        return {}
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name!r} cannot be read: {error.strerror}") from error
    shown = "stdin" if name == "-" else name
    raw = raw.removeprefix(BOM_UTF8)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        problem = error
    try:
        # In the form of `run -i`.
        return [orjson.loads(line) for line in raw.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise UsageError(f"{shown} is not JSON: {problem}", help=_EXAMPLE) from None


_EXAMPLE = '{"entities": [{"id": "a", "schema": "Document", "properties": {"language": ["rus"]}}], "context": {}}'


def example_job(given: Any, stage: BoundStage, dataset: str = "example") -> AnyJob:
    """
    A job that a stage could have returned: from a whole job, from its `entities`, `context` and `payload`, from a list
    of entities, or from one entity. An entity without an id gets its number.

    Raises:
        UsageError: it is none of these.
    """
    body: dict[str, Any]
    match given:
        case {"schema": str()}:
            body = {"payload": {"entities": [given]}}
        case list():
            body = {"payload": {"entities": given}}
        case {"payload": payload}:
            body = dict(cast("Mapping[str, Any]", given))
            # What an author writes next to the rest of the payload.
            beside = {key: body.pop(key) for key in ("entities", "context") if key in body}
            body["payload"] = {**payload, **beside} if isinstance(payload, Mapping) else payload
        case Mapping():
            members = cast("Mapping[str, Any]", given)
            if unknown := [key for key in members if key not in ("entities", "context", "dataset")]:
                raise UsageError(f"a job has no key {unknown[0]!r}", help=did_you_mean(unknown[0], _KEYS) or _EXAMPLE)
            body = {key: members[key] for key in members if key == "dataset"}
            body["payload"] = {key: members[key] for key in members if key != "dataset"}
        case _:
            raise UsageError("what was given is not a job", help=_EXAMPLE)
    payload = body.get("payload")
    if isinstance(payload, dict) and isinstance(entities := payload.get("entities"), list):
        body["payload"] = {**payload, "entities": [_named(entity, number) for number, entity in enumerate(entities, 1)]}
    if isinstance(payload, dict) and not isinstance(payload.get("context") or {}, Mapping):
        raise UsageError("the context of a job is a mapping", help=_EXAMPLE)
    try:
        job = read_job({"queue": stage.queue, "task": stage.task, "dataset": dataset, **body})
    except (InvalidJobError, ForbiddenValueError) as error:
        raise UsageError(str(error), help=_EXAMPLE) from error
    for entity in entities_of(job):
        if (schema := entity["schema"]) not in SCHEMATA:
            raise UsageError(f"FollowTheMoney has no schema {schema!r}", help=did_you_mean(schema, SCHEMATA))
    return job


def _named(entity: Any, number: int) -> Any:
    """
    An entity with an id, and with single values turned into lists.
    """
    if not isinstance(entity, dict):
        return entity
    properties = cast("Any", entity).get("properties")
    lists = (
        {key: value if isinstance(value, list) else [value] for key, value in properties.items()}
        if isinstance(properties, dict)
        else {}
    )
    return {"id": f"entity-{number}", **entity, "properties": lists}
