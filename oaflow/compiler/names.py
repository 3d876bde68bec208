"""
Phase 2: whether what is named exists, and whether a param fits where it stands. Pure.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path as FilePath
from typing import Any, cast

from oaflow.compiler.conditions import as_written
from oaflow.compiler.planning import planned_param
from oaflow.compiler.rules import names as rules
from oaflow.compiler.rules.expressions import UNKNOWN_PROPERTY, UNKNOWN_SCHEMA
from oaflow.compiler.rules.shape import BAD_DEFAULT
from oaflow.diagnostics import Diagnostic, Path, Spans
from oaflow.errors import UsageError
from oaflow.model import Case, Defaults, Param, Pipeline, Stage
from oaflow.plan.binding import ALONE
from oaflow.plan.joins import RUN
from oaflow.plan.params import read_param
from oaflow.plan.plans import REFERENCE, origin_of_input
from oaflow.schemata import SCHEMATA, property_names
from oaflow.spelling import did_you_mean

# Which types of params may be the value of a key.
FITS: Mapping[str, tuple[str, ...]] = {
    "timeout": ("duration", "int", "float"),
    "memory": ("size", "int"),
    "priority": ("int",),
    "concurrency": ("int",),
    "rate": ("string", "choice"),
    "max": ("int",),
    "base": ("duration", "int", "float"),
    "cap": ("duration", "int", "float"),
    "size": ("int",),
    "wait": ("duration", "int", "float"),
    "enabled": ("bool",),
}

# So many names that might be meant are listed.
_SHOWN = 50


def check_names(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Everything that is wrong with the names of a pipeline, in the order of the file.
    """
    yield from _positional(pipeline.params, spans)
    for index, name in enumerate(pipeline.start):
        # `start` is a name or a list of names.
        path: Path = ("start", index) if ("start", index) in spans.values or not spans.values else ("start",)
        yield from _stage_exists(name, pipeline, spans, path)
    yield from _common(pipeline.defaults, ("defaults",), pipeline, spans)
    for name, stage in pipeline.stages.items():
        path = ("stages", name)
        for edge in stage.next:
            yield from _stage_exists(edge.to, pipeline, spans, (*path, *edge.place))
            if isinstance(edge.where, Mapping):
                yield from _options(as_written(edge.where), (*path, *edge.place[:-1], "where"), pipeline, spans)
        if stage.on_error is not None:
            yield from _stage_exists(stage.on_error, pipeline, spans, (*path, "on_error"))
        for index, other in enumerate(stage.join):
            place: Path = (*path, "join", index)
            if other != RUN:
                yield from _stage_exists(other, pipeline, spans, place if place in spans.values else place[:-1])
        yield from _options(stage.options, (*path, "with"), pipeline, spans)
        alone = ALONE.fullmatch(stage.enabled.strip()) if isinstance(stage.enabled, str) else None
        if alone and alone[1] in pipeline.params:
            # A text such as `off` would hold: alone it is true or false.
            yield from _param_fits(alone[1], "enabled", (*path, "enabled"), pipeline, spans)
        yield from _common(stage, path, pipeline, spans)
    if pipeline.defaults.lock or any(_has_expressions(stage) for stage in pipeline.stages.values()):
        # Loaded where there is one: reading expressions takes 20 ms that most pipelines need not wait for.
        from oaflow.compiler.expressions import check_expressions

        yield from check_expressions(pipeline, spans)
    yield from duplicate_origins(pipeline, spans)
    for index, case in enumerate(pipeline.cases):
        yield from _case(case, ("tests", index), pipeline, spans)


