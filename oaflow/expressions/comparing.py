"""
Comparisons: which of them can ever hold, and how they are evaluated. What has no order because it is missing is not
below, and not above.
"""

import ast
from collections.abc import Mapping, Sequence

from oaflow.expressions import nodes, shapes
from oaflow.expressions.grammar import SIGNS
from oaflow.expressions.reading import DEPTH
from oaflow.expressions.shapes import Shape, Sort, can_be_equal, can_be_ordered, described, joined
from oaflow.expressions.translation import Translation, Typed
from oaflow.schemata import ABSTRACT, SCHEMATA
from oaflow.spelling import did_you_mean

_ORDERS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "below",
    ast.LtE: "at_most",
    ast.Gt: "above",
    ast.GtE: "at_least",
}
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}

_EQUAL: Mapping[type[ast.cmpop], str] = {ast.In: "==", ast.NotIn: "!="}

_PLAIN = (Sort.TEXT, Sort.NUMBER, Sort.BOOL)


def compare(translation: Translation, node: ast.Compare) -> Typed:
    """
    A comparison, or several in a row.
    """
    if len(node.ops) > DEPTH:
        message = f"there are more than {DEPTH} comparisons in a row"
        return translation.mistake("too-large", message, node, "join them with `and`")
    written = [node.left, *node.comparators]
    operands = [translation.value(operand) for operand in written]
    return Typed(_chain(translation, node, operands, written), shapes.BOOL)


def _chain(
    translation: Translation, node: ast.Compare, operands: Sequence[Typed], written: Sequence[ast.expr]
) -> ast.expr:
    op = node.ops[-len(operands) + 1]
    if len(operands) == 2:
        return _pair(translation, node, op, operands, written)
    # `a < b < c` is `a < b and b < c`, in which b is evaluated once.
    translation.held += 1
    called = f"_held{translation.held}"
    middle = Typed(nodes.name(called, written[1]), operands[1].shape)
    first = _pair(translation, node, op, [operands[0], middle], written[:2])
    rest = _chain(translation, node, [middle, *operands[2:]], written[1:])
    body = nodes.placed(ast.BoolOp(ast.And(), [first, rest]), node)
    return nodes.held(called, operands[1].node, body, node)


def _pair(
    translation: Translation, node: ast.Compare, op: ast.cmpop, operands: Sequence[Typed], written: Sequence[ast.expr]
) -> ast.expr:
    one, other = operands
    if Sort.WRONG in (one.shape.sort, other.shape.sort):
        return translation.wrong(node).node
    match op:
        case ast.Eq() | ast.NotEq():
            return _equal(translation, node, op, one, other, written)
        case ast.In() | ast.NotIn():
            found = _in(translation, node, op, one, other, written)
            return found if isinstance(op, ast.In) else nodes.negated(found, node)
        case ast.Is() | ast.IsNot():
            meant = ast.Eq() if isinstance(op, ast.Is) else ast.NotEq()
            if Sort.NONE in (one.shape.sort, other.shape.sort):
                return _equal(translation, node, meant, one, other, written)
            help = f"compare with {SIGNS[type(meant)]}"
            return translation.mistake("not-allowed", "`is` compares with None only", node, help).node
        case _:
            return _ordered(translation, node, op, one, other, written)


def _equal(
    translation: Translation, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: Sequence[ast.expr]
) -> ast.expr:
    if Sort.VALUES in (one.shape.sort, other.shape.sort):
        return _list_compared(translation, node, op, one, other, written)
    if Sort.SET in (one.shape.sort, other.shape.sort):
        message = "a set is only for `in`: no value is a set"
        return translation.mistake("never", message, node, "write a list: [...]").node
    fits = beside_choices(translation, written[1], one.shape, written[0])
    if not (beside_choices(translation, written[0], other.shape, written[1]) and fits):
        return translation.wrong(node).node
    if not can_be_equal(one.shape, other.shape):
        message = f"{described(one.shape)} and {described(other.shape)} are never equal"
        return translation.mistake("never", message, node, _otherwise(translation, one, other, written)).node
    beside_schema(translation, other.node, written[0])
    beside_schema(translation, one.node, written[1])
    return nodes.compared(one.node, op, other.node, node)


