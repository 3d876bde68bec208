"""
Diagnostics for people, editors and CI: with the source line and a caret, one a line, JSON, or GitHub's annotations.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oaflow.cli.output import clean, remarks, say, screen
from oaflow.diagnostics import Diagnostic, Span
from oaflow.errors import UsageError

FORMATS = ("text", "concise", "json", "github")

# A line of source that is longer is shown around the place that is meant.
_WIDTH = 110


def print_diagnostics(diagnostics: Sequence[Diagnostic], form: str, *, to_stderr: bool = False) -> None:
    """
    Prints diagnostics in one of `FORMATS`.

    Raises:
        UsageError: there is no such format.
    """
    match form:
        case "text":
            console = remarks() if to_stderr else screen()
            for diagnostic in diagnostics:
                for line in text_lines(diagnostic):
                    console.print(_coloured(line, diagnostic), markup=False, soft_wrap=True)
                console.print()
        case "concise":
            for diagnostic in diagnostics:
                say(concise(diagnostic))
        case "json":
            say(json.dumps([as_json(diagnostic) for diagnostic in diagnostics], indent=2, ensure_ascii=False))
        case "github":
            for diagnostic in diagnostics:
                say(github(diagnostic))
        case _:
            raise UsageError(f"there is no format {form!r}", help=f"one of: {', '.join(FORMATS)}")


def text_lines(diagnostic: Diagnostic) -> Iterator[str]:
    """
    A diagnostic with its place, its source line and a caret under what is meant.
    """
    yield f"{diagnostic.rule.severity}[{diagnostic.code}] {diagnostic.rule.slug}: {clean(diagnostic.message)}"
    gutter = len(str(max([diagnostic.span.line, *(span.line for _, span in diagnostic.notes)])))
    yield from _place(diagnostic.span, gutter, "")
    for words, span in diagnostic.notes:
        yield from _place(span, gutter, clean(words))
    if diagnostic.help:
        yield f"  help: {clean(diagnostic.help)}"


def _place(span: Span, gutter: int, words: str) -> Iterator[str]:
    where = place(span)
    if not where:
        return
    yield f"  --> {where}{f': {words}' if words else ''}"
    if not span.line or not span.source:
        return
    source = clean(span.source.replace("\t", " ").rstrip("\n"))
    start = max(span.column - 1, 0)
    end = max(span.end_column - 1, start + 1) if span.end_line == span.line else len(source)
    if len(source) > _WIDTH and end > _WIDTH:
        cut = max(0, start - 30)
        source, start, end = "…" + source[cut + 1 : cut + _WIDTH], start - cut, min(end - cut, _WIDTH)
    source = source[:_WIDTH]
    yield f"  {span.line:>{gutter + 1}} | {source}"
    yield f"  {'':>{gutter + 1}} | {' ' * start}{'^' * max(1, min(end, _WIDTH) - start)}"


def place(span: Span) -> str:
    """
    `file:line:column`, or the dotted path of what has no lines.
    """
    name = _relative(span.file) if span.file else ""
    if span.line:
        return f"{name or 'pipeline'}:{span.line}:{span.column}"
    return " ".join(filter(None, [name, span.dotted]))


def concise(diagnostic: Diagnostic) -> str:
    """
    `path:line:col: CODE message`.
    """
    return f"{place(diagnostic.span)}: {diagnostic.code} {clean(diagnostic.message)}"


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """
    A diagnostic for other programs.
    """
    return {
        "code": diagnostic.code,
        "slug": diagnostic.rule.slug,
        "severity": diagnostic.rule.severity,
        "message": diagnostic.message,
        "help": diagnostic.help,
        **_span(diagnostic.span),
        "notes": [{"message": words, **_span(span)} for words, span in diagnostic.notes],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "file": _relative(span.file) if span.file else None,
        "line": span.line or None,
        "column": span.column or None,
        "end_line": span.end_line or None,
        "end_column": span.end_column or None,
        "path": list(span.path),
    }


def github(diagnostic: Diagnostic) -> str:
    """
    A workflow command that GitHub shows beside the line.
    """
    span = diagnostic.span
    facts = {
        "file": _relative(span.file) if span.file else None,
        "line": span.line or None,
        "col": span.column or None,
        "endLine": span.end_line or None,
        "endColumn": span.end_column or None,
        "title": f"{diagnostic.code} {diagnostic.rule.slug}",
    }
    shown = ",".join(f"{key}={_property(str(value))}" for key, value in facts.items() if value is not None)
    message = clean(diagnostic.message) + (f"\nhelp: {clean(diagnostic.help)}" if diagnostic.help else "")
    return f"::{diagnostic.rule.severity} {shown}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _relative(file: str) -> str:
    """
    As seen from the current folder, where it is below it.
    """
    try:
        return str(Path(os.path.abspath(file)).relative_to(Path.cwd()))
    except ValueError:
        return file


def _coloured(line: str, diagnostic: Diagnostic) -> Any:
    from rich.text import Text

    colour = "red" if diagnostic.is_error else "yellow"
    text = Text(line)
    head = f"{diagnostic.rule.severity}[{diagnostic.code}]"
    if line.startswith(head):
        text.stylize(f"bold {colour}", 0, len(head))
    elif line.startswith("  help:"):
        text.stylize("bold cyan", 2, 7)
    elif line.startswith("  -->"):
        text.stylize("blue", 2, 5)
    elif set(line.partition("|")[2].strip()) == {"^"}:
        text.stylize(f"bold {colour}", line.index("|") + 1)
    return text
