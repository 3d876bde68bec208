"""
Finds the place of each key and value of a pipeline that was declared in Python, by reading its source.

Only for messages. What is made by a loop or a function stands where the call is that made the stage. Where the source
is not there, or is another one by now, only the keys are known that lead to it.
"""

import ast
import linecache
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path as FilePath

from oaflow.diagnostics import Path, Span, Spans
from oaflow.dsl.calls import Place
from oaflow.loader import shown_path


def spans_of(placed: Mapping[Path, Place]) -> Spans:
    """
    The places of a pipeline.

    Args:
        placed: where the pipeline (under the empty path), its params and its stages were declared.
    """
    whole = placed.get(())
    if whole is None:
        return Spans()
    found = _Places(whole.file)
    for path, place in placed.items():
        found.declaration(path, place)
    return Spans(found.source.name, found.values, found.keys, found.source.lines, found.letters)


class Source:
    """
    A file of Python.
    """

    def __init__(self, file: str) -> None:
        linecache.checkcache(file)
        self.file = file
        self.name = shown_path(FilePath(file))
        self.lines = [line.rstrip("\r\n") for line in linecache.getlines(file)]
        try:
            self.tree = ast.parse("\n".join(self.lines))
        except (SyntaxError, ValueError):
            self.tree = ast.Module([], [])

    @cached_property
    def _calls(self) -> Mapping[tuple[int, int, int, int], ast.Call]:
        return {_position(node): node for node in ast.walk(self.tree) if isinstance(node, ast.Call)}

    def call(self, place: Place) -> ast.Call | None:
        """
        The call that stands at a place.
        """
        return self._calls.get((place.line, place.column, place.end_line, place.end_column))

    def span(self, path: Path, node: ast.expr | ast.keyword) -> Span:
        """
        The place of a part of the source.
        """
        return self._span(path, *_position(node))

    def key_span(self, path: Path, node: ast.keyword) -> Span:
        """
        The place of the name of an argument.
        """
        end = node.col_offset + len((node.arg or "**").encode())
        return self._span(path, node.lineno, node.col_offset, node.lineno, end)

    def line_span(self, path: Path, place: Place) -> Span:
        """
        The line of a call of which Python knows no columns.
        """
        line = self._line(place.line)
        return Span(path, self.name, place.line, len(line) - len(line.lstrip()) + 1, place.line, len(line) + 1, line)

    def letters(self, node: ast.Constant) -> tuple[tuple[int, int], ...]:
        """
        Line and column, from 0, of each letter of a text that is written out.
        """
        text, found = str(node.value), list(self._letters(*_position(node)))
        return tuple(found) if len(found) == len(text) else ()

    def _letters(self, line: int, column: int, end_line: int, end_column: int) -> Iterator[tuple[int, int]]:
        lines = [self._line(number) for number in range(line, end_line + 1)]
        lines[-1] = lines[-1].encode()[:end_column].decode()
        starts = [0]
        for one in lines:
            starts.append(starts[-1] + len(one) + 1)
        written, first = "\n".join(lines), len(lines[0].encode()[:column].decode())
        number = 0
        for at in _letters_of(written, first):
            while at >= starts[number + 1]:
                number += 1
            yield line - 1 + number, at - starts[number]

    def _span(self, path: Path, line: int, column: int, end_line: int, end_column: int) -> Span:
        return Span(
            path,
            self.name,
            line,
            self._column(line, column),
            end_line,
            self._column(end_line, end_column),
            self._line(line),
        )

    def _line(self, number: int) -> str:
        return self.lines[number - 1] if number <= len(self.lines) else ""

    def _column(self, line: int, offset: int) -> int:
        return len(self._line(line).encode()[:offset].decode(errors="ignore")) + 1


def _position(node: ast.expr | ast.keyword) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


