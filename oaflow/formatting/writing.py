"""
How a file is written anew by ruamel.yaml, and put in order.

Knows YAML, and nothing of pipelines. ruamel.yaml only writes here: what a file means is what the loader says, before
and after, and where that would change, nothing is written.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from io import StringIO
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.resolver import VersionedResolver

from oaflow.diagnostics import Path
from oaflow.errors import UsageError
from oaflow.formatting.brackets import Inner, inside_of_brackets, put_back, without
from oaflow.formatting.layout import Comment, Layout
from oaflow.loader import load_text

# What an author wrote on one line stays on one.
_WIDTH = 2**20


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
    layout = Layout(text)
    inner = inside_of_brackets(layout)
    if not inner:
        return _in_order(layout)
    try:
        outer = _in_order(without(layout, inner))
    except FormatError as problem:
        raise FormatError(_line_in(problem.line, inner), str(problem), problem.help or "") from problem
    return _in_order(Layout(put_back(outer, inner)))


def _line_in(line: int, inner: Sequence[Inner]) -> int:
    """
    Where a line of a text without comments in brackets stands in the one with them.
    """
    for one in inner:
        if one.comment.alone and 0 < one.comment.line < line:
            line += 1
    return line


def _in_order(before: Layout) -> str:
    try:
        after = Layout(_written(before))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 0 if mark is None else mark.line + 1
        raise FormatError(line, "this cannot be formatted", "write it in another form") from error
    kept = [comment.text for comment in after.comments]
    for comment in before.comments:
        if comment.text not in kept:
            # Behind a folded text that ends in blanks, as part of which it would be written.
            message = f"the comment {comment.text!r} stands where it would be lost"
            raise FormatError(comment.line + 1, message, "put it on a line of its own, before the key that it is for")
        kept.remove(comment.text)
    tidy = "\n".join(_tidied(before, after)).strip("\n") + "\n"
    # By how they are written down, where 1 is not true, and the order of keys counts.
    if repr(load_text(tidy).data) != repr(before.data):
        raise FormatError(0, "this would change what the file means", "this is a bug of oaflow: leave it as it is")
    return tidy


class _AsWritten(VersionedResolver):
    """
    Takes every plain scalar for a text, so that `no`, `010` and `1_000` are written as they were; only nothing is
    nothing.
    """

    @property
    def versioned_resolver(self) -> Any:
        return {"": [("tag:yaml.org,2002:null", re.compile(r"\Z"))]}


def _written(layout: "Layout") -> str:
    yaml: Any = YAML(typ="rt", pure=True)
    yaml.Resolver = _AsWritten
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    # `[{to: index}]` would become `[to: index]`.
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    # An anchor that is given anew is good YAML.
    yaml.composer.warn_double_anchors = False
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


def _tidied(before: Layout, after: Layout) -> Iterator[str]:
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


def _indent(before: Layout, after: Layout, was: Comment, comment: Comment) -> int:
    """
    As far in as what it stood before, else as what it stood behind, else as that of which this is a part; where it was
    as none of them, as what comes.
    """
    for step in (1, -1):
        if before.indent_of_next(was.line, step) == was.column:
            return after.indent_of_next(comment.line, step) or 0
    if (around := before.around(was)) is not None:
        return after.indent_of(after.line_of(around))
    return after.indent_of_next(comment.line, 1) or 0
