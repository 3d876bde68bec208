"""
From the tree of an expression to one that Python may run: everything is either known and safe, or a mistake.

Names in the result that begin with `_` are ours: an author cannot write them.
"""

import ast
import re
from collections.abc import Collection, Mapping
from typing import Any

from oaflow.expressions import nodes, shapes
from oaflow.expressions.calling import call
from oaflow.expressions.comparing import compare
from oaflow.expressions.grammar import REFUSED, Kind
from oaflow.expressions.naming import attribute, name, subscript
from oaflow.expressions.reading import Text
from oaflow.expressions.shapes import Shape, Sort, described, either, joined
from oaflow.expressions.translation import Translation, Typed

# What is in no text of a job, however it is escaped.
_UNHEARD_OF = re.compile("[\x00\ud800-\udfff]")

# What orjson writes: signed and unsigned integers of 64 bits.
_LEAST, _GREATEST = -(2**63), 2**64 - 1


def translate(
    tree: ast.expr, text: Text, kind: Kind, params: Mapping[str, Shape] | Collection[str] | None
) -> tuple[ast.expr, Translation]:
    """
    What Python may run, and what was found on the way. Where that are mistakes, nothing may be run.
    """
    translation = Translation(text, kind, params, _TRANSLATORS)
    typed = translation.value(tree)
    if kind != "lock":
        _must_decide(translation, tree)
    elif _may_be_set(typed.shape):
        what = "this is" if typed.shape.sort is Sort.SET else "in this is"
        translation.mistake("wrong-argument", f"a lock is a text, a number or a list, but {what} a set", tree)
    return typed.node, translation


def _constant(translation: Translation, node: ast.Constant) -> Typed:
    match node.value:
        case None:
            return Typed(node, shapes.NONE)
        case bool():
            return Typed(node, shapes.BOOL)
        case int() if not _LEAST <= node.value <= _GREATEST:
            return translation.mistake("not-allowed", "the number does not fit in 64 bits", node)
        case float() if abs(node.value) == float("inf"):
            return translation.mistake("not-allowed", "the number is too large for JSON", node)
        case int() | float():
            return Typed(node, shapes.NUMBER)
        case str() if found := _UNHEARD_OF.search(node.value):
            message = f"no text of a job can contain U+{ord(found[0]):04X}, because PostgreSQL does not accept it"
            return translation.mistake("not-allowed", message, node)
        case str():
            return Typed(node, shapes.TEXT)
        case _:
            what = translation.text.segment(node)
            return translation.mistake("not-allowed", f"{what} is not a value that JSON can hold", node)


def _unary(translation: Translation, node: ast.UnaryOp) -> Typed:
    match node:
        case ast.UnaryOp(op=ast.Not()):
            return Typed(nodes.negated(translation.value(node.operand).node, node), shapes.BOOL)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if number is not True:
            return _constant(translation, nodes.placed(ast.Constant(-number), node))
        case _:
            what, help = REFUSED[ast.UnaryOp]
            return translation.mistake("not-allowed", what, node, help)


def _bool(translation: Translation, node: ast.BoolOp) -> Typed:
    values = [translation.value(value) for value in node.values]
    result = ast.BoolOp(node.op, [value.node for value in values])
    return Typed(nodes.placed(result, node), joined(value.shape for value in values))


def _conditional(translation: Translation, node: ast.IfExp) -> Typed:
    test, body, orelse = (translation.value(part) for part in (node.test, node.body, node.orelse))
    return Typed(nodes.placed(ast.IfExp(test.node, body.node, orelse.node), node), either(body.shape, orelse.shape))


def _list(translation: Translation, node: ast.List | ast.Tuple) -> Typed:
    members = [translation.value(member) for member in node.elts]
    # A tuple is a list too, as JSON knows no other.
    result = ast.List([member.node for member in members], ast.Load())
    return Typed(nodes.placed(result, node), Shape(Sort.LIST, of=joined(member.shape for member in members)))


def _set(translation: Translation, node: ast.Set) -> Typed:
    members = [translation.value(member) for member in node.elts]
    for member, written in zip(members, node.elts, strict=True):
        if any(one.is_list or one.sort is Sort.MAPPING for one in member.shape.alternatives):
            translation.mistake("wrong-argument", f"{described(member.shape)} cannot be in a set", written)
    shape = Shape(Sort.SET, of=joined(member.shape for member in members))
    constants = [member.node.value for member in members if isinstance(member.node, ast.Constant)]
    if len(constants) == len(members):
        return Typed(nodes.constant(frozenset[Any](constants), node), shape)
    return Typed(nodes.call("set_of", [member.node for member in members], node), shape)


def _may_be_set(shape: Shape) -> bool:
    """
    Whether it is one, or has one in it.
    """
    return any(one.sort is Sort.SET or (one.is_list and _may_be_set(one.member)) for one in shape.alternatives)


def _must_decide(translation: Translation, node: ast.expr) -> None:
    """
    A text, number or list that is written out is always the same, so as a condition it is a mistake.
    """
    match node:
        case ast.BoolOp():
            for before, value in zip([None, *node.values], node.values, strict=False):
                if not _is_another_value(translation, before, value):
                    _must_decide(translation, value)
        case ast.UnaryOp(op=ast.Not()):
            _must_decide(translation, node.operand)
        case ast.IfExp():
            for part in (node.test, node.body, node.orelse):
                _must_decide(translation, part)
        case ast.Constant() if isinstance(node.value, str | int | float) and not isinstance(node.value, bool):
            translation.mistake("always", f"{translation.text.segment(node)} alone is not a condition", node)
        case ast.List() | ast.Tuple() | ast.Set():
            translation.mistake("always", "a literal list is not a condition", node)
        case _:
            pass


def _is_another_value(translation: Translation, before: ast.expr | None, value: ast.expr) -> bool:
    """
    Whether a text stands alone that was to be compared as the one before it: `x == "a" or "b"`.
    """
    match before, value:
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq() as op], comparators=[other]), ast.Constant(value=str()):
            text, sign = translation.text, "in" if isinstance(op, ast.Eq) else "not in"
            help = f"{text.segment(left)} {sign} ({text.segment(other)}, {text.segment(value)})"
            translation.mistake("always", f"{text.segment(value)} alone is always true", value, help)
            return True
        case _:
            return False


_TRANSLATORS: Mapping[type[ast.expr], Any] = {
    ast.Attribute: attribute,
    ast.BoolOp: _bool,
    ast.Call: call,
    ast.Compare: compare,
    ast.Constant: _constant,
    ast.IfExp: _conditional,
    ast.List: _list,
    ast.Name: name,
    ast.Set: _set,
    ast.Subscript: subscript,
    ast.Tuple: _list,
    ast.UnaryOp: _unary,
}