def _ordered(
    translation: Translation, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: Sequence[ast.expr]
) -> ast.expr:
    if Sort.VALUES in (one.shape.sort, other.shape.sort):
        return _list_compared(translation, node, op, one, other, written)
    if not can_be_ordered(one.shape, other.shape):
        message = f"{described(one.shape)} and {described(other.shape)} have no order"
        return translation.mistake("never", message, node, _number_of(translation, one, other, written)).node
    known = one.shape.sort in _PLAIN and other.shape.sort in _PLAIN
    if known and not one.shape.optional and not other.shape.optional:
        return nodes.compared(one.node, op, other.node, node)
    return nodes.call(_ORDERS[type(op)], [one.node, other.node], node)


def _in(
    translation: Translation, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: Sequence[ast.expr]
) -> ast.expr:
    left, right = one.shape, other.shape
    if left.sort is Sort.VALUES and right.sort is not Sort.ANY:
        values = translation.text.segment(written[0])
        message = f"{values} is a list of texts, which as a whole is never in anything"
        help = f"{'has' if isinstance(op, ast.In) else 'lacks'}({values}, {_members(translation, written[1])})"
        return translation.mistake("list-compared", message, node, help).node
    if right.sort is Sort.TEXT and isinstance(written[1], ast.Constant) and _is_schema_of(translation, written[0]):
        message = f"this looks for a schema as part of the text {translation.text.segment(written[1])}"
        help = f"{translation.text.segment(written[0])} {_EQUAL[type(op)]} {translation.text.segment(written[1])}"
        return translation.mistake("wrong-argument", message, node, help).node
    if any(one.sort in (Sort.NUMBER, Sort.BOOL, Sort.NONE) for one in right.alternatives):
        return translation.mistake("never", f"nothing can be in {described(right)}", node).node
    if isinstance(written[1], ast.List | ast.Tuple | ast.Set):
        fits = [beside_choices(translation, value, left, written[0]) for value in written[1].elts]
        if not all(fits):
            return translation.wrong(node).node
    if not can_be_equal(left, joined(map(_member, right.alternatives))) or not _fits_in_text(left, right):
        message = f"{described(left)} is never in {described(right)}"
        return translation.mistake("never", message, node, in_quotes(written[0])).node
    if isinstance(written[1], ast.List | ast.Tuple | ast.Set):
        for value in written[1].elts:
            beside_schema(translation, value, written[0])
    elif right.is_list:
        beside_choices(translation, written[0], right.member, written[1])
    # A list takes any value; a text only texts, and a set no lists.
    plain = left.sort in _PLAIN and not left.optional
    if not right.optional and (
        right.sort in (Sort.VALUES, Sort.LIST) or (plain and right.sort in (Sort.TEXT, Sort.SET))
    ):
        return nodes.compared(one.node, ast.In(), nodes.looked_into(other.node), node)
    return nodes.call("among", [one.node, other.node], node)


def _fits_in_text(left: Shape, right: Shape) -> bool:
    """
    Whether what is looked for in a text is one. It may be missing.
    """
    if all(one.sort is not Sort.TEXT for one in right.alternatives):
        return True
    return all(one.sort in (Sort.TEXT, Sort.ANY, Sort.NONE) for one in left.alternatives)


def _member(container: Shape) -> Shape:
    if container.is_list or container.sort is Sort.MAPPING:
        return container.member
    return shapes.MAYBE_TEXT if container.sort is Sort.TEXT else shapes.ANY