def _case(case: Case, path: Path, pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    yield from _stage_exists(case.at, pipeline, spans, (*path, "at"))
    for name in case.expect:
        yield from _stage_exists(name, pipeline, spans, (*path, "expect", name), key=True)
    for name, value in case.params.items():
        place = (*path, "params", name)
        if name not in pipeline.params:
            yield _unknown_param(name, place, pipeline, spans, key=True)
        elif value is not None and value != []:
            # As a run reads it, for which an empty value is none.
            try:
                read_param(name, planned_param(pipeline.params[name]), value, f"param {name!r}", FilePath("/"))
            except UsageError as error:
                yield Diagnostic(BAD_DEFAULT, str(error), spans.value(*place), error.help)
    stage = pipeline.stages.get(case.at)
    if stage is not None and stage.ports and case.port not in stage.ports:
        message = f"stage {case.at!r} does not wire port {case.port!r}"
        help = did_you_mean(case.port, stage.ports) or f"its ports are: {', '.join(stage.ports)}"
        yield Diagnostic(rules.UNKNOWN_PORT, message, spans.value(*path, "port"), help)
    for number, entity in enumerate(case.job.get("entities", ())):
        schema = entity["schema"]
        if schema not in SCHEMATA:
            help = did_you_mean(str(schema), SCHEMATA)
            message = f"FollowTheMoney has no schema {schema!r}"
            place = (*path, "job", "entities", number, "schema")
            yield Diagnostic(UNKNOWN_SCHEMA, message, spans.value(*place), help)
        # An entity would be read without it, and the test be about another one than was meant.
        for name in entity.get("properties", {}):
            if name not in property_names():
                message = f"FollowTheMoney has no property {name!r}"
                place = (*path, "job", "entities", number, "properties", name)
                yield Diagnostic(UNKNOWN_PROPERTY, message, spans.key(*place), did_you_mean(name, property_names()))


def _has_expressions(stage: Stage) -> bool:
    conditions = any(edge.when or edge.where for edge in stage.next)
    return conditions or stage.lock is not None or isinstance(stage.enabled, str)


def _stage_exists(
    name: str, pipeline: Pipeline, spans: Spans, path: Path, *, key: bool = False
) -> Iterator[Diagnostic]:
    if name not in pipeline.stages:
        help = did_you_mean(name, pipeline.stages) or f"the stages are: {_some(pipeline.stages)}"
        place = spans.key(*path) if key else spans.value(*path)
        yield Diagnostic(rules.UNKNOWN_STAGE, f"no stage is named {name!r}", place, help)


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(islice(names, _SHOWN)) + more


def _common(said: Stage | Defaults, path: Path, pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    members: list[tuple[str, Any, Path]] = [
        (key, getattr(said, key), (*path, key)) for key in ("timeout", "memory", "priority", "concurrency", "rate")
    ]
    for name, keys in (("retry", ("max", "base", "cap")), ("collect", ("size", "wait"))):
        if written := getattr(said, name):
            for key in keys:
                place = (*path, name, key)
                # `retry: 3` has no key `max` of its own.
                members.append((key, getattr(written, key), place if place in spans.values else place[:-1]))
    for key, value, place in members:
        if isinstance(value, str) and (whole := REFERENCE.fullmatch(value)):
            yield from _param_fits(whole[1], key, place, pipeline, spans)


def _param_fits(name: str, key: str, path: Path, pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    param = pipeline.params.get(name)
    if param is None:
        yield _unknown_param(name, path, pipeline, spans)
    elif param.type not in FITS[key]:
        wanted = " or ".join(FITS[key])
        yield Diagnostic(
            rules.PARAM_TYPE,
            f"param {name!r} is of type {param.type}, and {key!r} takes one of type {wanted}",
            spans.value(*path),
            f"declare it as `type: {FITS[key][0]}`",
            ((f"param {name!r} is declared here", spans.key("params", name)),),
        )


def _options(value: object, path: Path, pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    match value:
        case str():
            whole = REFERENCE.fullmatch(value)
            for found in REFERENCE.finditer(value):
                param = pipeline.params.get(found[1])
                if param is None:
                    yield _unknown_param(found[1], path, pipeline, spans)
                elif whole is None and _is_list(param):
                    yield Diagnostic(
                        rules.PARAM_TYPE,
                        f"param {found[1]!r} is a list, and cannot be inserted in a longer text",
                        spans.value(*path),
                        f"let ${{params.{found[1]}}} be the whole value",
                    )
        case Mapping():
            for key, item in cast("Mapping[str, object]", value).items():
                yield from _options(item, (*path, key), pipeline, spans)
        case list() | tuple():
            for index, item in enumerate(cast("list[object]", value)):
                yield from _options(item, (*path, index), pipeline, spans)
        case _:
            pass


def _is_list(param: Param) -> bool:
    return param.type == "list"


def _unknown_param(name: str, path: Path, pipeline: Pipeline, spans: Spans, *, key: bool = False) -> Diagnostic:
    help = did_you_mean(name, pipeline.params)
    if help is None and pipeline.params:
        help = f"the params are: {_some(pipeline.params)}"
    help = help or f"declare it: `params: {{{name}: {{...}}}}`"
    place = spans.key(*path) if key else spans.value(*path)
    return Diagnostic(rules.UNKNOWN_PARAM, f"no param is named {name!r}", place, help)


def _positional(params: Mapping[str, Param], spans: Spans) -> Iterator[Diagnostic]:
    names = [name for name, param in params.items() if param.positional]
    for name in names[1:]:
        yield Diagnostic(
            rules.TWO_POSITIONAL,
            f"params {names[0]!r} and {name!r} cannot both take the arguments after the pipeline's name",
            spans.key("params", name, "positional"),
            "set one of them with -p instead",
            (("the first is here", spans.key("params", names[0], "positional")),),
        )


def duplicate_origins(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Stages that would sign what they write like another one.
    """
    first: dict[str, str] = {}
    ours = {"oaflow": "jobs outside of pipelines do", origin_of_input(pipeline.name): "`oaflow run -i` does"}
    # Those that say an origin come last, so that the place is one that the author wrote.
    for name, stage in sorted(pipeline.stages.items(), key=lambda item: item[1].origin is not None):
        origin = stage.origin or f"{pipeline.name}/{name}"
        if origin in ours:
            yield Diagnostic(
                rules.DUPLICATE_ORIGIN,
                f"stage {name!r} signs with origin {origin!r}, as {ours[origin]}",
                spans.value("stages", name, "origin"),
                "give it another origin, or leave out `origin`",
            )
        other = first.setdefault(origin, name)
        if other != name:
            yield Diagnostic(
                rules.DUPLICATE_ORIGIN,
                f"stages {other!r} and {name!r} both sign with origin {origin!r}",
                spans.value("stages", name, "origin"),
                "give each an origin of its own, or leave out `origin`",
                ((f"stage {other!r} is here", spans.key("stages", other)),),
            )
