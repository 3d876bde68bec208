"""
What expressions do with values whose type only a run knows. None is what is missing: it is empty, and no mistake.

Values are those of JSON, with tuples and frozen sets beside its lists.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn, cast

from oaflow.schemata import is_a as descends

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)

# Of longer lists, each value of one is looked for in a set of the other: two of 100,000 would take minutes.
_FEW = 32


class Unfit(Exception):
    """
    A value that an operation cannot do with. Becomes an EvaluationError, which knows the place.
    """


def item(value: Any, key: Any) -> Any:
    """
    What a mapping has under a key, or a list at a position; None where there is nothing.
    """
    if value.__class__ is dict:
        return value.get(key) if isinstance(key, str) else None
    if isinstance(value, list | tuple) and isinstance(key, int):
        items = cast("list[Any]", value)
        return items[key] if -len(items) <= key < len(items) else None
    return None


def properties_of(entity: Any) -> dict[str, Any]:
    """
    The properties of an entity as plain data; of anything else none.
    """
    found = entity.get("properties") if isinstance(entity, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def values_of(value: Any) -> list[str]:
    """
    The values of a property that is not a list, as only a careless program writes one.
    """
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple | set) else []


def values(entity: Any, name: str) -> list[str]:
    """
    The values that an entity has of a property.
    """
    found = properties_of(entity).get(name)
    return cast("list[str]", found) if found.__class__ is list else values_of(found)


def entities_of(payload: Mapping[str, Any]) -> list[Any]:
    """
    The entities in a payload.
    """
    found = payload.get("entities")
    return cast("list[Any]", found) if isinstance(found, list) else []


def each(value: Any) -> Iterable[Any]:
    """
    What is in a list; nothing where the value is missing.
    """
    if value is None:
        return ()
    if isinstance(value, list | tuple | frozenset | dict):
        return cast("Iterable[Any]", value)
    raise Unfit(f"{_named(value)} cannot be iterated")


def length(value: Any) -> int:
    """
    How many letters, members or keys there are.
    """
    if value is None:
        return 0
    if isinstance(value, str | list | tuple | frozenset | dict):
        return len(cast("list[Any]", value))
    raise Unfit(f"{_named(value)} has no length")


def counted(generator: Iterator[Any]) -> int:
    """
    How many values there are.
    """
    return sum(1 for _ in generator)


def least(found: Iterable[Any]) -> Any:
    """
    The smallest of the values that are there; None where none is.
    """
    return _extreme(min, found)


def greatest(found: Iterable[Any]) -> Any:
    """
    The largest of the values that are there; None where none is.
    """
    return _extreme(max, found)


def _extreme(choose: Callable[[list[Any]], Any], found: Iterable[Any]) -> Any:
    there = [value for value in found if value is not None]
    for value in there:
        _refuse_unordered(there[0], value)
    return choose(there) if there else None


def below(one: Any, other: Any) -> bool:
    """
    Whether `one < other`; False where one of them is missing, as in the three that follow.
    """
    return one is not None and other is not None and _refuse_unordered(one, other) and one < other


def at_most(one: Any, other: Any) -> bool:
    return one is not None and other is not None and _refuse_unordered(one, other) and one <= other


def above(one: Any, other: Any) -> bool:
    return one is not None and other is not None and _refuse_unordered(one, other) and one > other


def at_least(one: Any, other: Any) -> bool:
    return one is not None and other is not None and _refuse_unordered(one, other) and one >= other


def _refuse_unordered(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return True
    if isinstance(one, int | float) and isinstance(other, int | float):
        return True
    raise Unfit(f"{_named(one)} and {_named(other)} have no order")


def among(value: Any, container: Any) -> bool:
    """
    Whether a value is in a list, a key in a mapping, or a text in a text.
    """
    if container is None:
        return False
    if isinstance(container, str):
        if value is None:
            return False
        if isinstance(value, str):
            return value in container
        raise Unfit(f"{_named(value)} cannot be in a text")
    if isinstance(container, list | tuple):
        return value in container
    if isinstance(container, dict | frozenset):
        # Lists and mappings have no hash, and are not in there.
        return not isinstance(value, list | dict) and value in container
    raise Unfit(f"nothing can be in {_named(container)}")


def set_of(*members: Any) -> frozenset[Any]:
    """
    The set of some values.
    """
    for member in members:
        if isinstance(member, list | dict):
            raise Unfit(f"{_named(member)} cannot be in a set")
    return frozenset(members)


def is_a(entity: Any, *schemata: Any) -> bool:
    """
    Whether an entity is of a schema, or of one that descends from it.
    """
    schema = entity.get("schema") if isinstance(entity, dict) else None
    return isinstance(schema, str) and any(descends(schema, name) for name in _members(schemata, "no schema"))


def startswith(value: Any, *beginnings: Any) -> bool:
    """
    Whether a text, or one of a list of texts, begins with one of some others.
    """
    wanted = tuple(_members(beginnings, "an empty text to start with"))
    return any(text.startswith(wanted) for text in _texts(value))


def endswith(value: Any, *ends: Any) -> bool:
    """
    Whether a text, or one of a list of texts, ends with one of some others.
    """
    wanted = tuple(_members(ends, "no text to end with"))
    return any(text.endswith(wanted) for text in _texts(value))


def contains(value: Any, *parts: Any) -> bool:
    """
    Whether a text, or one of a list of texts, has one of some others in it.
    """
    wanted = tuple(_members(parts, "no text to look for"))
    return any(part in text for text in _texts(value) for part in wanted)


def matches(search: Callable[[bytes], object], value: Any) -> bool:
    """
    Whether a pattern is found in a text, or in one of a list of texts.
    """
    return any(search(text.encode("utf-8", "replace")) is not None for text in _texts(value))


def lower(value: Any) -> Any:
    """
    A text, or each of a list of texts, in lower case.
    """
    if value is None:
        return None
    return value.lower() if isinstance(value, str) else [text.lower() for text in _texts(value)]


def has(found: Any, *wanted: Any) -> bool:
    """
    Whether one of the wanted values is among those found.
    """
    there, asked = _all(found), list(_flat(wanted))
    if min(len(there), len(asked)) > _FEW:
        try:
            return not frozenset(there).isdisjoint(asked)
        except TypeError:
            pass  # lists and mappings have no hash
    return any(value in there for value in asked)


def lacks(found: Any, *wanted: Any) -> bool:
    """
    Whether none of the wanted values is among those found.
    """
    return not has(found, *wanted)


def others(found: Any, *known: Any) -> bool:
    """
    Whether some of the values found is none of those known.
    """
    there, flat = _all(found), list(_flat(known))
    if min(len(there), len(flat)) > _FEW:
        try:
            return not frozenset(flat).issuperset(there)
        except TypeError:
            pass
    return any(value not in flat for value in there)


def number(value: Any) -> int | float | None:
    """
    A text as a number, or the largest of a list; None where there is none.
    """
    numbers = [_read_number(one) for one in _all(value)]
    return max((found for found in numbers if found is not None), default=None)


def _read_number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    text = value.strip() if isinstance(value, str) else ""
    if _WHOLE.fullmatch(text):
        return int(text)
    # Not all that Python reads: `nan`, `inf` and `1_000` are no numbers in a document.
    read = float(text) if _NUMBER.fullmatch(text) else math.inf
    return read if math.isfinite(read) else None


def _all(value: Any) -> list[Any]:
    """
    The members of a list; a value alone is a list of one.
    """
    if value is None:
        return []
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple | frozenset) else [value]


def _flat(given: Iterable[Any]) -> Iterator[Any]:
    """
    Arguments, of which a list matches any of its members and what is missing for nothing.
    """
    for value in given:
        yield from _all(value)


def _texts(value: Any) -> Iterable[str]:
    """
    A text, or what is text in a list.
    """
    if isinstance(value, str):
        return (value,)
    if value is None:
        return ()
    if isinstance(value, list | tuple | frozenset):
        return [text for text in cast("list[Any]", value) if isinstance(text, str)]
    raise Unfit(f"{_named(value)} is no text")


def _members(given: Iterable[Any], otherwise: str) -> Iterator[str]:
    for value in _flat(given):
        if value is None:  # a param without a value, in a list
            continue
        if not isinstance(value, str):
            _refuse(value, otherwise)
        yield value


def _refuse(value: Any, otherwise: str) -> NoReturn:
    raise Unfit(f"{_named(value)} is {otherwise}")


def _named(value: Any) -> str:
    """
    What a value is, in a few words.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value if len(value) <= 40 else value[:37] + '...'!r}"
        case list() | tuple():
            return "a list"
        case frozenset():
            return "a set"
        case dict():
            return "a mapping"
        case _:
            return "what is missing" if value is None else f"a Python {type(value).__name__}"
