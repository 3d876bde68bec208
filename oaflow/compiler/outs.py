"""
Reads in the source and code of a function which ports it emits on (where it makes an `Out`), and whether it returns
anything. Runs nothing.
"""

import ast
import dis
from collections.abc import Callable, Iterator
from functools import lru_cache
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from itertools import pairwise
from types import CodeType
from typing import Any

from oaflow.diagnostics import Span
from oaflow.dsl.sources import Source
from oaflow.model import Out


@lru_cache(maxsize=1024)
def outs_of(function: Callable[..., Any]) -> tuple[tuple[str, Span], ...]:
    """
    Each port that is written out, with its place. What a function puts together, or has from elsewhere, is not seen.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return ()
    known: dict[str, Any] = getattr(function, "__globals__", {})
    called = {name for name in _names(code) if known.get(name, Out if name == "Out" else None) is Out}
    # Most functions name no port, and their source need not be read.
    if not called and "Out" not in _names(code):
        return ()
    source = _source(code.co_filename)
    definition = next((node for node in ast.walk(source.tree) if _is_of(node, code)), None)
    return tuple(_outs(source, definition, called)) if definition is not None else ()


def is_mute(function: Callable[..., Any]) -> bool:
    """
    Whether a function does something, and can neither return a value nor yield one. Its code tells: its source is not
    read. One that is not written yet, or always raises, is not meant.
    """
    code = getattr(function, "__code__", None)
    if code is None or not code.co_names or code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR):
        return False
    steps = dis.get_instructions(code)
    ends = [(before, end) for before, end in pairwise(steps) if end.opname in ("RETURN_VALUE", "RETURN_CONST")]
    return bool(ends) and all(_is_none(before, end) for before, end in ends)


def _is_none(before: dis.Instruction, end: dis.Instruction) -> bool:
    if end.opname == "RETURN_CONST":
        return end.argval is None
    # Where it is jumped to, something else may be returned than what was loaded last.
    return before.opname == "LOAD_CONST" and before.argval is None and not end.is_jump_target


@lru_cache(maxsize=64)
def _source(file: str) -> Source:
    return Source(file)


def _names(code: CodeType) -> set[str]:
    """
    The names that a function uses, and those within it.
    """
    within = [_names(one) for one in code.co_consts if isinstance(one, CodeType)]
    return {*code.co_names, *code.co_varnames, *code.co_cellvars}.union(*within)


def _is_of(node: ast.AST, code: CodeType) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name != code.co_name:
        return False
    return min(line.lineno for line in (node, *node.decorator_list)) == code.co_firstlineno


def _outs(source: Source, definition: ast.AST, called: set[str]) -> Iterator[tuple[str, Span]]:
    for node in ast.walk(definition):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in called:
                pass
            case ast.Call(func=ast.Attribute(attr="Out")):
                pass
            case _:
                continue
        ports = node.args[:1] or [keyword.value for keyword in node.keywords if keyword.arg == "port"]
        for port in ports:
            if isinstance(port, ast.Constant) and isinstance(port.value, str):
                yield port.value, source.span((), port)
