"""
Answers that no assistant chokes on: of bounded size, and text from documents as text. Pure.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

# Letters of an answer, as JSON.
MOST = 60_000

# Items of a list and letters of a text that are kept, from generous to what is left of a tree of a million jobs.
_STEPS = ((100, 8_000), (50, 2_000), (20, 1_000), (10, 300), (3, 200), (1, 100))

# Names in a mapping: there are more only where documents name them.
_NAMES = 200


def bounded(answer: Any, *, page: str | None = None, most: int = MOST) -> Any:
    """
    An answer that is short enough, with what was left out of it under `left_out`.

    Args:
        page: the key of the list that is one of several parts: all its items stay, each with its share of the room.
        most: letters of it.
    """
    left: Counter[str] = Counter()
    whole = dict(answer)
    parts = whole.pop(page) if page is not None else []
    short = _short(whole, (), most, left)
    if page is not None:
        room = max(most // max(len(parts), 1), 1)
        short[page] = [_short(part, (page,), room, left) for part in parts]
    return {**short, "left_out": dict(left)}


def readable(text: str) -> str:
    """
    A text with control characters, lone surrogates and marks that turn the direction of writing as escapes; lines stay.
    """
    return "".join(letter if letter.isprintable() or letter in "\n\t" else _escaped(letter) for letter in text)


def _short(value: Any, path: tuple[str, ...], most: int, left: "Counter[str]") -> Any:
    short, lost = value, Counter[str]()
    for items, letters in _STEPS:
        lost = Counter[str]()
        short = _cut(value, path, items, letters, lost)
        if len(json.dumps(short, ensure_ascii=False, default=str)) <= most:
            break
    left.update(lost)
    return short


def _cut(value: Any, path: tuple[str, ...], items: int, letters: int, lost: "Counter[str]") -> Any:
    match value:
        case str():
            _count(lost, path, len(value) - letters)
            return readable(value[:letters])
        case dict():
            _count(lost, path, len(value) - _NAMES)
            return dict(_entries(value, path, items, letters, lost))
        case list() | tuple():
            _count(lost, path, len(value) - items)
            return [_cut(one, path, items, letters, lost) for one in value[:items]]
        case _:
            return value


def _entries(
    value: dict[str, Any], path: tuple[str, ...], items: int, letters: int, lost: "Counter[str]"
) -> Iterator[tuple[str, Any]]:
    for key in list(value)[:_NAMES]:
        yield readable(key), _cut(value[key], (*path, key), items, letters, lost)


def _count(lost: "Counter[str]", path: tuple[str, ...], number: int) -> None:
    if number > 0:
        lost[readable(".".join(path))] += number


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii", "replace")
