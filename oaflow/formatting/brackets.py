"""
Comments inside of brackets, which ruamel.yaml would lose: they are taken out before a file is written anew, and put
back beside what they stood at. Brackets around a comment are written without brackets, as a comment ends its line.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from oaflow.diagnostics import Path
from oaflow.formatting.layout import Comment, Layout

# A line and a column, from 0.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Inner:
    """
    A comment inside of the brackets of `within`: on a line of its own before what stands at `path` or after it, or
    beside it.
    """

    comment: Comment
    within: Path
    path: Path
    where: Literal["before", "beside", "after"]


class _Node(NamedTuple):
    """
    What stands between brackets, with where it begins (its key, where it has one).
    """

    path: Path
    begins: Place


def inside_of_brackets(layout: Layout) -> list[Inner]:
    """
    The comments of a text that stand inside of brackets, in order.
    """
    found: list[Inner] = []
    brackets = {
        (span.line - 1, span.column - 1): path
        for path, span in layout.spans.values.items()
        if path not in layout.scalars
    }
    ends = {comment.line: comment for comment in layout.comments}
    around: list[Path] = []
    for number, line in enumerate(layout.bare):
        comment = ends.get(number)
        for column, letter in enumerate(line if comment is None else line[: comment.column]):
            if letter in "[{" and (number, column) in brackets:
                around.append(brackets[number, column])
            elif letter in "]}" and around:
                around.pop()
        if comment is not None and around:
            found.append(_told_of(comment, around[-1], _nodes(layout, around[-1])))
    return found


def _nodes(layout: Layout, within: Path) -> list[_Node]:
    spans = layout.spans
    places = [(path, spans.keys.get(path, spans.values[path])) for path in layout.parts.get(within, ())]
    return sorted((_Node(path, (at.line - 1, at.column - 1)) for path, at in places), key=lambda node: node.begins)


def _told_of(comment: Comment, within: Path, nodes: Sequence[_Node]) -> Inner:
    """
    What a comment stands at: what it is beside, else what comes next, else what came last.
    """
    here = (comment.line, comment.column)
    earlier = [node.path for node in nodes if node.begins < here]
    later = [node.path for node in nodes if node.begins > here]
    if comment.alone and later:
        return Inner(comment, within, later[0], "before")
    if comment.alone and earlier:
        return Inner(comment, within, earlier[-1], "after")
    return Inner(comment, within, earlier[-1] if earlier else within, "beside")


def without(layout: Layout, inner: Sequence[Inner]) -> Layout:
    """
    The text without these comments, whose brackets are to be opened.
    """
    ends = {one.comment.line: one.comment for one in inner}
    lines = [
        line if number not in ends else line[: ends[number].column].rstrip()
        for number, line in enumerate(layout.lines)
        if number not in ends or not ends[number].alone
    ]
    # By the way to what is in them: empty ones have no other form.
    opened = {one.path[:length] for one in inner for length in range(len(one.path))}
    opened |= {one.within for one in inner if one.within in layout.parts}
    return Layout("\n".join(lines), opened)


def put_back(text: str, inner: Sequence[Inner]) -> str:
    """
    A text with the comments that were taken out of another one which says the same.
    """
    layout = Layout(text)
    before, after = defaultdict[int, list[str]](list), defaultdict[int, list[str]](list)
    beside: dict[int, str] = {comment.line: "" for comment in layout.comments}
    for one in inner:
        first, last = layout.line_of(one.path), layout.last_line_of(one.path)
        own = " " * layout.indent_of(first) + one.comment.text
        if one.where == "after":
            after[last].append(own)
        elif one.where == "before" or first in beside or not _has_a_line(layout, one.path):
            before[first].append(own)
        else:
            beside[first] = f"  {one.comment.text}"
    return "\n".join(_lines(layout.lines, before, beside, after))


def _lines(
    lines: Sequence[str], before: dict[int, list[str]], beside: dict[int, str], after: dict[int, list[str]]
) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield from before.get(number, ())
        yield line + beside.get(number, "")
        yield from after.get(number, ())


def _has_a_line(layout: Layout, path: Path) -> bool:
    """
    Whether nothing that is a part of it begins on its first line, unless all of it stands there.
    """
    first, spans = layout.line_of(path), layout.spans
    if layout.last_line_of(path) == first:
        return True
    return path in spans.keys and all(spans.values[part].line - 1 > first for part in layout.all_parts(path))
