"""
How pieces of the result are put together. Pure.

Each new node says where the old one stood, so that what fails when it is evaluated has a place.
"""

import ast
from collections.abc import Iterable
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)


def placed(new: Node, old: ast.expr) -> Node:
    """
    A new node at the place of an old one.
    """
    return ast.copy_location(new, old)


def name(called: str, old: ast.expr) -> ast.expr:
    """
    The value of a name.
    """
    return placed(ast.Name(called, ast.Load()), old)


def constant(value: Any, old: ast.expr) -> ast.expr:
    """
    A value that is known: plain, or a frozen set.
    """
    return placed(ast.Constant(value), old)


def call(function: str, arguments: list[ast.expr], old: ast.expr) -> ast.expr:
    """
    A call of one of the operations, which have an underscore in front of their names there.
    """
    return placed(ast.Call(name(f"_{function}", old), arguments, []), old)


def get(mapping: ast.expr, key: str, old: ast.expr) -> ast.expr:
    """
    `mapping.get(key)`, for what is known to be one.
    """
    return _method(mapping, "get", constant(key, old), old)


def negated(node: ast.expr, old: ast.expr) -> ast.expr:
    """
    `not node`.
    """
    return placed(ast.UnaryOp(ast.Not(), node), old)


def compared(one: ast.expr, op: ast.cmpop, other: ast.expr, old: ast.expr) -> ast.expr:
    """
    A comparison as Python does it.
    """
    return placed(ast.Compare(one, [op], [other]), old)


def held(called: str, value: ast.expr, body: ast.expr, old: ast.expr) -> ast.expr:
    """
    A body in which a value that is evaluated once has a name.
    """
    arguments = ast.arguments([], [ast.arg(called)], None, [], [], None, [])
    return placed(ast.Call(placed(ast.Lambda(arguments, body), old), [value], []), old)


def looked_into(node: ast.expr) -> ast.expr:
    """
    What is only looked into: a list of constants is made once.
    """
    if isinstance(node, ast.List) and node.elts and all(isinstance(member, ast.Constant) for member in node.elts):
        return placed(ast.Tuple(node.elts, ast.Load()), node)
    return node


def membership(function: str, values: ast.expr, wanted: list[str], old: ast.expr) -> ast.expr:
    """
    has, lacks and others of the values of a property, where all that is wanted is written out: 30 ns instead of 500.
    """
    if function == "others":
        return negated(_method(constant(frozenset(wanted), old), "issuperset", values, old), old)
    if len(wanted) == 1:
        op = ast.In() if function == "has" else ast.NotIn()
        return compared(constant(wanted[0], old), op, values, old)
    apart = _method(constant(frozenset(wanted), old), "isdisjoint", values, old)
    return apart if function == "lacks" else negated(apart, old)


def texts(nodes: Iterable[ast.expr]) -> list[str] | None:
    """
    The texts that are written out; None where one is not.
    """
    found: list[str] = []
    for node in nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            return None
        found.append(node.value)
    return found


def _method(value: ast.expr, called: str, argument: ast.expr, old: ast.expr) -> ast.expr:
    return placed(ast.Call(placed(ast.Attribute(value, called, ast.Load()), old), [argument], []), old)
