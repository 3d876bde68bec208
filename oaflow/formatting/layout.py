"""
What stands where in the text of a file: what is inside of scalars, comments, and the rest.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from oaflow.diagnostics import Path
from oaflow.loader import load_text

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


@dataclass(frozen=True)
class Comment:
    """
    A comment, with its place counted from 0. It is alone where nothing comes before it on its line.
    """

    line: int
    column: int
    text: str
    alone: bool


class Layout:
    """
    What stands where in a text.

    Args:
        opened: lists and mappings that are to be written without brackets, beside those over several lines.
    """

    def __init__(self, text: str, opened: Collection[Path] = ()) -> None:
        loaded = load_text(text)
        self.data, self.spans = loaded.data, loaded.spans
        self.lines = list(loaded.spans.lines)
        # Lines that a scalar goes on in: blanks and marks are part of it there.
        self.inside: set[int] = set()
        # The lines with all that is inside of scalars made the same.
        self.bare = list(self.lines)
        self.scalars = {path for path in loaded.spans.values if _is_scalar(self.data, path)}
        places = [loaded.spans.values[path] for path in self.scalars]
        # Lists and mappings over several lines: of those without brackets nothing changes.
        self.broken = {
            path[:length]
            for path, span in loaded.spans.values.items()
            for length in range(len(path))
            if span.line > loaded.spans.values[path[:length]].line
        } | set(opened)
        for span in (*places, *loaded.spans.keys.values()):
            self._cover(span.line - 1, span.column - 1, span.end_line - 1, span.end_column - 1)

    def _cover(self, line: int, column: int, end_line: int, end_column: int) -> None:
        block = self.lines[line][column : column + 1] in ("|", ">") if line < len(self.lines) else False
        for number in range(line, min(end_line + 1, len(self.lines))):
            if number > line and (number < end_line or end_column > 0):
                self.inside.add(number)
            if block and number == line:
                continue  # a comment may stand behind the mark
            start = column if number == line else 0
            end = end_column if number == end_line else len(self.bare[number])
            bare = self.bare[number]
            self.bare[number] = bare[:start] + "x" * (end - start) + bare[end:]

    @cached_property
    def comments(self) -> list[Comment]:
        return [
            Comment(number, 0, match[0].rstrip(), True)
            if number in self._marks
            else Comment(number, match.start(), match[0].rstrip(), not bare[: match.start()].strip())
            for number, bare in enumerate(self.bare)
            if (match := _COMMENT.search(bare)) is not None
        ]

    @cached_property
    def _marks(self) -> set[int]:
        """
        The lines of `---` before the one document, and of `...` behind it: ruamel.yaml would lose comments around them.
        """
        told = [number for number, bare in enumerate(self.bare) if bare.strip() and not bare.lstrip().startswith("#")]
        ends = (("---", told[:1]), ("...", told[-1:]))
        return {number for mark, numbers in ends for number in numbers if self.bare[number].split()[0] == mark}

    def to_be_read(self) -> Iterator[str]:
        """
        The lines as ruamel.yaml takes them: spaces for tabs between values, and comments that are alone at the left
        end, since behind a text of several lines it would write them into that text.
        """
        ends = {comment.line: comment for comment in self.comments}
        ended = False
        for number, (line, bare) in enumerate(zip(self.lines, self.bare, strict=True)):
            comment = ends.get(number)
            if number in self._marks:
                ended = bare.startswith("...")
            if comment is not None and comment.alone:
                yield comment.text
            elif number in self._marks:
                yield from filter(str.strip, [line[3:]])
            # Blanks behind the end would belong to a text of several lines before it.
            elif not ended:
                yield self._with_blanks(number, comment)
        if ended:
            yield ""

    def _with_blanks(self, number: int, comment: Comment | None) -> str:
        line, bare = self.lines[number], self.bare[number]
        end = 0 if number in self.inside else len(line) if comment is None else comment.column
        return "".join(" " if bare[at] == "\t" else line[at] for at in range(end)) + line[end:]

    def indent_of_next(self, line: int, step: int) -> int | None:
        """
        The indent of the nearest line in a direction that holds more than a comment and begins there.
        """
        return next(map(self.indent_of, self._beginning(line, step)), None)

    def around(self, comment: Comment) -> Path | None:
        """
        What the nearest line before a comment that begins as far in as it does is of, unless one farther out lies
        between.
        """
        line = next((at for at in self._beginning(comment.line, -1) if self.indent_of(at) <= comment.column), None)
        if line is None or self.indent_of(line) < comment.column:
            return None
        return self._first_on.get(line)

    @cached_property
    def _first_on(self) -> dict[int, Path]:
        """
        By line, the first of all that begins there.
        """
        first: dict[int, Path] = {}
        for path in self.spans.values:
            if path:
                first.setdefault(self.line_of(path), path)
        return first

    @cached_property
    def parts(self) -> dict[Path, list[Path]]:
        """
        By list or mapping, what stands in it.
        """
        parts: dict[Path, list[Path]] = {}
        for path in self.spans.values:
            if path:
                parts.setdefault(path[:-1], []).append(path)
        return parts

    def all_parts(self, path: Path) -> Iterator[Path]:
        """
        What stands in a list or mapping, and in what stands there.
        """
        for part in self.parts.get(path, ()):
            yield part
            yield from self.all_parts(part)

    def last_line_of(self, path: Path) -> int:
        """
        The line on which something ends, counted from 0.
        """
        return max(self.spans.values[part].end_line for part in (path, *self.all_parts(path))) - 1

    def line_of(self, path: Path) -> int:
        """
        The line on which something begins, counted from 0.
        """
        return self.spans.keys.get(path, self.spans.values[path]).line - 1

    def indent_of(self, line: int) -> int:
        """
        How far in a line begins.
        """
        return len(self.bare[line]) - len(self.bare[line].lstrip(" "))

    def _beginning(self, line: int, step: int) -> Iterator[int]:
        """
        The lines in a direction that hold more than a comment and begin there.
        """
        at = line + step
        while 0 <= at < len(self.lines):
            bare = self.bare[at].strip()
            if at not in self.inside and at not in self._marks and bare and not bare.startswith("#"):
                yield at
            at += step


def _is_scalar(data: Any, path: Path) -> bool:
    for part in path:
        data = data[part]
    return not isinstance(data, dict | list)
