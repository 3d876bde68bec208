"""
A declared pipeline as the plain data that its author would write: the inverse of `shape`. Pure.

Shorthands where there are any, numbers with their units, and nothing that holds anyway.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

from oaflow.compiler.conditions import as_written
from oaflow.compiler.edges import DROP
from oaflow.diagnostics import Path
from oaflow.model import Case, Collect, Defaults, Edge, Param, Pipeline, Repeat, Stage
from oaflow.quantities import duration_text, rate_text, size_text

# What a stage is, what it gets, how it runs, and where its output goes.
ORDER = (
    "task", "description", "queue", "external", "enabled", "with", "join", "collect", "split", "lock", "emit",
    "timeout", "memory", "retry", "priority", "concurrency", "rate", "origin", "choose", "next", "on_error",
)  # fmt: skip


def as_data(pipeline: Pipeline) -> dict[str, Any]:
    """
    The keys of a pipeline file, in the order in which people write them. `parse_pipeline` makes the same pipeline of
    them.
    """
    return _said(
        {
            "pipeline": pipeline.name,
            "description": pipeline.description,
            "params": {name: _param(param) for name, param in pipeline.params.items()} or None,
            "defaults": _in_order(_common(pipeline.defaults)) or None,
            "start": _name_or_names(pipeline.start),
            "stages": {name: _stage(stage) for name, stage in pipeline.stages.items()},
            "tests": [_case(case) for case in pipeline.cases] or None,
        }
    )


def is_apart(path: Path, value: Any) -> bool:
    """
    Whether something in a pipeline file has a line for each of its members, however short they are.
    """
    match path:
        case () | (_,) | ("stages" | "tests", _):
            return True
        case ("stages", _, "next"):
            return any(isinstance(item, list | dict) for item in (value.values() if isinstance(value, dict) else value))
        case _:
            return False


def _said(members: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def _in_order(members: Mapping[str, Any]) -> dict[str, Any]:
    return {key: members[key] for key in ORDER if key in members}


def _name_or_names(names: tuple[str, ...]) -> str | list[str] | None:
    return (names[0] if len(names) == 1 else list(names)) if names else None


def _with_unit(value: Any, text: Callable[[Any], str]) -> Any:
    """
    A number as people write it. A reference to a param is a text already.
    """
    return value if value is None or isinstance(value, str) else text(value)


def _param(param: Param) -> dict[str, Any]:
    text = _VALUES.get(param.of or "string" if param.type == "list" else param.type)

    def value(given: Any) -> Any:
        if isinstance(given, list | tuple):
            return [value(item) for item in given]
        return given if text is None else _with_unit(given, text)

    return _said(
        {
            "type": param.type if param.type != "string" else None,
            "of": param.of,
            "default": value(param.default),
            "required": param.required or None,
            "choices": value(param.choices),
            "env": param.env,
            "positional": param.positional or None,
            "remember": param.remember or None,
            "help": param.help,
        }
    )


_VALUES: Mapping[str, Callable[[Any], str]] = {"duration": duration_text, "size": size_text}


def _stage(stage: Stage) -> dict[str, Any]:
    return _in_order(
        _common(stage)
        | _said(
            {
                "task": stage.task,
                "description": stage.description,
                "external": stage.external or None,
                "enabled": None if stage.enabled is True else stage.enabled,
                "with": dict(stage.options) or None,
                "join": _name_or_names(stage.join),
                "split": stage.split,
                "origin": stage.origin,
                "next": _next(stage),
                "on_error": stage.on_error,
            }
        )
    )


def _common(said: Stage | Defaults) -> dict[str, Any]:
    """
    The keys that a stage and `defaults` share.
    """
    return _said(
        {
            "queue": said.queue,
            "collect": _collect(said.collect),
            "lock": said.lock,
            "emit": said.emit,
            "timeout": _with_unit(said.timeout, duration_text),
            "memory": _with_unit(said.memory, size_text),
            "retry": _retry(said.retry),
            "priority": said.priority,
            "concurrency": said.concurrency,
            "rate": _with_unit(said.rate, rate_text),
            "choose": said.choose,
        }
    )


def _retry(retry: Repeat | None) -> Any:
    if retry is None:
        return None
    members = _said(
        {
            "max": retry.max,
            "backoff": retry.backoff,
            "base": _with_unit(retry.base, duration_text),
            "cap": _with_unit(retry.cap, duration_text),
        }
    )
    return retry.max if list(members) == ["max"] else members


def _collect(collect: Collect | bool | None) -> Any:
    if not isinstance(collect, Collect):
        return collect
    if collect.wait is None:
        return collect.size
    return {"size": collect.size, "wait": _with_unit(collect.wait, duration_text)}


def _next(stage: Stage) -> Any:
    if not stage.ports:
        return None
    if stage.ports == ("default",) and not stage.dropped:
        return _targets(stage.next)
    by_port = [(port, list(edges)) for port, edges in groupby(stage.next, lambda edge: edge.port)]
    if len(by_port) > len({port for port, _ in by_port}):
        # Edges of several ports in turn: their order is kept.
        return [_edge(edge, port=edge.port) for edge in stage.next]
    return {port: _targets(edges) for port, edges in by_port} | dict.fromkeys(stage.dropped, DROP)


def _targets(edges: Iterable[Edge]) -> Any:
    found = [_edge(edge) for edge in edges]
    return found[0] if len(found) == 1 else found


def _edge(edge: Edge, port: str | None = None) -> Any:
    members = _said(
        {
            "to": edge.to,
            "port": port,
            "when": edge.when,
            "where": as_written(edge.where) if isinstance(edge.where, Mapping) else edge.where,
            "else": edge.rest or None,
            "load": edge.load or None,
            "recurse": edge.recurse,
        }
    )
    return edge.to if list(members) == ["to"] else members


def _case(case: Case) -> dict[str, Any]:
    return _said(
        {
            "description": case.description,
            "at": case.at,
            "port": case.port if case.port != "default" else None,
            "params": dict(case.params) or None,
            "job": dict(case.job) or None,
            "expect": dict(case.expect),
        }
    )
