"""
Whether conditions can hold together, as far as that can be told before there is an entity. Pure.

Sound, and not complete: what is told to be impossible is so for every entity and job. Known are values that are written
out, and which schemata FollowTheMoney has; anything else may be true or false, but the same thing is not both at once.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, product
from typing import Any, cast

from oaflow.expressions.compiling import compile_expression
from oaflow.expressions.mapping import NOT, as_expression, is_open
from oaflow.expressions.mistakes import EvaluationError, ExpressionError
from oaflow.expressions.reading import read
from oaflow.schemata import SCHEMATA

# A condition whose parts can be looked at.
Formula = ast.expr

# Of what may be true or false, so many parts are tried in all ways; the others may be anything.
MOST = 8

# The last one stands for all that FollowTheMoney does not know.
_SCHEMATA = (*SCHEMATA, "?")

_NEGATIONS: Mapping[type[ast.cmpop], type[ast.cmpop]] = {ast.NotEq: ast.Eq, ast.NotIn: ast.In}


def formula(when: str | None = None, where: str | Mapping[str, Any] | None = None) -> Formula:
    """
    What an edge asks, of conditions without mistakes.
    """
    parts = [_tree(written) for written in (when, where) if isinstance(written, str)]
    if isinstance(where, Mapping):
        parts += _of_mapping(where)
    return ast.BoolOp(ast.And(), parts)


def possible(holding: Iterable[Formula], failing: Iterable[Formula] = ()) -> bool:
    """
    Whether all of some conditions may hold for one entity, and none of some others. What fails with an error holds not.
    """
    whole = ast.BoolOp(ast.And(), [*holding, *(ast.UnaryOp(ast.Not(), one) for one in failing)])
    parts = list(_parts(whole))
    if len(parts) < 2 and not any(map(_is_known, parts)):
        return True
    atoms = {ast.dump(part): part for part in parts}
    known = {key: _by_schema(ast.unparse(part)) for key, part in atoms.items() if _is_known(part)}
    free = [key for key in atoms if key not in known]
    worlds = set(zip(*known.values(), strict=True)) if known else {()}
    return any(
        _value(whole, {**dict(zip(known, world, strict=True)), **dict(zip(free, chosen, strict=False))}) is not False
        for world in worlds
        for chosen in product((True, False), repeat=min(len(free), MOST))
    )


def _tree(source: str, *, written: bool = True) -> ast.expr:
    tree, _ = read(source, written=written)
    return tree


def _of_mapping(where: Mapping[str, Any]) -> Iterator[ast.expr]:
    # What only a run knows is another thing at each place: without a value its key is left out.
    numbers = count()

    def asked(key: str, wanted: Any) -> ast.expr:
        if is_open(wanted):
            return ast.Name(f"_open{next(numbers)} {id(where)}", ast.Load())
        return _tree(as_expression({key: wanted}), written=False)

    for key, wanted in where.items():
        if key == NOT:
            for inner, value in cast("Mapping[str, Any]", wanted).items():
                yield ast.UnaryOp(ast.Not(), asked(inner, value))
        else:
            yield asked(key, wanted)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """
    What a condition is made of, without `and`, `or`, `not` and `if`.
    """
    match _positive(node):
        case ast.BoolOp(values=values):
            for value in values:
                yield from _parts(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _parts(operand)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            for value in (test, body, orelse):
                yield from _parts(value)
        case part:
            yield part


def _positive(node: ast.expr) -> ast.expr:
    """
    A part that says `not` in another word, with `not` before it.
    """
    match node:
        case ast.Call(func=ast.Name(id="lacks"), args=args):
            return ast.UnaryOp(ast.Not(), ast.Call(ast.Name("has", ast.Load()), args, []))
        case ast.Compare(left=left, ops=[op], comparators=others) if type(op) in _NEGATIONS:
            return ast.UnaryOp(ast.Not(), ast.Compare(left, [_NEGATIONS[type(op)]()], others))
        case _:
            return node


def _value(node: ast.expr, known: Mapping[str, bool | None]) -> bool | None:
    """
    Whether a condition holds; None where that is open.
    """
    match _positive(node):
        case ast.BoolOp(op=op, values=values):
            found = [_value(value, known) for value in values]
            decisive = isinstance(op, ast.Or)
            return decisive if decisive in found else None if None in found else not decisive
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            value = _value(operand, known)
            return None if value is None else not value
        case ast.IfExp(test=test, body=body, orelse=orelse):
            chosen = _value(test, known)
            ways = {_value(way, known) for way in ((body, orelse) if chosen is None else (body if chosen else orelse,))}
            return ways.pop() if len(ways) == 1 else None
        case part:
            return known.get(ast.dump(part))


def _is_known(node: ast.expr) -> bool:
    """
    Whether a part is about nothing but the schema of the entity, or what is written out.
    """
    match node:
        case ast.Call(func=ast.Name(id="is_a"), args=[ast.Name(id="e"), *schemata]):
            return all(map(_is_written, schemata))
        case ast.Compare(left=left, comparators=others):
            return all(_is_schema(one) or _is_written(one) for one in (left, *others))
        case _:
            return _is_written(node)


def _is_schema(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "e.schema"


def _is_written(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.List(elts=members) | ast.Tuple(elts=members) | ast.Set(elts=members):
            return all(map(_is_written, members))
        case ast.UnaryOp(operand=operand):
            return _is_written(operand)
        case ast.Compare(left=left, comparators=others):
            return all(map(_is_written, (left, *others)))
        case _:
            return False


@lru_cache(maxsize=1024)
def _by_schema(source: str) -> Sequence[bool | None]:
    """
    Whether a part holds for an entity of each schema, asked of what will decide.
    """
    try:
        expression = compile_expression(source, "where")
        return tuple(expression.holds(e={"schema": schema}) for schema in _SCHEMATA)
    except (ExpressionError, EvaluationError):
        return (None,) * len(_SCHEMATA)
