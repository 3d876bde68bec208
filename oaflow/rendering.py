"""
Diagnostics as text for people, lines for editors, objects for programs, annotations for GitHub, and as SARIF. Pure.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oaflow import __version__
from oaflow.diagnostics import Diagnostic, Rule, Span
from oaflow.printed import pipelines as printed
from oaflow.visible import visible

# A source line that is longer is shown around the caret.
_WIDTH = 110

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def render(diagnostics: Sequence[Diagnostic], form: str) -> str:
    """
    All diagnostics in one of `FORMS`, without a line break at the end; empty where there are none (`[]` in JSON, and in
    SARIF a log without results).
    """
    return FORMS[form](diagnostics)


def as_text(diagnostics: Sequence[Diagnostic]) -> str:
    """
    With source line, caret and help, an empty line between two.
    """
    return "\n\n".join("\n".join(text_lines(diagnostic)) for diagnostic in diagnostics)


def as_concise(diagnostics: Sequence[Diagnostic]) -> str:
    """
    One line each: `path:line:col: CODE message`.
    """
    return "\n".join(f"{_place(one.span)}: {one.code} {visible(one.message)}" for one in diagnostics)


def as_json(diagnostics: Sequence[Diagnostic]) -> str:
    """
    A list of objects.
    """
    return json.dumps([as_object(diagnostic) for diagnostic in diagnostics], ensure_ascii=False, indent=2)


def as_github(diagnostics: Sequence[Diagnostic]) -> str:
    """
    Workflow commands, which GitHub shows beside the changed lines.
    """
    return "\n".join(_github(diagnostic) for diagnostic in diagnostics)


def as_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """
    A log of SARIF 2.1.0, which code scanning of GitHub and others read; with no results where there is nothing to say.
    """
    rules = {diagnostic.code: diagnostic.rule for diagnostic in diagnostics}
    numbers = {code: number for number, code in enumerate(sorted(rules))}
    driver = {
        "name": "oaflow",
        "semanticVersion": __version__,
        "rules": [_sarif_rule(rules[code]) for code in numbers],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(diagnostic, numbers) for diagnostic in diagnostics],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2)


FORMS: Mapping[str, Callable[[Sequence[Diagnostic]], str]] = {
    "text": as_text,
    "concise": as_concise,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}


def as_object(diagnostic: Diagnostic) -> printed.Diagnostic:
    """
    A diagnostic as JSON holds it. Lines and columns count from 1, ends are exclusive; null where there are none. `path`
    are the keys and positions that lead to the place.
    """
    return {
        "code": diagnostic.code,
        "slug": diagnostic.rule.slug,
        "severity": diagnostic.rule.severity,
        "message": diagnostic.message,
        "help": diagnostic.help,
        **_span_object(diagnostic.span),
        "notes": [{"message": label, **_span_object(span)} for label, span in diagnostic.notes],
    }


def _span_object(span: Span) -> printed.Place:
    return {
        "file": span.file,
        "path": list(span.path),
        "line": span.line or None,
        "column": span.column or None,
        "end_line": span.end_line or None,
        "end_column": span.end_column or None,
    }


def text_lines(diagnostic: Diagnostic) -> list[str]:
    """
    One diagnostic with source line, caret and help.
    """
    rule, span = diagnostic.rule, diagnostic.span
    lines = [f"{rule.severity}[{rule.code}] {rule.slug}: {visible(diagnostic.message)}"]
    if span.file is not None or span.path:
        lines.append(f"  --> {_place(span)}")
    if span.line:
        lines += _excerpt(span, "^")
    for label, at in diagnostic.notes:
        if at.line and at.file == span.file:
            lines += _excerpt(at, "-", visible(label))
        else:
            # What is so elsewhere, as in a database, has no place here.
            lines.append(f"  note: {visible(label)}" + (f": {_place(at)}" if at.file or at.path else ""))
    # There is always something to type next.
    lines.append(f"  help: {visible(diagnostic.help or f'oaflow explain {rule.code}')}")
    return lines


def _place(span: Span) -> str:
    file = visible(span.file) if span.file is not None else None
    if span.line:
        return f"{file or '<text>'}:{span.line}:{span.column}"
    return ": ".join(part for part in (file, visible(span.dotted)) if part) or "<pipeline>"


def _excerpt(span: Span, mark: str, label: str = "") -> list[str]:
    source = span.source
    start = min(span.column - 1, len(source))
    end = span.end_column - 1 if span.end_line == span.line and span.end_column > span.column else len(source)
    end = max(start + 1, len(source.rstrip()) if end > len(source) else end)
    if end > start + 1:
        end = max(start + 1, start + len(source[start:end].rstrip()))
    first = max(0, min(start - _WIDTH // 3, len(source) - _WIDTH)) if len(source) > _WIDTH else 0
    last = first + _WIDTH
    before, marked, after = source[first:start], source[start : min(end, last)], source[min(end, last) : last]
    shown = "".join(_widened(part) for part in (before, marked, after)).rstrip()
    shown = f"{'...' if first else ''}{shown}{'...' if last < len(source) else ''}"
    indent = " " * (_columns(_widened(before)) + (3 if first else 0))
    underline = mark * max(1, _columns(_widened(marked)))
    return [f"{span.line:>5} | {shown}", f"      | {indent}{underline}{' ' + label if label else ''}"]


def _widened(text: str) -> str:
    return visible(text.replace("\t", "    "))


def _columns(text: str) -> int:
    """
    How many cells of a terminal a text takes.
    """
    return sum(0 if unicodedata.combining(letter) else 2 if _is_wide(letter) else 1 for letter in text)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _github(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    properties: dict[str, str | int | None] = {"file": span.file}
    if span.line:
        properties |= {"line": span.line, "col": span.column}
        if span.end_line == span.line and span.end_column > span.column:
            properties |= {"endLine": span.end_line, "endColumn": span.end_column}
    properties["title"] = f"{diagnostic.code} {diagnostic.rule.slug}"
    told = ",".join(f"{key}={_escaped(str(value))}" for key, value in properties.items() if value is not None)
    message = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    if not span.line and span.path:
        message = f"{span.dotted}: {message}"
    return f"::{diagnostic.rule.severity} {told}::{_escaped(message, value=False)}"


def _escaped(text: str, *, value: bool = True) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if value else text


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    help = f"{rule.explanation}\n\nFor example:\n\n{rule.example}\n\nInstead:\n\n{rule.repair}"
    return {
        "id": rule.code,
        "name": rule.slug,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": help},
        "defaultConfiguration": {"level": rule.severity},
    }


def _sarif_result(diagnostic: Diagnostic, numbers: Mapping[str, int]) -> dict[str, Any]:
    message = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": numbers[diagnostic.code],
        "level": diagnostic.rule.severity,
        "message": {"text": message},
        "locations": [location] if (location := _sarif_location(diagnostic.span)) else [],
    }
    related = [{"message": {"text": label}, **_sarif_location(span)} for label, span in diagnostic.notes]
    return result | ({"relatedLocations": related} if related else {})


def _sarif_location(span: Span) -> dict[str, Any]:
    """
    Where in which file, and at which key: each where it is known.
    """
    location: dict[str, Any] = {}
    if span.file is not None:
        place: dict[str, Any] = {"artifactLocation": {"uri": _uri(span.file)}}
        if span.line:
            place["region"] = {"startLine": span.line, "startColumn": span.column}
        if (span.end_line, span.end_column) > (span.line, span.column):
            place["region"] |= {"endLine": span.end_line, "endColumn": span.end_column}
        location["physicalLocation"] = place
    if span.path:
        location["logicalLocations"] = [{"fullyQualifiedName": span.dotted, "kind": "object"}]
    return location


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix(), errors="surrogateescape")
