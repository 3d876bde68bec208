"""
What changes for jobs from one plan to another, in words. Pure.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oaflow.plan.plans import Plan, PlannedEdge, PlannedParam, PlannedStage
from oaflow.quantities import duration_text, rate_text, size_text

Kind = Literal[
    "pipeline", "start", "param", "stage", "route", "condition", "option", "limit", "retry", "function", "flow"
]


@dataclass(frozen=True, slots=True)
class Change:
    """
    One difference. It belongs to a stage, to a param, or to the whole pipeline (both None); `text` is read below their
    name.
    """

    kind: Kind
    text: str
    stage: str | None = None
    param: str | None = None


def changes(old: Plan, new: Plan) -> list[Change]:
    """
    All that is different: what is of the whole pipeline, then by param, then by stage. Empty exactly where both plans
    have one digest.
    """
    # As they are named: what a canonical form leaves out is no difference.
    before, after = Plan.read(old.canonical()), Plan.read(new.canonical())
    return [*_of_pipeline(before, after), *_of_params(before.params, after.params), *_of_stages(before, after)]


def _of_pipeline(old: Plan, new: Plan) -> Iterator[Change]:
    if old.pipeline != new.pipeline:
        yield Change("pipeline", f"the pipeline is named {new.pipeline!r}, was {old.pipeline!r}")
    if old.start != new.start:
        yield Change("start", f"a run starts at {_names(new.start)}, was {_names(old.start)}")


def _of_params(old: Mapping[str, PlannedParam], new: Mapping[str, PlannedParam]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield Change("param", "is gone", param=name)
        elif name not in old:
            said = {"type": new[name].type} | new[name].model_dump(mode="json", exclude_defaults=True)
            yield Change("param", "is new: " + ", ".join(f"{k} {_value(v)}" for k, v in said.items()), param=name)
        else:
            before, after = old[name].model_dump(mode="json"), new[name].model_dump(mode="json")
            for key in before:
                if not _same(before[key], after[key]):
                    yield Change("param", f"{key} is {_value(after[key])}, was {_value(before[key])}", param=name)


def _of_stages(old: Plan, new: Plan) -> Iterator[Change]:
    for name in dict.fromkeys([*old.stages, *new.stages]):
        if name not in new.stages:
            yield Change("stage", f"is gone: {_where(old.stages[name])}", stage=name)
        elif name not in old.stages:
            stage = new.stages[name]
            leads = f", leads to {_names(dict.fromkeys(stage.targets))}" if stage.targets else ""
            yield Change("stage", f"is new: {_where(stage)}{leads}", stage=name)
        else:
            yield from _of_stage(name, old.stages[name], new.stages[name])


def _of_stage(name: str, old: PlannedStage, new: PlannedStage) -> Iterator[Change]:
    for key, (kind, word, shown) in _KEYS.items():
        before, after = getattr(old, key), getattr(new, key)
        if not _same(before, after):
            yield Change(kind, f"{word} is {shown(after)}, was {shown(before)}", stage=name)
    yield from (Change("option", text, stage=name) for text in _of_options(old.options, new.options))
    for key, shown in _RETRY.items():
        before, after = getattr(old.retry, key), getattr(new.retry, key)
        if before != after:
            yield Change("retry", f"retry: {key} is {shown(after)}, was {shown(before)}", stage=name)
    for port in dict.fromkeys(edge.port for edge in (*old.edges, *new.edges)):
        yield from _of_port(
            name, port, [e for e in old.edges if e.port == port], [e for e in new.edges if e.port == port]
        )
    for port in dict.fromkeys([*old.dropped, *new.dropped]):
        if (port in new.dropped) != (port in old.dropped):
            dropped = "is dropped" if port in new.dropped else "is no longer dropped"
            yield Change("route", f"what is emitted on port {port!r} {dropped}", stage=name)


def _of_options(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for option in dict.fromkeys([*old, *new]):
        if option not in new:
            yield f"option {option} is no longer given, was {_value(old[option])}"
        elif option not in old:
            yield f"option {option} is {_value(new[option])}, was not given"
        elif not _same(old[option], new[option]):
            yield f"option {option} is {_value(new[option])}, was {_value(old[option])}"


def _of_port(stage: str, port: str, old: Sequence[PlannedEdge], new: Sequence[PlannedEdge]) -> Iterator[Change]:
    gone, come = _without(old, new), _without(new, old)
    stay, stayed = _without(new, come), _without(old, gone)
    on = "" if port == "default" else f" on port {port!r}"
    for edge in come:
        # One that leads where one led before has been changed; which of several, nobody can know.
        before = next((other for other in gone if other.to == edge.to), None)
        if before is None:
            yield Change("route", f"leads to {edge.to!r}{on}{_taking(edge)}", stage=stage)
            continue
        gone.remove(before)
        stay.append(edge)
        stayed.append(before)
        way = f"the edge to {edge.to!r}{on}"
        if edge.condition != before.condition:
            taken, took = edge.condition or "all", before.condition or "all"
            yield Change("condition", f"{way} takes {taken}, took {took}", stage=stage)
        if edge.recurse != before.recurse:
            deep, was = _or_none(str)(edge.recurse), _or_none(str)(before.recurse)
            yield Change("limit", f"recurse of {way} is {deep}, was {was}", stage=stage)
        if edge.load != before.load:
            reads = "reads" if edge.load else "no longer reads"
            yield Change("condition", f"{way} {reads} the entities from the store before it decides", stage=stage)
    for edge in gone:
        yield Change("route", f"no longer leads to {edge.to!r}{on}", stage=stage)
    was, now = ([edge.to for edge in edges if edge in kept] for edges, kept in ((old, stayed), (new, stay)))
    if was != now:
        yield Change("route", f"tries its edges{on} in the order {_names(now)}, was {_names(was)}", stage=stage)


def _without(edges: Sequence[PlannedEdge], others: Sequence[PlannedEdge]) -> list[PlannedEdge]:
    """
    The edges that are not among the others; of equal ones so many as there are more.
    """
    left = list(others)
    found: list[PlannedEdge] = []
    for edge in edges:
        if edge in left:
            left.remove(edge)
        else:
            found.append(edge)
    return found


def _same(one: Any, other: Any) -> bool:
    # As JSON, where 1 is not true: a plan is named by what is written.
    return _written(one) == _written(other)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=lambda model: model.model_dump(mode="json"))


# --- in words ---


def _taking(edge: PlannedEdge) -> str:
    said = [edge.condition] if edge.condition else []
    said += [f"at most {edge.recurse} deep"] if edge.recurse is not None else []
    said += ["with the entities from the store"] if edge.load else []
    return f" ({', '.join(said)})" if said else ""


def _where(stage: PlannedStage) -> str:
    return f"{stage.task} on queue {stage.queue!r}" + (", external" if stage.external else "")


def _names(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return (
        value
        if isinstance(value, str) and value.isidentifier()
        else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )


def _or_none(shown: Callable[[Any], str]) -> Callable[[Any], str]:
    """
    The same for a value that may be missing, or is still open.
    """
    return lambda value: "none" if value is None else value if isinstance(value, str) else shown(value)


def _yes(value: bool | str) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _listed(names: Sequence[str] | None) -> str:
    return "not said" if names is None else _names(names)


def _collected(collect: Any) -> str:
    return "off" if collect is None else f"{collect.size} within {_or_none(duration_text)(collect.wait)}"


# All keys of a stage but `options`, `retry`, `edges` and `dropped`, which have parts of their own: what kind a change
# of it is, what it is called, and how a value is shown.
_KEYS: Mapping[str, tuple[Kind, str, Callable[[Any], str]]] = {
    "task": ("function", "task", str),
    "queue": ("function", "queue", repr),
    "external": ("function", "external", _yes),
    "enabled": ("flow", "enabled", _yes),
    "choose": ("route", "choose", str),
    "on_error": ("route", "on_error", lambda value: "none" if value is None else repr(value)),
    "timeout": ("limit", "timeout", _or_none(duration_text)),
    "memory": ("limit", "memory", _or_none(size_text)),
    "concurrency": ("limit", "concurrency", _or_none(str)),
    "rate": ("limit", "rate", _or_none(rate_text)),
    "priority": ("limit", "priority", str),
    "emit": ("flow", "emit", str),
    "split": ("flow", "split", _or_none(str)),
    "collect": ("flow", "collect", _collected),
    "join": ("flow", "join", lambda value: _names(value)),
    "lock": ("limit", "lock", _or_none(str)),
    "origin": ("flow", "origin", lambda value: "that of its name" if value is None else repr(value)),
    "accepts": ("function", "what its function accepts", _listed),
    "emits": ("function", "what its function emits", _or_none(_value)),
    "takes": ("function", "the type that its function takes", _or_none(str)),
    "gives": ("function", "the type that its function returns", _or_none(str)),
}

_RETRY: Mapping[str, Callable[[Any], str]] = {
    "max": _or_none(str),
    "backoff": str,
    "base": _or_none(duration_text),
    "cap": _or_none(duration_text),
}