def _list_compared(
    translation: Translation, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: Sequence[ast.expr]
) -> ast.expr:
    """
    A property, which is a list, is compared as if it were one value.
    """
    first = one.shape.sort is Sort.VALUES
    values, beside = written if first else reversed(written)
    shape = other.shape if first else one.shape
    called, sign = translation.text.segment(values), SIGNS[type(op)]
    piece, inner = translation.text.segment(beside), _members(translation, beside)
    if shape.sort is Sort.NONE or not inner:
        help = f"not {called}" if sign == "==" else called
    elif sign == "==":
        help = f"has({called}, {inner})"
    elif sign == "!=":
        help = f"lacks({called}, {inner}), or others({called}, {inner}) where any other value counts"
    elif shape.sort in (Sort.NUMBER, Sort.BOOL):
        help = f"number({called}) {sign if first else _TURNED[sign]} {piece}"
    else:
        sign = sign if first else _TURNED[sign]
        help = f"{'min' if sign.startswith('<') else 'max'}({called}) {sign} {piece}"
    message = f"{called} is a list of texts, but `{SIGNS[type(op)]}` compares it as a whole"
    return translation.mistake("list-compared", message, node, help).node


def _members(translation: Translation, node: ast.expr) -> str:
    """
    What an author wrote for a value, without the brackets of a list.
    """
    piece = translation.text.segment(node)
    return piece[1:-1].strip().rstrip(",") if isinstance(node, ast.List | ast.Tuple | ast.Set) else piece


def _otherwise(translation: Translation, one: Typed, other: Typed, written: Sequence[ast.expr]) -> str | None:
    if {one.shape.sort, other.shape.sort} == {Sort.TEXT, Sort.LIST}:
        text, many = written if one.shape.sort is Sort.TEXT else reversed(written)
        return f"{translation.text.segment(text)} in {translation.text.segment(many)}"
    return _number_of(translation, one, other, written)


def _number_of(translation: Translation, one: Typed, other: Typed, written: Sequence[ast.expr]) -> str | None:
    if {one.shape.sort, other.shape.sort} != {Sort.TEXT, Sort.NUMBER}:
        return None
    text = written[0] if one.shape.sort is Sort.TEXT else written[1]
    if isinstance(text, ast.Constant):
        return f"without quotes: {text.value}"
    return f"number({translation.text.segment(text)})"


def in_quotes(node: ast.expr) -> str | None:
    """
    The help where a number stands for a text.
    """
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return f"in quotes: '{number}'"
        case _:
            return None


def beside_choices(translation: Translation, value: ast.expr, shape: Shape, beside: ast.expr) -> bool:
    """
    Whether a value that is compared with a param is one that the param can have; if not, it is told.

    Args:
        shape: of the param, or of what is in it.
        beside: the param, as it is written.
    """
    if not shape.choices or not isinstance(value, ast.Constant) or value.value in (None, *shape.choices):
        return True
    known = [str(choice) for choice in shape.choices]
    quoted = in_quotes(value) if str(value.value) in shape.choices else None
    help = quoted or did_you_mean(str(value.value), known) or f"its choices are: {', '.join(known)}"
    message = f"{value.value!r} is not one of the choices of {translation.text.segment(beside)}"
    translation.mistake("never", message, value, help)
    return False


def beside_schema(translation: Translation, text: ast.expr, beside: ast.expr) -> None:
    """
    A text that is compared with the schema of an entity must be the name of one that entities have.
    """
    entity = _is_schema_of(translation, beside)
    if entity is None or not isinstance(text, ast.Constant) or not isinstance(text.value, str):
        return
    if is_schema(translation, text, text.value) and text.value in ABSTRACT:
        message = f"no entity has schema {text.value!r} itself, only its descendants"
        translation.mistake("never", message, text, f'is_a({entity}, "{text.value}")')


def _is_schema_of(translation: Translation, node: ast.expr) -> str | None:
    """
    The name of the entity whose schema a node is; None where it is something else.
    """
    if not (isinstance(node, ast.Attribute) and node.attr == "schema" and isinstance(node.value, ast.Name)):
        return None
    known = translation.names.get(node.value.id)
    return node.value.id if known is not None and known.sort is Sort.ENTITY else None


def is_schema(translation: Translation, node: ast.expr, called: str) -> bool:
    """
    Whether there is a schema of that name; if not, it is told.
    """
    if called not in SCHEMATA:
        help = did_you_mean(called, SCHEMATA)
        translation.mistake("unknown-schema", f"FollowTheMoney has no schema {called!r}", node, help)
    return called in SCHEMATA
