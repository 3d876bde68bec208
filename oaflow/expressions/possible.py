"""
Whether conditions can hold together, as far as that can be told before there is an entity. Pure.

Sound, and not complete: what is told to be impossible is so for every entity and job. Known are values that are written
out, and which schemata FollowTheMoney has; anything else may be true or false, but the same thing is not both at once.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, islice, product
from typing import Any, NamedTuple, cast

from oaflow.expressions.compiling import compile_expression
from oaflow.expressions.mapping import NOT, as_expression, is_open
from oaflow.expressions.mistakes import EvaluationError, ExpressionError
from oaflow.expressions.reading import read
from oaflow.schemata import SCHEMATA

# Of what may be true or false, so many parts are tried in all ways; the others may be anything.
MOST = 8

# Of more parts nothing is told: each edge of a port is held against all before it, and the time grows with the cube.
LONGEST = 100

# The last one stands for all that FollowTheMoney does not know.
_SCHEMATA = (*SCHEMATA, "?")

_NEGATIONS: Mapping[type[ast.cmpop], type[ast.cmpop]] = {ast.NotEq: ast.Eq, ast.NotIn: ast.In}


class Part(NamedTuple):
    """
    What a condition is made of, without `and`, `or`, `not` and `if`. Where it is known what it says of each schema,
    `text` is an expression.
    """

    text: str
    known: bool


class Joined(NamedTuple):
    """
    Of `any`, one that holds is enough; else all must.
    """

    any: bool
    members: tuple["Formula", ...]


class Negated(NamedTuple):
    """
    What holds where another does not.
    """

    member: "Formula"


Formula = Part | Joined | Negated


def formula(when: str | None = None, where: str | Mapping[str, Any] | None = None) -> Formula:
    """
    What an edge asks, of conditions without mistakes.
    """
    parts = [_read(written) for written in (when, where) if isinstance(written, str)]
    if isinstance(where, Mapping):
        parts += _of_mapping(where)
    return Joined(False, tuple(parts))


def possible(holding: Iterable[Formula], failing: Iterable[Formula] = ()) -> bool:
    """
    Whether all of some conditions may hold for one entity, and none of some others. What fails with an error holds not.
    """
    whole = Joined(False, (*holding, *map(Negated, failing)))
    parts = list(islice(_parts(whole), LONGEST + 1))
    once = dict.fromkeys(parts)
    free = [part for part in once if not part.known]
    # What stands nowhere else can be what it is wanted to be.
    if len(free) == len(parts) or len(parts) > LONGEST:
        return True
    known = [part for part in once if part.known]
    worlds = set(zip(*(_by_schema(part.text) for part in known), strict=True)) if known else {()}
    return any(
        _value(whole, {**dict(zip(known, world, strict=True)), **dict(zip(free, chosen, strict=False))}) is not False
        for world in worlds
        for chosen in product((True, False), repeat=min(len(free), MOST))
    )


def _read(source: str, *, written: bool = True) -> Formula:
    tree, _ = read(source, written=written)
    return _formula(tree)


def _formula(node: ast.expr) -> Formula:
    match node:
        case ast.BoolOp(op=op, values=values):
            return Joined(isinstance(op, ast.Or), tuple(map(_formula, values)))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Negated(_formula(operand))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            asked = _formula(test)
            ways = Joined(False, (asked, _formula(body))), Joined(False, (Negated(asked), _formula(orelse)))
            return Joined(True, ways)
        # The same in other words.
        case ast.Call(func=ast.Name(id="lacks"), args=args):
            return Negated(_formula(ast.Call(ast.Name("has", ast.Load()), args, [])))
        case ast.Compare(left=left, ops=[op], comparators=others) if type(op) in _NEGATIONS:
            return Negated(_formula(ast.Compare(left, [_NEGATIONS[type(op)]()], others)))
        case _:
            known = _is_known(node)
            return Part(ast.unparse(node) if known else ast.dump(node), known)


def _of_mapping(where: Mapping[str, Any]) -> Iterator[Formula]:
    # What only a run knows is another thing at each place: without a value its key is left out.
    numbers = count()

    def asked(key: str, wanted: Any) -> Formula:
        if is_open(wanted):
            return Part(f"{next(numbers)} of {id(where)}", known=False)
        return _read(as_expression({key: wanted}), written=False)

    for key, wanted in where.items():
        if key == NOT:
            for inner, value in cast("Mapping[str, Any]", wanted).items():
                yield Negated(asked(inner, value))
        else:
            yield asked(key, wanted)


def _parts(whole: Formula) -> Iterator[Part]:
    match whole:
        case Part():
            yield whole
        case Joined(members=members):
            for member in members:
                yield from _parts(member)
        case Negated(member=member):
            yield from _parts(member)


def _value(whole: Formula, known: Mapping[Part, bool | None]) -> bool | None:
    """
    Whether a condition holds; None where that is open.
    """
    match whole:
        case Part():
            return known.get(whole)
        case Joined(any=decisive, members=members):
            found = [_value(member, known) for member in members]
            return decisive if decisive in found else None if None in found else not decisive
        case Negated(member=member):
            value = _value(member, known)
            return None if value is None else not value


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
