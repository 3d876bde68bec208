"""
Texts that somebody is still typing: what can be read of them, and where in the data a place of the text lies. Whatever
the text is, there is an answer, if an empty one.

YAML itself is asked: with a mark behind what is typed, the parser's events say inside of what the mark stands. Lines
that cannot be read are left out until the rest can.
"""

import math
from dataclasses import dataclass, field

import yaml

from oaflow.diagnostics import Path
from oaflow.loader.reading import BREAK, LARGEST, Loaded, events, load_text

# A character of no language.
_MARK = "\ue000"

# How what is typed may go on, where it is a value, a key, or a text in quotes.
_TAILS = ("", ": ", '"', "'")

# Lines that are left out at most.
_LEFT_OUT = 12


@dataclass(frozen=True, slots=True)
class Place:
    """
    What is being typed at a place of a text.

    Attributes:
        path: of the value; for a key that of the mapping which it will be in.
        written: what stands there already, as YAML reads it.
        key: whether it is a key.
        quoted: whether it stands in quotes, or in a block of text.
        beside: the keys that the mapping around it has before it.
    """

    path: Path
    written: str
    key: bool = False
    quoted: bool = False
    beside: tuple[str, ...] = ()


def load_unfinished(text: str) -> Loaded:
    """
    What can be read of a text, with its places; `data` is None where that is nothing.
    """
    loaded, lines = load_text(text), BREAK.split(text)
    for _ in range(_LEFT_OUT):
        if loaded.data is not None or not loaded.diagnostics:
            break
        first = loaded.diagnostics[0]
        suspects = {first.span.line, first.span.line - 1, *(span.line for _, span in first.notes)}
        tried = [(_without(lines, at), at) for at in sorted(suspects) if 0 < at <= len(lines) and lines[at - 1].strip()]
        if not tried:
            break
        # That line was the culprit without which the most can be read.
        loaded, at = max(tried, key=lambda one: _read_to(one[0]))
        lines[at - 1] = ""
    return loaded


def _without(lines: list[str], at: int) -> Loaded:
    return load_text("\n".join([*lines[: at - 1], "", *lines[at:]]))


def _read_to(loaded: Loaded) -> float:
    """
    The line up to which a text could be read.
    """
    return loaded.diagnostics[0].span.line if loaded.data is None and loaded.diagnostics else math.inf


def places(before: str) -> list[Place]:
    """
    What may be being typed at the end of a text; empty where that is nothing, as in a comment.

    Args:
        before: what stands before the cursor. What comes behind it does not count.
    """
    if len(before) > LARGEST or _MARK in before:
        return []
    lines = BREAK.split(before)
    for _ in range(_LEFT_OUT):
        found: dict[tuple[Path, bool], Place] = {}
        wrong = len(lines)
        for tail in _TAILS:
            place, line = _marked("\n".join(lines) + _MARK + tail)
            if place is not None:
                found.setdefault((place.path, place.key), place)
            elif line is not None:
                wrong = min(wrong, line)
            if place is not None and tail in ('"', "'"):
                break
        if found or wrong >= len(lines) - 1 or not lines[wrong].strip():
            return list(found.values())
        lines[wrong] = ""
    return []


@dataclass(slots=True)
class _Open:
    """
    A list or mapping that is not closed yet.
    """

    path: Path
    mapping: bool
    key: str | None = None
    keys: list[str] = field(default_factory=list[str])
    items: int = 0

    def inside(self) -> Path:
        return (*self.path, (self.key or "") if self.mapping else self.items)

    def went_on(self) -> None:
        """
        One value in it was read.
        """
        self.key = None
        self.items += 1


def _marked(text: str) -> tuple[Place | None, int | None]:
    """
    Where the mark stands; or the line, from 0, that keeps the text before it from being read.
    """
    around: list[_Open] = []
    try:
        for event in events(text):
            inner = around[-1] if around else None
            match event:
                case yaml.ScalarEvent() if inner is not None and inner.mapping and inner.key is None:
                    if _MARK in event.value:
                        written = event.value.partition(_MARK)[0]
                        return Place(inner.path, written, True, bool(event.style), tuple(inner.keys)), None
                    inner.key = event.value
                    inner.keys.append(event.value)
                case yaml.ScalarEvent() | yaml.AliasEvent():
                    value = event.value if isinstance(event, yaml.ScalarEvent) else event.anchor
                    if _MARK in value:
                        path, written = inner.inside() if inner else (), value.partition(_MARK)[0]
                        return Place(path, written, quoted=bool(getattr(event, "style", None))), None
                    if inner is not None:
                        inner.went_on()
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    path = inner.inside() if inner is not None else ()
                    around.append(_Open(path, isinstance(event, yaml.MappingStartEvent)))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    around.pop()
                    if around:
                        around[-1].went_on()
                case _:
                    pass
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark or error.problem_mark
        return None, mark.line if mark is not None else None
    except (yaml.YAMLError, RecursionError):
        return None, None
    return None, None
