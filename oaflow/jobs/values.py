"""
Values that JSON in Postgres cannot hold, found where they are put in. Pure.

Refused are NUL characters, lone surrogates, NaN and infinity, and integers of more than 64 bits.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from oaflow.jobs.errors import ForbiddenValueError

# In the bytes of orjson a NUL is \u0000, and both None and NaN are null. A hit is only a suspicion: an escaped
# backslash before u0000, or the word null in a text, look the same.
_SUSPICIOUS = re.compile(rb"\\u0000|null")
_SURROGATE = re.compile("[\ud800-\udfff]")

# What orjson writes: signed and unsigned integers of 64 bits.
_LEAST, _GREATEST = -(2**63), 2**64 - 1


def refuse_forbidden(value: Any, place: str = "") -> None:
    """
    Look through a value at any depth.

    One dump and one search over its bytes (about 1 µs for a small payload); the value is walked only on a suspicion.

    Args:
        value: what a job or an entity holds.
        place: what the value is called in the message; without one, the keys of a mapping are the places.

    Raises:
        ForbiddenValueError: with the place of the first such value.
    """
    try:
        data = orjson.dumps(value)
    except TypeError:
        # Either a surrogate, or something that is no JSON yet (a set, a model): the walk tells.
        pass
    else:
        if _SUSPICIOUS.search(data) is None:
            return
    for where, what in _forbidden(value, place):
        raise ForbiddenValueError(where, what)


def places_of_type(value: Any, kind: str, place: str = "") -> Iterator[str]:
    """
    Where values of a class stand, which is named as Python shows it.
    """
    match value:
        case Mapping():
            for key, item in value.items():
                yield from places_of_type(item, kind, f"{place}.{key}" if place else str(key))
        case list() | tuple() | set() | frozenset():
            for index, item in enumerate(value):
                yield from places_of_type(item, kind, f"{place}[{index}]")
        case _:
            if str(type(value)) == f"<class '{kind}'>":
                yield place


def _forbidden(value: Any, place: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            if "\0" in value:
                yield place, "a NUL character"
            elif found := _SURROGATE.search(value):
                yield place, f"a lone surrogate (U+{ord(found[0]):04X})"
        case bool() | None:
            return
        case float():
            if not math.isfinite(value):
                yield place, "NaN" if math.isnan(value) else "an infinite number"
        case int():
            if not _LEAST <= value <= _GREATEST:
                yield place, "an integer of more than 64 bits"
        case Mapping():
            for key, item in value.items():
                yield from _forbidden(key, f"a key of {place or 'the job'}")
                yield from _forbidden(item, f"{place}.{key}" if place else str(key))
        case list() | tuple() | set() | frozenset():
            for index, item in enumerate(value):
                yield from _forbidden(item, f"{place}[{index}]")
        case _:
            return
