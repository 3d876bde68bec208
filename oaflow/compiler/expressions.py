"""
Phase 2: conditions and locks. Whether they can be read, what they name is there, and what they ask about travels. Pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from oaflow.compiler.conditions import NOT, as_written
from oaflow.compiler.places import part_of
from oaflow.compiler.quoting import quoted_expression
from oaflow.compiler.rules import expressions as rules
from oaflow.compiler.rules.names import UNKNOWN_PARAM
from oaflow.diagnostics import Diagnostic, Path, Rule, Span, Spans
from oaflow.expressions import (
    ExpressionError,
    Kind,
    Mistake,
    MistakeKind,
    Shape,
    check_mapping,
    compile_expression,
    of_param,
)
from oaflow.model import Edge, Pipeline, Where
from oaflow.schemata import STUB, travels

RULE_OF: Mapping[MistakeKind, Rule] = {
    "syntax": rules.BAD_EXPRESSION,
    "too-large": rules.LARGE_EXPRESSION,
    "interpolation": rules.INTERPOLATION,
    "lookalike": rules.LOOKALIKE_NAME,
    "not-allowed": rules.NOT_IN_EXPRESSIONS,
    "unknown-name": rules.UNKNOWN_NAME,
    "unknown-function": rules.UNKNOWN_FUNCTION,
    "unknown-param": UNKNOWN_PARAM,
    "unknown-field": rules.UNKNOWN_FIELD,
    "unknown-property": rules.UNKNOWN_PROPERTY,
    "unknown-schema": rules.UNKNOWN_SCHEMA,
    "list-compared": rules.LIST_COMPARED,
    "never": rules.NEVER_HOLDS,
    "always": rules.DECIDES_NOTHING,
    "wrong-argument": rules.WRONG_ARGUMENT,
    "bad-pattern": rules.BAD_PATTERN,
    "bad-value": rules.BAD_CONDITION_VALUE,
}


def check_expressions(pipeline: Pipeline, spans: Spans) -> Iterator[Diagnostic]:
    """
    Everything that is wrong with the conditions and locks of a pipeline.
    """
    # A path is seen from where the run starts: what it will be is not what is written.
    params = {
        name: of_param(param.type, () if "path" in (param.type, param.of) else param.choices or (), param.of)
        for name, param in pipeline.params.items()
    }
    if pipeline.defaults.lock is not None:
        yield from _expression(pipeline.defaults.lock, "lock", ("defaults", "lock"), params, spans).mistakes
    for name, stage in pipeline.stages.items():
        for edge in stage.next:
            path: Path = ("stages", name, *edge.place[:-1])
            for asked in _asked_by(edge, path, params, spans):
                yield from asked.mistakes
                yield from _left_behind(asked, edge, stage.external)
        if isinstance(stage.enabled, str):
            yield from _expression(stage.enabled, "enabled", ("stages", name, "enabled"), params, spans).mistakes
        if stage.lock is not None:
            yield from _expression(stage.lock, "lock", ("stages", name, "lock"), params, spans).mistakes


@dataclass(frozen=True)
class _Read:
    """
    A property that a condition reads; `load` reaches it, if it is one of the entity that is decided about.
    """

    name: str
    place: Callable[[], Span]
    loadable: bool


@dataclass(frozen=True)
class _Asked:
    """
    What is wrong with a condition, and what it reads.
    """

    mistakes: list[Diagnostic]
    reads: Sequence[_Read] = ()


def _asked_by(edge: Edge, path: Path, params: Mapping[str, Shape], spans: Spans) -> Iterator[_Asked]:
    if edge.when is not None:
        yield _expression(edge.when, "when", (*path, "when"), params, spans)
    if isinstance(edge.where, str):
        yield _expression(edge.where, "where", (*path, "where"), params, spans)
    elif edge.where is not None:
        yield _mapping(edge.where, (*path, "where"), spans)


def _expression(source: str, kind: Kind, path: Path, params: Mapping[str, Shape], spans: Spans) -> _Asked:
    def place(offset: int, length: int) -> Span:
        return part_of(spans, path, source, offset, length)

    try:
        expression = compile_expression(source, kind, params)
    except ExpressionError as problem:
        found = [
            Diagnostic(
                RULE_OF[one.kind], one.message, span := place(one.offset, one.length), one.help or _cut(one, span)
            )
            for one in problem.mistakes
        ]
        return _Asked(found)
    return _Asked([], [_Read(one.name, partial(place, one.offset, one.length), one.own) for one in expression.reads])


def _cut(mistake: Mistake, span: Span) -> str | None:
    """
    The help where YAML has taken the end of an expression for a comment.
    """
    return quoted_expression(span.source, comment=False) if mistake.kind == "syntax" and " #" in span.source else None


def _mapping(where: Where, path: Path, spans: Spans) -> _Asked:
    written = as_written(where)
    found = [
        Diagnostic(
            RULE_OF[one.kind],
            one.message,
            spans.key(*path, *one.path) if one.key else spans.value(*path, *one.path),
            one.help,
        )
        for one in check_mapping(written)
    ]
    names = [(name,) for name in written if name != NOT] + [(NOT, name) for name in written.get(NOT, ())]
    return _Asked(
        found, [_Read(name[-1], partial(spans.key, *path, *name), True) for name in names if name[-1] != "schema"]
    )


def _left_behind(asked: _Asked, edge: Edge, external: bool) -> Iterator[Diagnostic]:
    """
    What a condition reads, and does not travel.
    """
    for read in asked.reads:
        name = read.name
        if edge.load and read.loadable:
            continue
        if not travels(name):
            message = f"property {name!r} is not in the job: long texts stay in the store"
        elif external and name not in STUB:
            message = f"property {name!r} is not in the job: an external stage hands over stubs"
        else:
            continue
        if read.loadable:
            help = "add `load: true`, so that the edge reads it from the store"
        else:
            help = f"only entities are read from the store: use `where` with e.{name}, and `load: true`"
        yield Diagnostic(rules.NEEDS_LOAD, message, read.place(), help)