# A literal opens; and what stands for one letter within: with a backslash before it, or itself.
_OPENED = re.compile(r"(?:[^'\"#]|#[^\n]*)*?([A-Za-z]*)('''|\"\"\"|'|\")")
_ESCAPE = re.compile(r"\\(?:\n|N\{[^}]*\}|x..|u.{4}|U.{8}|[0-7]{1,3}|.)", re.DOTALL)


def _letters_of(written: str, at: int) -> Iterator[int]:
    """
    Where each letter of a text begins, of literals that stand behind each other.
    """
    while (opened := _OPENED.match(written, at)) is not None:
        raw, quotes, at = "r" in opened[1].lower(), opened[2], opened.end()
        while at < len(written) and not written.startswith(quotes, at):
            escape = None if raw else _ESCAPE.match(written, at)
            # A backslash at the end of a line stands for nothing.
            if escape is None or escape[0] != "\\\n":
                yield at
            at = escape.end() if escape is not None else at + 1
        at += len(quotes)


class _Places:
    """
    The places that were found, of values and of keys.
    """

    def __init__(self, file: str) -> None:
        self.source = Source(file)
        self.values: dict[Path, Span] = {}
        self.keys: dict[Path, Span] = {}
        self.letters: dict[Path, tuple[tuple[int, int], ...]] = {}
        self._sources = {file: self.source}

    def declaration(self, path: Path, place: Place) -> None:
        """
        Note what stands in the call of `Pipeline`, `Param`, `external` or `.stage`.
        """
        source = self._sources.setdefault(
            place.file, self.source if place.file == self.source.file else Source(place.file)
        )
        call = source.call(place)
        if call is None:
            if place.column < 0:
                self.values[path] = source.line_span(path, place)
            return
        self.values[path] = source.span(path, call.func)
        if path:
            self.keys.setdefault(path, self.values[path])
        kind = path[0] if path else "pipeline"
        first = (*path, {"pipeline": "pipeline", "params": "type"}.get(str(kind), "task"))
        if call.args:
            self._value(source, call.args[0], first)
        elif kind == "stages" and isinstance(call.func, ast.Attribute):
            self.values[first] = source.span(first, call.func.value)
        if kind == "params" and call.args and isinstance(call.args[0], ast.Subscript):
            self.values[*path, "of"] = source.span((*path, "of"), call.args[0].slice)
        self._arguments(source, call, path, {"with_": "with", **({} if path else {"name": "pipeline"})})

    def _arguments(self, source: Source, call: ast.Call, path: Path, named: Mapping[str, str]) -> None:
        for keyword in call.keywords:
            if keyword.arg is None:
                self._members(source, keyword.value, path)
            else:
                place = (*path, named.get(keyword.arg, keyword.arg))
                self.keys[place] = source.key_span(place, keyword)
                self._value(source, keyword.value, place)

    def _value(self, source: Source, node: ast.expr, path: Path) -> None:
        self.values[path] = source.span(path, node)
        match node:
            case ast.Dict():
                self._members(source, node, path)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                for index, item in enumerate(items):
                    if isinstance(item, ast.Starred):
                        break  # whatever is in it, what follows has another position
                    self._value(source, item, (*path, index))
            case ast.Call(func=ast.Name(id="recurse") | ast.Attribute(attr="recurse"), args=arguments):
                for key, argument in zip(("to", "recurse"), arguments, strict=False):
                    self._value(source, argument, (*path, key))
                self._arguments(source, node, path, {"depth": "recurse"})
            case ast.Call(func=ast.Name(id="dict")):
                self._arguments(source, node, path, {})
            case ast.Constant(value=str()) if source is self.source:
                self.letters[path] = source.letters(node)
            case _:
                pass

    def _members(self, source: Source, node: ast.expr, path: Path) -> None:
        if not isinstance(node, ast.Dict):
            return
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self._members(source, value, path)
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                place = (*path, key.value)
                self.keys[place] = source.span(place, key)
                self._value(source, value, place)
