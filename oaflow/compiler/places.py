"""
Where a part of a text stands in the file that the text was read from. Knows how YAML writes texts.
"""

import re
from collections.abc import Iterator

from oaflow.diagnostics import Path, Span, Spans
from oaflow.model import Pipeline

# An anchor before the text is part of its place.
_ANCHOR = re.compile(r"&\S+\s+")
_ESCAPED = {"x": 2, "u": 4, "U": 8}
_LETTERS = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def part_of(spans: Spans, path: Path, text: str, offset: int, length: int) -> Span:
    """
    The place of some characters of a text; of all of it where that is not known.

    Args:
        text: the value at the path.
        offset, length: in characters; a length of 0 is one character.
    """
    whole = spans.value(*path)
    if spans.letters is not None:
        places = list(spans.letters.get(path, ()))
    else:
        places = list(_places(spans, whole, text)) if path in spans.values and spans.lines else []
    if not places:
        return whole
    first = places[min(offset, len(places) - 1)]
    last = places[min(max(offset, offset + length - 1), len(places) - 1)]
    line, column = first
    # What goes on in a later line is marked to the end of its first.
    end = last[1] + 1 if last[0] == line else len(spans.lines[line]) + 1
    return whole._replace(
        line=line + 1, column=column + 1, end_line=line + 1, end_column=end + 1, source=spans.lines[line]
    )


def places_of(pipeline: Pipeline, spans: Spans) -> dict[str, dict[str, str]]:
    """
    Where the expressions of each stage are written, as `bind` takes it. What is not in a file has no place.
    """
    return {
        name: {what: f"{span.file}:{span.line}:{span.column}" for what, span in found}
        for name in pipeline.stages
        if (found := [one for one in _expressions(pipeline, name, spans) if one[1].file and one[1].line])
    }


def _expressions(pipeline: Pipeline, name: str, spans: Spans) -> Iterator[tuple[str, Span]]:
    stage, here = pipeline.stages[name], ("stages", name)
    for edge in stage.next:
        for key, text in ("when", edge.when), ("where", edge.where):
            if isinstance(text, str):
                path = (*here, *edge.place[:-1], key)
                yield f"{edge.port}>{edge.to}.{key}", part_of(spans, path, text, 0, 1)
    if isinstance(stage.enabled, str):
        yield "enabled", part_of(spans, (*here, "enabled"), stage.enabled, 0, 1)
    if stage.lock is not None:
        yield "lock", part_of(spans, (*here, "lock"), stage.lock, 0, 1)


def _places(spans: Spans, whole: Span, text: str) -> Iterator[tuple[int, int]]:
    """
    Line and column, from 0, of each character of a text.

    Folding is not done over: what is written is gone through beside what was read, and blanks that are not in it are
    passed over.
    """
    at = 0
    for letter, place in _written(spans, whole):
        if at == len(text):
            return
        if letter == text[at] or (letter == "\n" and text[at] == " "):
            at += 1
            yield place
        elif not letter.isspace():
            return


def _written(spans: Spans, whole: Span) -> Iterator[tuple[str, tuple[int, int]]]:
    """
    The characters of a scalar as it is written, with their places; escapes are one.
    """
    lines = spans.lines
    line, column = whole.line - 1, whole.column - 1
    if anchor := _ANCHOR.match(lines[line], column):
        column = anchor.end()
    style = lines[line][column : column + 1]
    if style in ("|", ">"):
        line, column = line + 1, 0
    elif style in ("'", '"'):
        column += 1
    while line < len(lines):
        written = lines[line]
        while column < len(written):
            letter, size = _letter(written, column, style)
            if letter is not None:
                yield letter, (line, column)
            column += size
        yield "\n", (line, column)
        line, column = line + 1, 0


def _letter(written: str, column: int, style: str) -> tuple[str | None, int]:
    """
    What is written at a place, and in how many characters; None where it is nothing.
    """
    letter = written[column]
    if style == "'" and written.startswith("''", column):
        return "'", 2
    if style != '"' or letter != "\\":
        return letter, 1
    escaped = written[column + 1 : column + 2]
    if (digits := _ESCAPED.get(escaped)) is not None:
        return chr(int(written[column + 2 : column + 2 + digits], 16)), 2 + digits
    # A line that ends in an escape goes on in the next, without a blank.
    return (_LETTERS.get(escaped, escaped), 2) if escaped else (None, 1)
