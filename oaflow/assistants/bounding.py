"""
Answers that no assistant chokes on: of bounded size, and text from documents as text. Pure.
"""

import itertools
import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

from oaflow.visible import visible

# Letters of an answer, as JSON.
MOST = 60_000

# Letters of a name in a mapping.
_NAME = 200

# Keys that are told to miss something, the most first, and letters of each.
_LEFT, _LEFT_NAME = 50, 150


class _Step(NamedTuple):
    """
    What is kept: items of a list, letters of a text, names in a mapping, and lists and mappings in one another. There
    are more names only where documents name them.
    """

    items: int
    letters: int
    names: int = 200
    depth: int = 200


# From generous to what is left of a tree of a million jobs, and of what no run holds.
_STEPS = (
    *(_Step(100, 8_000), _Step(50, 2_000), _Step(20, 1_000), _Step(10, 300), _Step(3, 200), _Step(1, 100)),
    *(_Step(1, 100, depth=32), _Step(1, 100, 100, 8), _Step(1, 100, 50, 4), _Step(1, 50, 50, 2), _Step(0, 20, 20, 0)),
)


def bounded(answer: Any, *, page: str | None = None, most: int = MOST) -> Any:
    """
    An answer that is short enough, with what was left out of it under `left_out`, which is no part of these letters.

    Args:
        page: the key of the list that is one of several parts: all its items stay, each with its share of the room.
        most: letters of it.
    """
    left: Counter[str] = Counter()
    whole = dict(answer)
    parts = whole.pop(page) if page is not None else []
    short = _short(whole, (), most if page is None else most // 2, left)
    if page is not None:
        room = (most - _letters(short)) // max(len(parts), 1)
        short[page] = [_short(part, (page,), room, left) for part in parts]
    return {**short, "left_out": _told(left)}


def _told(left: "Counter[str]") -> dict[str, int]:
    told = dict(left.most_common(_LEFT))
    rest = left.total() - sum(told.values())
    return {**told, "...": rest} if rest else told


def readable(text: str) -> str:
    """
    A text with control characters, lone surrogates and marks that turn the direction of writing as escapes; lines stay.
    """
    return visible(text, kept="\n\t")


def _short(value: Any, path: tuple[str, ...], most: int, left: "Counter[str]") -> Any:
    for step in _STEPS:
        lost = Counter[str]()
        short = _cut(value, path, step, 0, lost)
        if _letters(short) <= most:
            left.update(lost)
            return short
    _count(left, path, len(value))
    return {}


def _letters(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, default=str))


def _cut(value: Any, path: tuple[str, ...], step: _Step, depth: int, lost: "Counter[str]") -> Any:
    match value:
        case str():
            _count(lost, path, len(value) - step.letters)
            return readable(value[: step.letters])
        case dict():
            kept = list(value)[: step.names] if depth <= step.depth else []
            _count(lost, path, len(value) - len(kept))
            return dict(_entries(value, kept, path, step, depth, lost))
        case list() | tuple():
            kept = value[: step.items] if depth <= step.depth else []
            _count(lost, path, len(value) - len(kept))
            return [_cut(one, path, step, depth + 1, lost) for one in kept]
        case _:
            return value


def _entries(
    value: dict[str, Any], kept: Iterable[str], path: tuple[str, ...], step: _Step, depth: int, lost: "Counter[str]"
) -> Iterator[tuple[str, Any]]:
    taken: set[str] = set()
    for key in kept:
        _count(lost, path, len(key) - _NAME)
        name = _other_than(taken, readable(key[:_NAME]))
        taken.add(name)
        yield name, _cut(value[key], (*path, key[:_NAME]), step, depth + 1, lost)


def _other_than(taken: Container[str], name: str) -> str:
    """
    The name, with a number where it is taken: names that differ may be the same when they are escaped and cut.
    """
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], numbered) if one not in taken)


def _count(lost: "Counter[str]", path: tuple[str, ...], number: int) -> None:
    if number > 0:
        lost[readable(".".join(path)[:_LEFT_NAME])[:_LEFT_NAME]] += number
