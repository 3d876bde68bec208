"""
What stands where in a pipeline file: which part of the language a path leads to, and where stages and params are
named. Pure, and for texts that are not finished: what is not as it should be is passed over.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oaflow.compiler import keys
from oaflow.compiler.edges import DROP
from oaflow.compiler.places import part_of
from oaflow.diagnostics import Path, Span, Spans
from oaflow.expressions import ExpressionError
from oaflow.expressions.reading import read
from oaflow.plan.joins import RUN

# Where a path leads, from where it came: by part of the language and key. `*` is any key, `#` any item of a list.
# What is not in here is named by the key itself.
_STEPS: Mapping[str, Mapping[str, str]] = {
    "pipeline": {"start": "stage"},
    "params": {"*": "param"},
    "stages": {"*": "stage keys"},
    "defaults": {},
    "stage keys": {"on_error": "stage"},
    "stage": {"#": "stage"},
    "join": {"#": "join"},
    "next": {"#": "target", **dict.fromkeys(keys.EDGE, ""), "to": "stage", "*": "targets"},
    "targets": {"#": "target", "to": "stage"},
    "target": {"to": "stage"},
    "where": {"*": "wanted"},
    "not": {"*": "wanted"},
    "wanted": {"#": "wanted"},
    "with": {"*": "option"},
    "option": {"*": "option", "#": "option"},
    "tests": {"#": "case"},
    "case": {"at": "stage", "params": "given"},
    "given": {"*": "option"},
    "expect": {"*": "count"},
    "entities": {"#": "entity"},
}

# The keys that a mapping has.
KEYS: Mapping[str, keys.Keys] = {
    "pipeline": keys.PIPELINE,
    "param": keys.PARAM,
    "defaults": {name: keys.STAGE[name] for name in keys.DEFAULTS},
    "stage keys": keys.STAGE,
    "retry": keys.RETRY,
    "collect": keys.COLLECT,
    "next": keys.EDGE,
    "targets": keys.EDGE,
    "target": keys.EDGE,
    "case": keys.CASE,
    "job": keys.JOB,
    "entity": keys.ENTITY,
}

# What is named by a text here is a stage.
_NAMES_STAGES = ("stage", "join", "next", "targets", "target")

EXPRESSIONS = ("when", "where", "lock", "enabled")

# A param as it is read in an expression, where a text in quotes is one match; and as it is filled in elsewhere.
_READ = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?<![\w.])params(?:\.|\[[ ]*['\"])(?P<name>[A-Za-z_]\w*)['\"]?",
    re.ASCII,
)
_FILLED_IN = re.compile(r"(?<!\$)\$\{params\.(?P<name>[A-Za-z_]\w*)\}", re.ASCII)


def part_at(path: Path) -> str:
    """
    The part of the language that a path leads to: `pipeline`, `stage keys`, `stage` (the name of one), `where`, ...
    """
    part = "pipeline"
    for step in path:
        steps = _STEPS.get(part, {})
        if isinstance(step, int):
            part = steps.get("#", "")
        else:
            not_under_not = part == "where" and step == "not"
            part = (step if not_under_not else steps.get(step, steps.get("*"))) or step
    return part


def value_at(data: Any, path: Path) -> Any:
    """
    What the data has at a path; None where it has nothing.
    """
    for step in path:
        match data:
            case Mapping():
                data = data.get(step)
            case list() if isinstance(step, int) and step < len(data):
                data = data[step]
            case _:
                return None
    return data


def mapping_at(data: Any, *path: str | int) -> Mapping[str, Any]:
    """
    The mapping at a path; an empty one where there is none.
    """
    found = value_at(data, path)
    return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Named:
    """
    A place where a stage or a param is named. The span is that of the name alone, without quotes.
    """

    kind: Literal["stage", "param"]
    name: str
    span: Span
    path: Path
    definition: bool = False


def all_named(data: Any, spans: Spans) -> Iterator[Named]:
    """
    All places where stages and params are named, each once.
    """
    seen: set[tuple[int, int]] = set()
    for named in _all_named(data, spans):
        place = (named.span.line, named.span.column)
        # What an alias repeats is written once.
        if place not in seen:
            seen.add(place)
            yield named


def _all_named(data: Any, spans: Spans) -> Iterator[Named]:
    for path, span in spans.keys.items():
        part, name = part_at(path[:-1]), str(path[-1])
        if part in ("stages", "expect"):
            yield Named("stage", name, _unquoted(span), path, definition=part == "stages")
        elif part in ("params", "given"):
            yield Named("param", name, _unquoted(span), path, definition=part == "params")
    for path in spans.values:
        value, part = value_at(data, path), part_at(path)
        if not isinstance(value, str):
            continue
        for found in (_READ if part in EXPRESSIONS else _FILLED_IN).finditer(value):
            if name := found["name"]:
                span = part_of(spans, path, value, found.start("name"), len(name))
                yield Named("param", name, span, path)
        if part in EXPRESSIONS:
            yield from _in_expression(value, path, spans)
        elif part in _NAMES_STAGES and value != (RUN if part == "join" else DROP):
            yield Named("stage", value, part_of(spans, path, value, 0, len(value)), path)


def _unquoted(span: Span) -> Span:
    quoted = span.source[span.column - 1 : span.column] in ("'", '"')
    return span._replace(column=span.column + 1, end_column=span.end_column - 1) if quoted else span


def _in_expression(text: str, path: Path, spans: Spans) -> Iterator[Named]:
    """
    The stages that an expression compares with `job.context.error.stage`.
    """
    if ".stage" not in text:
        return
    try:
        tree, written = read(text)
    except ExpressionError:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if not any(isinstance(side, ast.Attribute) and side.attr == "stage" for side in sides):
            continue
        for one in (inner for side in sides for inner in ast.walk(side)):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                start, length = written.of(one)
                at = text.find(one.value, start, start + length)
                # Not there where it is written with escapes, or in pieces.
                if at >= 0:
                    yield Named("stage", one.value, part_of(spans, path, text, at, len(one.value)), path)


def path_at(spans: Spans, line: int, column: int) -> tuple[Path, bool] | None:
    """
    What stands at a place, counted as diagnostics do: its path, and whether it is a key. None where nothing does.
    """
    for path, span in spans.keys.items():
        if _within(span, line, column):
            return path, True
    inside = [span for span in spans.values.values() if _within(span, line, column)]
    if not inside:
        return None
    inner = max(inside, key=lambda span: (len(span.path), span.line, span.column))
    return inner.path, False


def _within(span: Span, line: int, column: int) -> bool:
    return (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column)
