"""
The mapping form of `where`, for the plain cases. It becomes an expression, so that there is one thing that decides.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from keyword import iskeyword
from typing import Any, cast

from oaflow.diagnostics import Path
from oaflow.expressions.compiling import Expression, compile_written
from oaflow.expressions.mistakes import ExpressionError, Mistake
from oaflow.schemata import ABSTRACT, SCHEMATA, descendants, properties, property_names
from oaflow.spelling import did_you_mean

SCHEMA, NOT = "schema", "not"
_GLOB = frozenset("*?[")
_CLASS = re.compile(r"\[(!?)(\]?[^\]]*)\]")


def check_mapping(mapping: Mapping[str, Any]) -> list[Mistake]:
    """
    What is wrong with a mapping as an author wrote it. Values may hold `${params.x}`, which only a run knows.
    """
    return list(_mistakes(mapping, ()))


def compile_mapping(mapping: Mapping[str, Any]) -> Expression:
    """
    The condition that a mapping means, once its params are filled in.

    Schemata with their descendants, and properties, are joined by and; a list is or; `not` means that none is. A value
    that is None is a param without a value: its key is left out.

    Raises:
        ExpressionError: with paths instead of places, as a param may have had a value that is none here.
    """
    filled = _filled(mapping)
    if mistakes := list(_mistakes(filled, ())):
        raise ExpressionError(str(dict(mapping)), mistakes)
    return compile_written(as_expression(filled))


def as_expression(mapping: Mapping[str, Any]) -> str:
    """
    The same as an expression: `{schema: Email, not: {language: eng}}` is
    `is_a(e, 'Email') and not (has(e.language, 'eng'))`.
    """
    tests = [_test(key, value) for key, value in mapping.items() if key != NOT]
    tests += [f"not ({_test(key, value)})" for key, value in mapping.get(NOT, {}).items()]
    return " and ".join(f"({test})" if " or " in test and len(tests) > 1 else test for test in tests) or "True"


def admitted(mapping: Mapping[str, Any]) -> frozenset[str]:
    """
    The schemata that an entity can have for which a mapping may hold: none is a mistake that is easily made.
    """
    found = {schema for schema in SCHEMATA if schema not in ABSTRACT}
    for key, value in mapping.items():
        if key == SCHEMA and not is_open(value):
            found &= {schema for name in _listed(value) for schema in descendants(name)}
        elif key == NOT:
            without = cast("Mapping[str, Any]", value).get(SCHEMA)
            if not is_open(without):
                found -= {schema for name in _listed(without) for schema in descendants(name)}
        elif key != SCHEMA and not is_open(value):
            found = {schema for schema in found if key in properties(schema)}
    return frozenset(found)


def reads(mapping: Mapping[str, Any]) -> frozenset[str]:
    """
    The properties that a mapping reads.
    """
    return frozenset(key for key in (*mapping, *mapping.get(NOT, {})) if key not in (SCHEMA, NOT))


def _mistakes(mapping: Mapping[str, Any], path: Path) -> Iterator[Mistake]:
    if not mapping and path:
        yield Mistake("bad-value", "`not` is empty and excludes nothing", "not: {KEY: VALUE}", path=path)
    for key, value in mapping.items():
        here = (*path, key)
        if key == NOT:
            yield from _negated(value, here)
        elif key == SCHEMA:
            for name, place in _places(value, here):
                if isinstance(name, str) and not is_open(name) and name not in SCHEMATA:
                    message = f"FollowTheMoney has no schema {name!r}"
                    yield Mistake("unknown-schema", message, did_you_mean(name, SCHEMATA), path=place)
            yield from _texts(value, here)
        elif key not in property_names():
            help = did_you_mean(key, (*property_names(), SCHEMA, NOT))
            yield Mistake("unknown-property", f"FollowTheMoney has no property {key!r}", help, path=here, key=True)
        else:
            yield from _texts(value, here)


def _negated(value: Any, path: Path) -> Iterator[Mistake]:
    if len(path) > 1:
        yield Mistake("bad-value", "`not` cannot contain `not`", "remove both", path=path, key=True)
    elif isinstance(value, Mapping):
        yield from _mistakes(cast("Mapping[str, Any]", value), path)
    else:
        yield Mistake("bad-value", "`not` is a mapping", "not: {KEY: VALUE}", path=path, key=value is None)


def _texts(value: Any, path: Path) -> Iterator[Mistake]:
    if isinstance(value, list | tuple) and not value:
        yield Mistake("bad-value", "the list is empty", "remove the key", path=path, key=True)
    for item, place in _places(value, path):
        match item:
            case str() if item:
                pass
            case str():
                yield Mistake("bad-value", "no value of an entity is an empty text", "take it out", path=place)
            case bool() | int() | float():
                text = str(item).lower() if isinstance(item, bool) else str(item)
                message = f"the values of an entity are texts, but this is {text}"
                yield Mistake("bad-value", message, f"put it in quotes: '{text}'", path=place)
            case _:
                message = "a value here is a text, or a list of texts"
                help = "an entity without the property: not: {...}" if item is None else None
                yield Mistake("bad-value", message, help, path=place, key=item is None)


def _filled(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """
    A mapping without the keys whose value is missing, and with numbers of params as texts.
    """
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if key == NOT and isinstance(value, Mapping):
            if inner := _filled(cast("Mapping[str, Any]", value)):
                found[key] = inner
        elif isinstance(value, list | tuple):
            flat = [_as_text(item) for one in cast("list[Any]", value) for item in _listed(one) if item is not None]
            if flat:
                found[key] = flat
        elif value is not None:
            found[key] = _as_text(value)
    return found


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _test(key: str, value: Any) -> str:
    values = list(dict.fromkeys(_listed(value)))
    if key == SCHEMA:
        return f"is_a(e, {_arguments(values)})"
    found = f"e[{key!r}]" if iskeyword(key) else f"e.{key}"
    exact = [value for value in values if _GLOB.isdisjoint(value)]
    globs = [_glob(found, value) for value in values if value not in exact]
    return " or ".join([f"has({found}, {_arguments(exact)})", *globs] if exact else globs)


def _glob(found: str, glob: str) -> str:
    """
    `*` stands for any letters, `?` for one, `[ab]` for one of these. The frequent forms need no pattern.
    """
    inner = glob.strip("*")
    if not inner:
        return f"len({found}) > 0"
    if not _GLOB.isdisjoint(inner):
        return f"matches({found}, {_pattern(glob)!r})"
    if not glob.startswith("*"):
        return f"startswith({found}, {inner!r})"
    return f"{'contains' if glob.endswith('*') else 'endswith'}({found}, {inner!r})"


def _pattern(glob: str) -> str:
    found, at = r"(?s)\A", 0
    while at < len(glob):
        letters = _CLASS.match(glob, at)
        if letters is not None and letters[2]:
            inner = re.sub(r"([\\\[\]^])", r"\\\1", letters[2])
            found, at = f"{found}[{'^' if letters[1] else ''}{inner}]", letters.end()
        else:
            found, at = found + _letter(glob[at]), at + 1
    return found + r"\z"


def _letter(letter: str) -> str:
    if letter in "*?":
        return ".*" if letter == "*" else "."
    return f"\\x{ord(letter):02x}" if letter < " " else re.escape(letter)


def _arguments(values: Iterable[str]) -> str:
    return ", ".join(map(repr, values))


def _places(value: Any, path: Path) -> list[tuple[Any, Path]]:
    if isinstance(value, list | tuple):
        return [(item, (*path, index)) for index, item in enumerate(cast("list[Any]", value))]
    return [(value, path)]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else [value]


def is_open(value: Any) -> bool:
    """
    Whether only a run knows it.
    """
    return any(isinstance(item, str) and "${" in item for item in _listed(value))
