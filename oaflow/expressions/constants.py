"""
What an expression compares each param with, where that and whether the param is empty is all that it asks of it. Pure.
"""

import ast
from collections.abc import Mapping
from typing import Any

from oaflow.expressions.reading import read


def compared(source: str) -> Mapping[str, frozenset[Any] | None]:
    """
    By param the values that it is compared with; None where more is asked of it.

    Args:
        source: an expression for `enabled` without mistakes.
    """
    found: dict[str, frozenset[Any] | None] = {}
    _look(read(source)[0], found)
    return found


def _look(node: ast.AST, found: dict[str, frozenset[Any] | None]) -> None:
    match node:
        case ast.Attribute() if (name := _param(node)) is not None:
            _add(found, name, frozenset())
        case ast.BoolOp() | ast.IfExp() | ast.UnaryOp(op=ast.Not()):
            for part in ast.iter_child_nodes(node):
                _look(part, found)
        case ast.Compare() if (asked := _asked(node)) is not None:
            _add(found, *asked)
        case _:
            for part in ast.walk(node):
                match part:
                    case ast.Attribute(value=ast.Name(id="params"), attr=name):
                        found[name] = None
                    case ast.Subscript(value=ast.Name(id="params"), slice=ast.Constant(value=str() as name)):
                        found[name] = None
                    case _:
                        pass


def _add(found: dict[str, frozenset[Any] | None], name: str, values: frozenset[Any]) -> None:
    known = found.get(name, frozenset())
    found[name] = None if known is None else known | values


def _asked(node: ast.Compare) -> tuple[str, frozenset[Any]] | None:
    """
    The one param of a comparison with what is written out, and that; None where it is another comparison.
    """
    sides = [node.left, *node.comparators]
    names = [name for one in sides if (name := _param(one)) is not None]
    if len(names) != 1:
        return None
    values: list[Any] = []
    for op, side in zip((None, *node.ops), sides, strict=True):
        among = isinstance(op, ast.In | ast.NotIn)
        if _param(side) is not None:
            # What is in a param is more than what it equals.
            if among:
                return None
            continue
        try:
            value = ast.literal_eval(side)
        except ValueError:
            return None
        if among and not isinstance(value, list | tuple | set):
            return None
        values += value if among else [value]
    if any(isinstance(value, list | tuple | set | dict) for value in values):
        return None
    return names[0], frozenset(values)


def _param(node: ast.expr) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="params"), attr=name):
            return name
        case _:
            return None
