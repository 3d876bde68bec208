"""
Places in a text, as editors count them, from 0, and as diagnostics do. Pure.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from oaflow.diagnostics import Span
from oaflow.loader import BREAK

# YAML knows more line breaks than editors do.
_BREAK = re.compile("\r\n|\n|\r")

_HALF = re.compile("[\ud800-\udfff]")

# A line, and a position in it.
Position = tuple[int, int]

# What an editor counts in a line: bytes, pairs of them, or characters.
Units = Literal["utf-8", "utf-16", "utf-32"]


def readable(text: str) -> str:
    """
    A text in which no half of a pair of surrogates stands alone: an editor may send one, and nothing can read it.
    """
    return _HALF.sub("\ufffd", text)


@dataclass(frozen=True)
class Text:
    """
    What stands in an editor. Its own places are offsets: characters from its beginning.
    """

    source: str
    units: Units = "utf-16"

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in _BREAK.finditer(self.source))]

    @cached_property
    def _yaml_starts(self) -> list[int]:
        return [0, *(found.end() for found in BREAK.finditer(self.source))]

    def offset(self, position: Position) -> int:
        """
        The offset of an editor's position; of the nearest place where there is none.
        """
        line, units = position
        if line >= len(self._starts):
            return len(self.source)
        at = self._starts[line]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self.source)
        while units > 0 and at < end and self.source[at] not in "\r\n":
            units -= self._count(self.source[at])
            at += 1
        return at

    def position(self, offset: int) -> Position:
        """
        An offset as an editor counts.
        """
        line = bisect_right(self._starts, offset) - 1
        return line, self._count(self.source[self._starts[line] : offset])

    def place(self, offset: int) -> tuple[int, int]:
        """
        An offset as diagnostics count: line and column from 1.
        """
        line = bisect_right(self._yaml_starts, offset)
        return line, offset - self._yaml_starts[line - 1] + 1

    def ends(self, span: Span) -> tuple[int, int]:
        """
        The offsets at which a place of a diagnostic begins and ends; all of its line where it has no end.
        """
        if not span.line:
            return 0, 0
        start = self._of_yaml(span.line, span.column)
        end = self._of_yaml(span.end_line, span.end_column) if span.end_column else self._end_of_line(start)
        return start, max(start, end)

    def _of_yaml(self, line: int, column: int) -> int:
        starts = self._yaml_starts
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(self.source))

    def _end_of_line(self, offset: int) -> int:
        found = BREAK.search(self.source, offset)
        return found.start() if found else len(self.source)

    def _count(self, text: str) -> int:
        match self.units:
            case "utf-8":
                return len(text.encode())
            case "utf-16":
                return len(text) + sum(letter > "\uffff" for letter in text)
            case "utf-32":
                return len(text)
