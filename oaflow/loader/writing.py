"""
Plain data becomes the text of a file, as a person would lay it out. Knows YAML, and nothing of pipelines.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import yaml
from yaml.resolver import Resolver

from oaflow.diagnostics import Path
from oaflow.loader.reading import scalar

# What is longer goes over several lines.
_WIDTH = 100

# A text with one of these is most often an expression, and those stand in quotes.
_QUOTED = frozenset("()[]{}<>=!\"'$")

# A text of several lines, with no blanks around it that YAML has marks for.
_SEVERAL = re.compile(r"\S.*\n.*\S\n?", re.DOTALL)

# No text is broken over lines.
_ENDLESS = 2**30

Apart = Callable[[Path, Any], bool]


def written(data: Mapping[str, Any], apart: Apart) -> str:
    """
    The text of a file that is read as this data: no anchors, no tags, quotes where they are needed.

    Args:
        apart: whether a list or mapping, which has a path, has a line for each of its members, and at the top an empty
            line around it. Others stand in brackets on one line, where they fit.
    """
    return "\n".join(_lines(data, (), apart)) + "\n"


def _lines(data: Any, path: Path, apart: Apart) -> Iterator[str]:
    """
    The lines of a list or mapping without brackets.
    """
    listed = isinstance(data, list)
    members = cast("list[tuple[Any, Any]]", list(enumerate(data) if listed else data.items()))
    before = True
    for number, (key, item) in enumerate(members):
        opened = _is_filled(item) and apart((*path, key), item)
        if number and len(path) < 2 and (opened or before):
            yield ""
        before = opened
        here = _emitted([item] if listed else {key: item})
        # Without brackets a list in a list is hard to read.
        fits = len(here[0]) + 2 * len(path) <= _WIDTH or (listed and isinstance(item, list))
        if not _is_filled(item) or (fits and not opened):
            yield from here
        elif listed:
            first, *rest = _lines(item, (*path, key), apart)
            yield f"- {first}"
            yield from _indented(rest)
        else:
            *rest, last = _emitted({key: {}})
            yield from (*rest, last.removesuffix(" {}"))
            yield from _indented(_lines(item, (*path, key), apart))


def _is_filled(item: Any) -> bool:
    return isinstance(item, list | dict) and bool(cast("Any", item))


def _indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)


def _emitted(data: Any) -> list[str]:
    """
    The lines of a list or mapping of one member, which stands on one line unless it is a text of several.
    """
    text: Any = yaml.emit(_events(data), Dumper=_Dumper, width=_ENDLESS, allow_unicode=True)
    return text.removesuffix("\n").split("\n")


def _events(data: Any) -> Iterator[yaml.Event]:
    yield yaml.StreamStartEvent()
    yield yaml.DocumentStartEvent(explicit=False)
    yield from _value(data, flow=False)
    yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _value(data: Any, *, flow: bool = True) -> Iterator[yaml.Event]:
    match data:
        case dict():
            yield yaml.MappingStartEvent(None, None, True, flow_style=flow)
            for key, item in cast("dict[str, Any]", data).items():
                yield from _value(key)
                yield from _value(item)
            yield yaml.MappingEndEvent()
        case list():
            yield yaml.SequenceStartEvent(None, None, True, flow_style=flow)
            for item in cast("list[Any]", data):
                yield from _value(item)
            yield yaml.SequenceEndEvent()
        case str():
            style = "|" if _SEVERAL.fullmatch(data) else None
            yield yaml.ScalarEvent(None, None, (_is_plain(data), True), data, style=style)
        case None | bool():
            word = "null" if data is None else str(data).lower()
            yield yaml.ScalarEvent(None, None, (True, False), word)
        case _:
            yield yaml.ScalarEvent(None, None, (True, False), repr(data))


_RESOLVER = Resolver()


def _is_plain(text: str) -> bool:
    """
    Whether a text without quotes is one for us and for those who read YAML 1.1, in which `no` is false.
    """
    event = yaml.ScalarEvent(None, None, (True, False), text)
    elsewhere = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
    return scalar(event) == text and elsewhere.endswith(":str") and not _QUOTED.intersection(text)


class _Dumper(yaml.SafeDumper):
    """
    Double quotes, but around what would need escapes in them.
    """

    def choose_scalar_style(self) -> str:
        style: str = super().choose_scalar_style()
        text = cast("yaml.ScalarEvent", self.event).value
        return '"' if style == "'" and '"' not in text and "\\" not in text else style
