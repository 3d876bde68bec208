"""
`oaflow check --fix`: the mistakes of a file that can be repaired without asking, and the text that replaces them. Pure.

Only if a single repair is possible: a name that is close to one stage only, a port that is emitted on and not wired, an
expression that YAML has cut short.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from oaflow.compiler.checking import Checked
from oaflow.compiler.edges import EDGE_KEYS
from oaflow.compiler.quoting import quoted_expression, quoted_line
from oaflow.compiler.rules.functions import UNWIRED_PORT
from oaflow.compiler.rules.names import UNKNOWN_STAGE
from oaflow.diagnostics import Diagnostic, Path, Span, Spans
from oaflow.loader import BREAK
from oaflow.spelling import only_close

# What is no text without quotes.
_WORDS = ("true", "false", "null")


# In brackets: a text in quotes, which begin where a value may, or a letter.
_TOKEN = re.compile(r"""(?<=[\[{,:\s])(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")|.""")


@dataclass(frozen=True, slots=True)
class Repair:
    """
    A text for a piece of one line; the columns count from 1, the end is exclusive. `said` is what it does, for people.
    """

    diagnostic: Diagnostic
    line: int
    column: int
    end_column: int
    text: str
    said: str


def repairs(text: str, checked: Checked, spans: Spans) -> list[Repair]:
    """
    What can be mended of a file, at most one repair for a line: the next check shows what is left.
    """
    lines = BREAK.split(text)
    found: dict[int, Repair] = {}
    for diagnostic in checked.diagnostics:
        for repair in _repairs_of(diagnostic, lines, checked, spans):
            found.setdefault(repair.line, repair)
    return list(found.values())


def mended(text: str, found: Sequence[Repair]) -> str:
    """
    The text with all repairs made.
    """
    starts = [0, *(match.end() for match in BREAK.finditer(text))]
    for one in sorted(found, key=lambda one: one.line, reverse=True):
        start = starts[one.line - 1]
        text = text[: start + one.column - 1] + one.text + text[start + one.end_column - 1 :]
    return text


def _repairs_of(one: Diagnostic, lines: Sequence[str], checked: Checked, spans: Spans) -> Iterator[Repair]:
    if one.help is not None and one.help.startswith("an expression must be in quotes: "):
        yield from _quotes(one, lines)
    elif one.rule is UNKNOWN_STAGE and checked.pipeline is not None:
        yield from _other_name(one, lines, tuple(checked.pipeline.stages))
    elif one.rule is UNWIRED_PORT and checked.pipeline is not None and one.span.line:
        yield from _drop(one, lines, checked, spans)


def _quotes(one: Diagnostic, lines: Sequence[str]) -> Iterator[Repair]:
    for number in dict.fromkeys([one.span.line, *(span.line for _, span in one.notes)]):
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        for comment in (True, False):
            if quoted_expression(line, comment=comment) == one.help:
                new = quoted_line(line, comment=comment)
                yield Repair(one, number, 1, len(line) + 1, new, "the expression is in quotes")
                return


def _other_name(one: Diagnostic, lines: Sequence[str], stages: tuple[str, ...]) -> Iterator[Repair]:
    span = one.span
    if span.line != span.end_line or not 0 < span.line <= len(lines):
        return
    written = lines[span.line - 1][span.column - 1 : span.end_column - 1]
    quote = written[:1] if written[:1] in ("'", '"') and written[-1:] == written[:1] else ""
    name = written.strip(quote) if quote else written
    meant = only_close(name, stages)
    if meant is None or f"no stage is named {name!r}" != one.message:
        return
    quote = quote or ("'" if meant in _WORDS else "")
    said = f"{name!r} became {meant!r}"
    yield Repair(one, span.line, span.column, span.end_column, f"{quote}{meant}{quote}", said)


def _drop(one: Diagnostic, lines: Sequence[str], checked: Checked, spans: Spans) -> Iterator[Repair]:
    if checked.pipeline is None or one.span.path[:1] != ("stages",):
        return
    name = str(one.span.path[1])
    stage = checked.pipeline.stages[name]
    missing = [port for port in checked.functions[stage.task].options.ports if port not in stage.ports]
    path: Path = ("stages", name, "next")
    value = spans.values.get(path)
    if value is None or value.path != path:
        return
    said = f"what is emitted on {' and '.join(map(repr, missing))} is dropped"
    line = lines[value.line - 1]
    written = _written(line, value)
    first = next((span for place, span in spans.keys.items() if place[:-1] == path), None)
    if first is not None and any(port not in EDGE_KEYS for port in _keys(spans.keys, path)):
        if lines[first.line - 1][: first.column - 1].rstrip().endswith("?"):
            return  # a key that is marked as one: nothing can stand between
        # Before the first port: in brackets on the same line, else on a line before it.
        between = ", " if line[value.column - 1 :].startswith("{") else f"\n{' ' * (first.column - 1)}"
        text = "".join(f"{port}: drop{between}" for port in missing)
        yield Repair(one, first.line, first.column, first.column, text, said)
    elif any(place[: len(path)] == path and place[-1] == "port" for place in spans.keys):
        return  # an edge says which port it is of: it does not fit under another
    elif written:
        ports = ", ".join([f"default: {written}", *(f"{port}: drop" for port in missing)])
        yield Repair(one, value.line, value.column, value.column + len(written), f"{{{ports}}}", said)
    elif line[value.column - 1 :].startswith("- "):
        # A list may stand as far left as the key above it.
        indent = "\n" + " " * (value.column - 1)
        text = indent.join([*(f"{port}: drop" for port in missing), "default:", ""])
        yield Repair(one, value.line, value.column, value.column, text, said)


def _written(line: str, value: Span) -> str:
    """
    A value as it stands in a line; nothing where it goes on in the next one.

    Of what is in brackets the span has the first only.
    """
    text = line[value.column - 1 :]
    if not text.startswith(("{", "[")):
        return text[: value.end_column - value.column] if value.end_line == value.line else ""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if not depth:
            return text[: token.end()]
    return ""


def _keys(keys: Mapping[Path, Span], path: Path) -> list[str]:
    return [str(place[-1]) for place in keys if place[:-1] == path]
