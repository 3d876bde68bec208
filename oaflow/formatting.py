"""
A pipeline file, written anew: one way of indents and spaces, with all comments, quotes and orders as they are.

Knows YAML, and nothing of pipelines. ruamel.yaml only writes here: what a file means is what the loader says, before
and after, and where that would change, nothing is written.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.resolver import VersionedResolver

from oaflow.diagnostics import Path
from oaflow.errors import UsageError
from oaflow.loader import load_text

# What an author wrote on one line stays on one.
_WIDTH = 2**20

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


class FormatError(UsageError):
    """
    A file that cannot be written anew as it is; `line` is where, counted from 1, or 0 where nobody knows.
    """

    def __init__(self, line: int, message: str, help: str) -> None:
        self.line = line
        super().__init__(message, help=help)


def formatted(text: str) -> str:
    """
    The text of a file that can be read, written anew.

    Raises:
        FormatError: a comment would be lost, or the file would mean something else.
    """
    before = _Layout(text)
    try:
        after = _Layout(_written(before))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 0 if mark is None else mark.line + 1
        raise FormatError(line, "this cannot be written anew", "write it in another form") from error
    kept = [comment.text for comment in after.comments]
    for comment in before.comments:
        if comment.text not in kept:
            # Inside of brackets; or behind a folded text that ends in blanks, as part of which it would be written.
            message = f"the comment {comment.text!r} stands where it would be lost"
            raise FormatError(comment.line + 1, message, "put it on a line of its own, before the key that it is for")
        kept.remove(comment.text)
    tidy = "\n".join(_tidied(before, after)).strip("\n") + "\n"
    # By how they are written down, where 1 is not true, and the order of keys counts.
    if repr(load_text(tidy).data) != repr(before.data):
        raise FormatError(0, "the file would mean something else then", "this is a bug of oaflow: leave it as it is")
    return tidy


class _AsWritten(VersionedResolver):
    """
    Takes every plain scalar for a text, so that `no`, `010` and `1_000` are written as they were; only nothing is
    nothing.
    """

    @property
    def versioned_resolver(self) -> Any:
        return {"": [("tag:yaml.org,2002:null", re.compile(r"\Z"))]}


def _written(layout: "_Layout") -> str:
    yaml: Any = YAML(typ="rt", pure=True)
    yaml.Resolver = _AsWritten
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    # `[{to: index}]` would become `[to: index]`.
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load("\n".join(layout.to_be_read()))
    _unfold(data, (), layout.broken)
    stream = StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def _unfold(node: Any, path: Path, broken: Collection[Path]) -> None:
    """
    Brackets that were broken over lines are written without brackets: on one line they would be too long.
    """
    if not isinstance(node, CommentedMap | CommentedSeq):
        return
    if path in broken:
        cast("Any", node).fa.set_block_style()
    for key, value in node.items() if isinstance(node, CommentedMap) else enumerate(cast("list[Any]", node)):
        _unfold(value, (*path, str(key) if isinstance(node, CommentedMap) else key), broken)


@dataclass(frozen=True)
class _Comment:
    """
    A comment, with its place counted from 0. It is alone where nothing stands before it on its line.
    """

    line: int
    column: int
    text: str
    alone: bool


class _Layout:
    """
    What stands where in a text: what is inside of scalars, comments, and the rest.
    """

    def __init__(self, text: str) -> None:
        loaded = load_text(text)
        self.data = loaded.data
        self.lines = list(loaded.spans.lines)
        # Lines that a scalar goes on in: blanks and marks are part of it there.
        self.inside: set[int] = set()
        self._bare = list(self.lines)
        scalars = {path for path in loaded.spans.values if _is_scalar(self.data, path)}
        places = [loaded.spans.values[path] for path in scalars]
        # Lists and mappings over several lines: of those without brackets nothing changes.
        self.broken = {
            path[:length]
            for path, span in loaded.spans.values.items()
            for length in range(len(path))
            if span.line > loaded.spans.values[path[:length]].line
        }
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
            end = end_column if number == end_line else len(self._bare[number])
            bare = self._bare[number]
            self._bare[number] = bare[:start] + "x" * (end - start) + bare[end:]

    @cached_property
    def comments(self) -> list[_Comment]:
        found = [(number, _COMMENT.search(bare)) for number, bare in enumerate(self._bare)]
        return [
            _Comment(number, match.start(), match[0].rstrip(), not self._bare[number][: match.start()].strip())
            for number, match in found
            if match is not None
        ]

    def to_be_read(self) -> Iterator[str]:
        """
        The lines as ruamel.yaml takes them: spaces for tabs between values, and comments that are alone at the left
        end, since behind a text of several lines it would write them into that text.
        """
        ends = {comment.line: comment for comment in self.comments}
        for number, (line, bare) in enumerate(zip(self.lines, self._bare, strict=True)):
            comment = ends.get(number)
            if comment is not None and comment.alone:
                yield comment.text
                continue
            end = 0 if number in self.inside else len(line) if comment is None else comment.column
            yield "".join(" " if bare[at] == "\t" else line[at] for at in range(end)) + line[end:]

    def indent_of_next(self, line: int, step: int) -> int | None:
        """
        The indent of the nearest line in a direction that holds more than a comment and begins there.
        """
        at = line + step
        while 0 <= at < len(self.lines):
            bare = self._bare[at].lstrip(" ")
            if at not in self.inside and bare.strip() and not bare.startswith("#"):
                return len(self._bare[at]) - len(bare)
            at += step
        return None


def _tidied(before: _Layout, after: _Layout) -> Iterator[str]:
    """
    The lines of what was written: comments indented as what they stood at, no two empty lines, no blanks at ends.
    """
    alone = [comment for comment in after.comments if comment.alone]
    stood = [comment for comment in before.comments if comment.alone]
    indents = {comment.line: _indent(before, after, was, comment) for comment, was in zip(alone, stood, strict=False)}
    empty = True
    for number, line in enumerate(after.lines):
        if number in after.inside:
            empty = False
            yield line
            continue
        line = line.rstrip()
        if not line and empty:
            continue
        empty = not line
        yield line if (indent := indents.get(number)) is None else " " * indent + line.lstrip()


def _indent(before: _Layout, after: _Layout, was: _Comment, comment: _Comment) -> int:
    """
    As far in as what it stood before, else as what it stood behind; where it was as neither, as what comes.
    """
    for step in (1, -1):
        if before.indent_of_next(was.line, step) == was.column:
            return after.indent_of_next(comment.line, step) or 0
    return after.indent_of_next(comment.line, 1) or 0


def _is_scalar(data: Any, path: Path) -> bool:
    for part in path:
        data = data[part]
    return not isinstance(data, dict | list)
