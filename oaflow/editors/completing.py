"""
What can be typed at a place of a pipeline file. Pure.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, Literal, get_args

from oaflow.compiler.edges import DROP
from oaflow.compiler.keys import REQUIRED, Key
from oaflow.compiler.shape import CHOICES, EMITS
from oaflow.diagnostics import Path
from oaflow.editors.documents import Document
from oaflow.editors.places import EXPRESSIONS, KEYS, mapping_at, part_at, value_at
from oaflow.expressions.grammar import FIELDS, FUNCTIONS, NAMES, USAGE
from oaflow.expressions.shapes import Sort
from oaflow.loader.unfinished import Place, places
from oaflow.model import ParamType
from oaflow.plan.joins import RUN
from oaflow.schemata import ABSTRACT, SCHEMATA, properties, property_names

OfferSort = Literal["key", "stage", "port", "param", "property", "schema", "function", "field", "value"]

_BOOLEANS = ("true", "false")
_TYPES = get_args(ParamType)

# Values that are words of the language, by key.
_VALUES: Mapping[str, tuple[str, ...]] = {
    "emit": EMITS,
    "choose": CHOICES,
    "backoff": ("none", "exponential"),
    "type": _TYPES,
    "of": tuple(name for name in _TYPES if name != "list"),
    "oaflow": ("1",),
    **dict.fromkeys(("external", "else", "load", "required", "positional", "remember", "enabled"), _BOOLEANS),
}

# The name that is being typed at the end of an expression, with what comes before its last dot.
_TYPED = re.compile(r"(?:([A-Za-z_][\w.]*)\.)?([A-Za-z_]\w*|)$", re.ASCII)
# The same where it is the key in brackets.
_KEY = re.compile(r"(?:^|(?<=[^\w.]))([A-Za-z_][\w.]*)\[\s*[\"']([A-Za-z_]\w*|)$", re.ASCII)
_QUOTE = re.compile(r"(?:\bis_a\([^()]*|\.schema\s*(?:==|!=|(?:not )?in [\[(][^\])]*)\s*)[\"']([A-Za-z]*)$")
_OPEN_QUOTE = re.compile(r"^(?:[^'\"]|'[^']*'|\"[^\"]*\")*(?:'[^']*|\"[^\"]*)$")
_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_.]*)$")


@dataclass(frozen=True, slots=True)
class Offer:
    """
    Something that can be typed.

    Attributes:
        written: how many characters of it stand before the cursor already.
        what: a few words beside it; `help` is a text in Markdown.
        inserted: what is written where that is more than its name.
    """

    name: str
    sort: OfferSort
    written: int
    what: str = ""
    help: str = ""
    inserted: str = ""


def offers(document: Document, offset: int) -> list[Offer]:
    """
    What can be typed at an offset of a text, each name once.
    """
    found: dict[str, Offer] = {}
    closed = document.source[offset : offset + 1] == "}"
    # A place that may be a value or a key takes what is one or the other.
    for place in places(document.source[:offset]):
        for offer in _keys(document, place) if place.key else _values(document, place, closed=closed):
            found.setdefault(offer.name, offer)
    return list(found.values())


def _keys(document: Document, place: Place) -> Iterator[Offer]:
    part, there = part_at(place.path), {*place.beside, *mapping_at(document.data, *place.path)} - {place.written}
    for name, key in KEYS.get(part, {}).items():
        if name not in there:
            yield _key(name, key, place)
    match part:
        case "next" if "to" not in there:
            for port in _open_ports(document, place.path, there):
                yield Offer(port, "port", len(place.written), "port", inserted=f"{port}: ")
        case "with":
            yield from _options(document, place, there)
        case "where" | "not":
            yield Offer("schema", "key", len(place.written), "schema", inserted="schema: ")
            if part == "where":
                yield Offer("not", "key", len(place.written), "none of these", inserted="not: ")
            yield from _properties(sorted(property_names()), place, ": ")
        case "properties":
            schema = value_at(document.data, (*place.path[:-1], "schema"))
            names = properties(schema) if isinstance(schema, str) and schema in SCHEMATA else property_names()
            yield from _properties(sorted(names), place, ": ")
        case "given":
            for name in document.params:
                yield Offer(name, "param", len(place.written), "param", inserted=f"{name}: ")
        case "expect":
            for name in document.stages:
                if name not in there:
                    yield Offer(name, "stage", len(place.written), "stage", inserted=f"{name}: ")
        case _:
            pass


def _key(name: str, key: Key, place: Place) -> Offer:
    return Offer(
        name,
        "key",
        len(place.written),
        key.without if key.without == REQUIRED else "",
        meaning(key),
        inserted=f"{name}: ",
    )


def meaning(key: Key) -> str:
    """
    What a key is for, in Markdown.
    """
    text = f"{key.meaning[0].upper()}{key.meaning[1:]}."
    return text if key.without in ("", REQUIRED) else f"{text}\n\nWithout it: {key.without}."


def _options(document: Document, place: Place, there: Collection[str]) -> Iterator[Offer]:
    function = document.function_of(str(place.path[1])) if len(place.path) > 1 else None
    # The first parameter is the job.
    for parameter in function.parameters[1:] if function else ():
        if parameter.kind in ("either", "keyword") and parameter.name not in there:
            what = REQUIRED if parameter.required else parameter.annotation or "option"
            yield Offer(parameter.name, "key", len(place.written), what, inserted=f"{parameter.name}: ")


def _properties(names: Iterable[str], place: Place, behind: str = "") -> Iterator[Offer]:
    for name in names:
        yield Offer(name, "property", len(place.written), "property", inserted=name + behind if behind else "")


def _open_ports(document: Document, path: Path, wired: Collection[str]) -> list[str]:
    """
    The ports of a stage's function that its `next` does not wire yet.
    """
    function = document.function_of(str(path[1])) if len(path) > 1 else None
    return [port for port in (function.options.ports if function else ("default",)) if port not in wired]


def _values(document: Document, place: Place, *, closed: bool) -> Iterator[Offer]:
    part, written = part_at(place.path), len(place.written)
    if (reference := _REFERENCE.search(place.written)) is not None and part not in EXPRESSIONS:
        for name, param in document.params.items():
            whole = f"params.{name}" if closed else f"params.{name}}}"
            yield Offer(f"params.{name}", "param", len(reference[1]), _type(param), inserted=whole)
        return
    if part in EXPRESSIONS and (place.quoted or place.written):
        yield from _in_expression(document, part, place.written)
        return
    match part:
        case "stage" | "join" | "next" | "targets" | "target":
            for name, stage in document.stages.items():
                yield Offer(name, "stage", written, "stage", _description(stage))
            if part == "join":
                yield Offer(RUN, "value", written, "all stages")
            if part == "targets" and not isinstance(place.path[-1], int):
                yield Offer(DROP, "value", written, "leads nowhere")
        case "port":
            function = document.function_of(str(place.path[1])) if place.path[0] == "stages" else None
            at = value_at(document.data, (*place.path[:-1], "at"))
            function = document.function_of(at) if isinstance(at, str) else function
            for port in function.options.ports if function else ("default",):
                yield Offer(port, "port", written, "port")
        case "schema" | "wanted" if place.path[-1] == "schema" or "schema" in place.path[-2:]:
            yield from _schemata(written)
        case _:
            for word in _VALUES.get(part, ()):
                yield Offer(word, "value", written)
            if part == "enabled":
                for name, param in document.params.items():
                    yield Offer(f"params.{name}", "param", written, _type(param))


def _schemata(written: int) -> Iterator[Offer]:
    for name in SCHEMATA:
        yield Offer(name, "schema", written, "schema, abstract" if name in ABSTRACT else "schema")


def _type(param: Any) -> str:
    found = param.get("type") if isinstance(param, Mapping) else None
    return found if isinstance(found, str) else "string"


def _description(stage: Any) -> str:
    found = stage.get("description") if isinstance(stage, Mapping) else None
    return found if isinstance(found, str) else ""


def _in_expression(document: Document, part: str, before: str) -> Iterator[Offer]:
    """
    What can be typed at the end of an expression.
    """
    if (quoted := _QUOTE.search(before)) is not None:
        yield from _schemata(len(quoted[1]))
        return
    key = _KEY.search(before)
    if key is not None and not _OPEN_QUOTE.match(before[: key.start()]):
        yield from _fields(document, key[1], len(key[2]))
        return
    typed = _TYPED.search(before)
    if _OPEN_QUOTE.match(before) or typed is None:
        return
    base, written = typed[1], len(typed[2])
    kind: Any = part
    if base is None:
        for name in NAMES[kind]:
            yield Offer(name, "field", written, "")
        for name in FUNCTIONS:
            yield Offer(name, "function", written, USAGE[name], inserted=f"{name}(")
    else:
        # `e.from` is no Python: that stands in brackets.
        yield from (offer for offer in _fields(document, base, written) if not iskeyword(offer.name))


def _fields(document: Document, base: str, written: int) -> Iterator[Offer]:
    """
    What stands behind the dot of a name, or in its brackets.
    """
    match base:
        case "params":
            for name, param in document.params.items():
                yield Offer(name, "param", written, _type(param))
        case "job" | "run" | "job.payload":
            sort = {"job": Sort.JOB, "run": Sort.RUN}.get(base, Sort.PAYLOAD)
            for name in FIELDS[sort]:
                yield Offer(name, "field", written, "field")
        # A name of one's own, as in `any(x.country for x in job.entities)`, is most often an entity.
        case _ if "." not in base and (base not in NAMES["where"] or base == "e"):
            for name in FIELDS[Sort.ENTITY]:
                yield Offer(name, "field", written, "text")
            yield from (Offer(name, "property", written, "property") for name in sorted(property_names()))
        case _:
            pass
