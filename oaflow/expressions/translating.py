"""
From the tree of an expression to one that Python may run: everything is either known and safe, or a mistake.

No attribute is ever read: what stands behind a dot becomes the key of a mapping. Names in the result that begin with
`_` are ours: an author cannot write them.
"""

import ast
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from oaflow.expressions import shapes
from oaflow.expressions.mistakes import Mistake, MistakeKind
from oaflow.expressions.reading import Text
from oaflow.expressions.shapes import Shape, Sort, can_be_equal, can_be_ordered, described, either
from oaflow.schemata import ABSTRACT, SCHEMATA, descendants, property_names
from oaflow.spelling import closest, did_you_mean, spelled

Kind = Literal["when", "where", "lock", "enabled"]

NAMES: Mapping[Kind, Mapping[str, Shape]] = {
    "when": {"job": shapes.JOB, "params": shapes.PARAMS, "run": shapes.RUN},
    "where": {"e": shapes.ENTITY, "job": shapes.JOB, "params": shapes.PARAMS, "run": shapes.RUN},
    "lock": {"job": shapes.JOB, "params": shapes.PARAMS, "run": shapes.RUN},
    "enabled": {"params": shapes.PARAMS},
}

FIELDS: Mapping[Sort, Mapping[str, Shape]] = {
    Sort.ENTITY: {"id": shapes.TEXT, "schema": shapes.TEXT, "caption": shapes.MAYBE_TEXT},
    Sort.JOB: {
        "queue": shapes.TEXT,
        "task": shapes.TEXT,
        "dataset": shapes.MAYBE_TEXT,
        "batch": shapes.MAYBE_TEXT,
        "payload": shapes.ANY,
        "context": shapes.ANY,
        "entities": shapes.ENTITIES,
    },
    Sort.RUN: {"id": shapes.TEXT, "pipeline": shapes.TEXT, "dataset": shapes.MAYBE_TEXT},
}

AGGREGATES = ("any", "all", "len", "min", "max")
FUNCTIONS = (
    *AGGREGATES, "is_a", "startswith", "endswith", "contains", "lower", "matches", "has", "lacks", "others", "number",
)  # fmt: skip

_ORDERS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "_below",
    ast.LtE: "_at_most",
    ast.Gt: "_above",
    ast.GtE: "_at_least",
}
_SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip

# What Python has and expressions have not, in a few words and with a way out.
_REFUSED: Mapping[type[ast.expr], tuple[str, str | None]] = {
    ast.BinOp: ("there is no arithmetic", "calculate it in a stage, and put it into the context"),
    ast.UnaryOp: ("there is no arithmetic", "calculate it in a stage, and put it into the context"),
    ast.JoinedStr: ("there are no texts with values in them", "compare the values themselves"),
    ast.FormattedValue: ("there are no texts with values in them", "compare the values themselves"),
    ast.Lambda: ("there are no functions of one's own", None),
    ast.NamedExpr: ("nothing is given a name", "`==` compares"),
    ast.ListComp: ("there is no comprehension", "any(TEST for x in LIST)"),
    ast.SetComp: ("there is no comprehension", "any(TEST for x in LIST)"),
    ast.DictComp: ("there is no comprehension", "any(TEST for x in LIST)"),
    ast.GeneratorExp: ("a generator stands in `any`, `all`, `len`, `min` or `max`", "any(TEST for x in LIST)"),
    ast.Dict: ("there are no mappings", "name a field: job.context.NAME"),
    ast.Slice: ("there are no parts of lists", None),
    ast.Starred: ("nothing is unpacked", None),
    ast.Await: ("nothing is waited for", None),
    ast.Yield: ("nothing is yielded", None),
    ast.YieldFrom: ("nothing is yielded", None),
}

_WORDS: Mapping[str, str] = {
    "true": "True", "false": "False", "none": "None", "null": "None", "nil": "None", "entity": "e", "self": "e",
    "param": "params", "context": "job.context", "entities": "job.entities", "payload": "job.payload",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typed:
    """
    A piece of the result, and what is known of its value.
    """

    node: ast.expr
    shape: Shape


@dataclass
class Translation:
    """
    What became of one expression, and all that was found on the way.
    """

    text: Text
    kind: Kind
    params: Mapping[str, str] | Collection[str] | None
    mistakes: list[Mistake] = field(default_factory=list[Mistake])
    reads: dict[str, None] = field(default_factory=dict[str, None])
    used_params: dict[str, None] = field(default_factory=dict[str, None])
    uses: set[str] = field(default_factory=set[str])
    pieces: dict[str, None] = field(default_factory=dict[str, None])
    patterns: dict[str, Callable[[bytes], object]] = field(default_factory=dict[str, Callable[[bytes], object]])
    properties: dict[str, str] = field(default_factory=dict[str, str])
    scope: dict[str, Shape] = field(default_factory=dict[str, Shape])
    bound: int = 0

    def expression(self, node: ast.expr) -> Typed:
        """
        The whole: translated, and looked at as the answer to its kind of question.
        """
        typed = self._value(node)
        if self.kind != "lock":
            self._always(node)
        elif typed.shape.sort is Sort.SET:
            self._mistake("wrong-argument", "a lock is a text, a number or a list, and this is a set", node)
        return typed

    # --- mistakes ---

    def _mistake(self, kind: MistakeKind, message: str, node: ast.expr, help: str | None = None) -> Typed:
        self._at(kind, message, *self.text.of(node), help)
        return self._wrong(node)

    def _at(self, kind: MistakeKind, message: str, offset: int, length: int, help: str | None) -> None:
        self.mistakes.append(Mistake(kind, message, help, offset, length))

    def _wrong(self, node: ast.expr) -> Typed:
        return Typed(_placed(ast.Constant(None), node), shapes.WRONG)

    # --- values ---

    def _value(self, node: ast.expr) -> Typed:
        """
        What may be compared, tested, or given to a function.
        """
        typed = self._any(node)
        if not typed.shape.is_namespace:
            return typed
        name = self.text.segment(node)
        fields = ", ".join(self._fields(typed.shape)[:4])
        help = f"name a field: {name}.NAME" + (f" ({fields} ...)" if fields else "")
        return self._mistake("wrong-argument", f"{described(typed.shape)} itself is no value", node, help)

    def _any(self, node: ast.expr) -> Typed:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if not isinstance(
                number, bool
            ):
                return self._constant(_placed(ast.Constant(-number), node))
            case ast.UnaryOp(op=ast.Not()):
                operand = self._value(node.operand)
                return Typed(_placed(ast.UnaryOp(ast.Not(), operand.node), node), shapes.BOOL)
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.BoolOp():
                values = [self._value(value) for value in node.values]
                return Typed(
                    _placed(ast.BoolOp(node.op, [value.node for value in values]), node),
                    _joined(value.shape for value in values),
                )
            case ast.IfExp():
                test, body, orelse = self._value(node.test), self._value(node.body), self._value(node.orelse)
                return Typed(
                    _placed(ast.IfExp(test.node, body.node, orelse.node), node), either(body.shape, orelse.shape)
                )
            case ast.List() | ast.Tuple() | ast.Set():
                return self._display(node)
            case ast.Compare():
                return self._compare(node)
            case ast.Call():
                return self._call(node)
            case _:
                what, help = _REFUSED.get(type(node), ("this is not part of expressions", None))
                return self._mistake("not-allowed", what, node, help)

    def _constant(self, node: ast.Constant) -> Typed:
        match node.value:
            case None:
                return Typed(node, shapes.NONE)
            case bool():
                return Typed(node, shapes.BOOL)
            case int():
                if -(2**63) <= node.value < 2**64:
                    return Typed(node, shapes.NUMBER)
                return self._mistake("not-allowed", "the number does not fit in 64 bits", node)
            case float():
                if abs(node.value) < float("inf"):
                    return Typed(node, shapes.NUMBER)
                return self._mistake("not-allowed", "the number is larger than any that JSON holds", node)
            case str():
                return Typed(node, shapes.TEXT)
            case _:
                return self._mistake("not-allowed", f"there is no {type(node.value).__name__} in expressions", node)

    def _display(self, node: ast.List | ast.Tuple | ast.Set) -> Typed:
        members = [self._value(member) for member in node.elts]
        nodes = [member.node for member in members]
        shape = _joined(member.shape for member in members) if members else shapes.ANY
        if not isinstance(node, ast.Set):
            # A tuple is a list, as JSON knows no other, so that (1, 2) == [1, 2].
            return Typed(_placed(ast.List(nodes, ast.Load()), node), Shape(Sort.LIST, of=shape))
        for member, written in zip(members, node.elts, strict=True):
            if member.shape.is_list:
                self._mistake("wrong-argument", f"{described(member.shape)} cannot be in a set", written)
        if all(isinstance(member, ast.Constant) for member in nodes):
            return Typed(_placed(_constant_set(nodes), node), Shape(Sort.SET, of=shape))
        return Typed(self._call_of("set_of", nodes, node), Shape(Sort.SET, of=shape))

    # --- names and fields ---

    def _name(self, node: ast.Name) -> Typed:
        name = node.id
        if self._twisted(node, name, self.text.segment(node)):
            return self._wrong(node)
        if name in self.scope:
            return Typed(_placed(ast.Name(name, ast.Load()), node), self.scope[name])
        known = NAMES[self.kind]
        if name in known:
            self.uses.add(name)
            return Typed(_placed(ast.Name(name, ast.Load()), node), known[name])
        if name.startswith("_"):
            return self._mistake("not-allowed", "no name begins with '_'", node)
        if name in FUNCTIONS:
            return self._mistake("unknown-name", f"{name!r} is a function", node, f"{name}(...)")
        if name in NAMES["where"]:
            where = "`where`, which looks at each entity" if name == "e" else "`when`, `where` and `lock`"
            return self._mistake("unknown-name", f"{name!r} is known only in {where}", node, _instead(self.kind, name))
        return self._mistake("unknown-name", f"nothing is named {name!r} here", node, self._name_meant(name))

    def _name_meant(self, name: str) -> str | None:
        if name.lower() in _WORDS:
            return f"write {_WORDS[name.lower()]}"
        if self.params is not None and name in self.params:
            return f"write params.{name}"
        if name in property_names() and self.kind == "where":
            return f"write e.{name}"
        names = (*NAMES[self.kind], *self.scope)
        if name in SCHEMATA:
            return f'a text is in quotes: "{name}"'
        return did_you_mean(name, (*names, *FUNCTIONS)) or f"the names are: {', '.join(names)}"

    def _twisted(self, node: ast.expr, name: str, written: str) -> bool:
        """
        Whether a name has letters outside of ASCII; then it is told. Python would take some of them for others.
        """
        if written.isascii():
            return False
        offset, length = self.text.of(node)
        twin = spelled(written)
        plain = twin[0] if twin else name
        what = f"has a {twin[1]}" if twin else "has letters that names here do not have"
        help = f"write {plain}" if plain.isascii() else None
        self._at("lookalike", f"{written!r} {what}", offset + length - len(written), len(written), help)
        return True

    def _attribute(self, node: ast.Attribute) -> Typed:
        base = self._any(node.value)
        offset, length = self.text.of(node)
        written = self.text.source[offset : offset + length].rpartition(".")[2].strip()
        if self._twisted(node, node.attr, written) or base.shape.sort is Sort.WRONG:
            return self._wrong(node)
        if node.attr.startswith("_"):
            help = None if base.shape.is_namespace else f"a key that is so named: {_key(self.text, node)}"
            self._at("not-allowed", "nothing behind a dot begins with '_'", *self._behind(node), help)
            return self._wrong(node)
        return self._field(node, base, node.attr)

    def _behind(self, node: ast.expr) -> tuple[int, int]:
        """
        Where the name behind the dot stands, or the key in brackets.
        """
        match node:
            case ast.Attribute():
                offset, length = self.text.of(node)
                return offset + length - len(node.attr), len(node.attr)
            case ast.Subscript():
                return self.text.of(node.slice)
            case _:
                return self.text.of(node)

    def _subscript(self, node: ast.Subscript) -> Typed:
        base = self._any(node.value)
        match node.slice:
            case ast.Constant(value=str() as key):
                if base.shape.sort is Sort.WRONG:
                    return self._wrong(node)
                return self._field(node, base, key)
            case ast.Slice() | ast.Tuple(elts=[*_]):
                return self._mistake("not-allowed", "there are no parts of lists", node.slice)
            case _:
                pass
        if base.shape.is_namespace:
            help = f"{self.text.segment(node.value)}.NAME"
            return self._mistake(
                "not-allowed", f"a field of {described(base.shape)} is named as it is", node.slice, help
            )
        key = self._value(node.slice)
        if Sort.WRONG in (base.shape.sort, key.shape.sort):
            return self._wrong(node)
        if base.shape.sort is Sort.VALUES:
            message = "the values of a property have no order, so none of them is the first"
            return self._mistake("list-compared", message, node.slice, self._has(node.value, '"..."'))
        if base.shape.sort in (Sort.TEXT, Sort.NUMBER, Sort.BOOL, Sort.SET, Sort.NONE):
            return self._mistake("wrong-argument", f"{described(base.shape)} has nothing at a position", node.slice)
        self._piece(node)
        shape = base.shape.member if base.shape.sort is Sort.LIST else shapes.ANY
        if not shape.is_namespace:
            shape = Shape(shape.sort, True, shape.of)
        return Typed(self._call_of("item", [base.node, key.node], node), shape)

    def _fields(self, shape: Shape) -> list[str]:
        if shape.sort is Sort.PARAMS:
            return list(self.params or ())
        return list(FIELDS.get(shape.sort, ()))

    def _field(self, node: ast.Attribute | ast.Subscript, base: Typed, name: str) -> Typed:
        match base.shape.sort:
            case Sort.ENTITY:
                return self._of_entity(node, base, name)
            case Sort.PARAMS:
                return self._of_params(node, base, name)
            case Sort.JOB | Sort.RUN:
                return self._of_job_or_run(node, base, name)
            case Sort.ANY:
                self._piece(node)
                if _is_payload(node.value, base) and name == "entities":
                    return Typed(self._call_of("entities_of", [_name("job", node)], node), shapes.ENTITIES)
                return Typed(self._call_of("item", [base.node, _placed(ast.Constant(name), node)], node), shapes.ANY)
            case _:
                what = described(base.shape)
                help = f"any(x.{name} ... for x in {self.text.segment(node.value)})" if base.shape.is_list else None
                self._at("unknown-field", f"{what} has no {name!r}", *self._behind(node), help)
                return self._wrong(node)

    def _of_entity(self, node: ast.Attribute | ast.Subscript, base: Typed, name: str) -> Typed:
        self._piece(node)
        if (shape := FIELDS[Sort.ENTITY].get(name)) is not None:
            return Typed(self._of(base.node, name, node), shape)
        if name not in property_names():
            if name == "properties":
                help = f"{self.text.segment(node.value)}.NAME reads a property"
            else:
                help = did_you_mean(name, (*property_names(), *FIELDS[Sort.ENTITY]))
            self._at("unknown-property", f"FollowTheMoney has no property {name!r}", *self._behind(node), help)
            return self._wrong(node)
        self.reads[name] = None
        if isinstance(node.value, ast.Name) and node.value.id == "e" and "e" not in self.scope:
            # Read once for each entity, before anything is decided.
            local = self.properties.setdefault(name, f"_property{len(self.properties)}")
            return Typed(_name(local, node), shapes.VALUES)
        return Typed(self._call_of("values", [base.node, _placed(ast.Constant(name), node)], node), shapes.VALUES)

    def _of(self, entity: ast.expr, key: str, node: ast.expr) -> ast.expr:
        """
        A field of an entity; what is looked up in a list may be missing.
        """
        if isinstance(entity, ast.Name):
            return _get(entity, key, node)
        return self._call_of("item", [entity, _placed(ast.Constant(key), node)], node)

    def _of_params(self, node: ast.Attribute | ast.Subscript, base: Typed, name: str) -> Typed:
        if self.params is not None and name not in self.params:
            known = (
                f"the params are: {', '.join(self.params)}" if self.params else f"declare it: params: {{{name}: ...}}"
            )
            help = did_you_mean(name, self.params) or known
            self._at("unknown-param", f"no param is named {name!r}", *self._behind(node), help)
            return self._wrong(node)
        self.used_params[name] = None
        self._piece(node)
        shape = shapes.of_param(self.params[name]) if isinstance(self.params, Mapping) else shapes.ANY
        return Typed(_get(base.node, name, node), shape)

    def _of_job_or_run(self, node: ast.Attribute | ast.Subscript, base: Typed, name: str) -> Typed:
        known = FIELDS[base.shape.sort]
        if name not in known:
            help = did_you_mean(name, known) or f"it has: {', '.join(known)}"
            if base.shape.sort is Sort.JOB and closest(name, known) is None:
                help = f"what stages put into the context is job.context.{name}"
            self._at("unknown-field", f"{described(base.shape)} has no {name!r}", *self._behind(node), help)
            return self._wrong(node)
        if base.shape.sort is Sort.JOB and name == "entities":
            result = self._call_of("entities_of", [base.node], node)
        elif base.shape.sort is Sort.JOB and name == "context":
            result = _get(_get(base.node, "payload", node), "context", node)
        else:
            result = _get(base.node, name, node)
        if name not in ("payload", "context", "entities"):
            self._piece(node)
        return Typed(result, known[name])

    def _piece(self, node: ast.expr) -> None:
        """
        Note what can be shown with its value. In a generator it has many.
        """
        if not self.scope:
            inner = getattr(node, "value", None)
            if isinstance(inner, ast.expr):
                self.pieces.pop(self.text.segment(inner), None)
            self.pieces[self.text.segment(node)] = None

    # --- comparisons ---

    def _compare(self, node: ast.Compare) -> Typed:
        written = [node.left, *node.comparators]
        operands = [self._value(operand) for operand in written]
        if len(operands) == 2:
            return Typed(self._pair(node, node.ops[0], operands, written), shapes.BOOL)
        # `a < b < c` is `a < b and b < c`, in which b is evaluated once.
        return Typed(self._chain(node, operands, written, 0), shapes.BOOL)

    def _chain(self, node: ast.Compare, operands: list[Typed], written: list[ast.expr], at: int) -> ast.expr:
        one, other = operands[at], operands[at + 1]
        if at == len(node.ops) - 1:
            return self._pair(node, node.ops[at], [one, other], written[at : at + 2])
        self.bound += 1
        name = f"_between{self.bound}"
        held = Typed(_name(name, written[at + 1]), other.shape)
        first = self._pair(node, node.ops[at], [one, held], written[at : at + 2])
        rest = self._chain(node, [*operands[: at + 1], held, *operands[at + 2 :]], written, at + 1)
        body = _placed(ast.BoolOp(ast.And(), [first, rest]), node)
        function = _placed(ast.Lambda(_arguments([name]), body), node)
        return _placed(ast.Call(function, [other.node], []), node)

    def _pair(self, node: ast.Compare, op: ast.cmpop, operands: list[Typed], written: list[ast.expr]) -> ast.expr:
        one, other = operands
        if Sort.WRONG in (one.shape.sort, other.shape.sort):
            return self._wrong(node).node
        match op:
            case ast.Eq() | ast.NotEq():
                return self._equal(node, op, one, other, written)
            case ast.In() | ast.NotIn():
                found = self._in(node, op, one, other, written)
                return found if isinstance(op, ast.In) else _placed(ast.UnaryOp(ast.Not(), found), node)
            case ast.Is() | ast.IsNot():
                if Sort.NONE not in (one.shape.sort, other.shape.sort):
                    sign = "==" if isinstance(op, ast.Is) else "!="
                    message = "`is` asks about None only"
                    return self._mistake("not-allowed", message, node, f"compare with {sign}").node
                return self._equal(node, ast.Eq() if isinstance(op, ast.Is) else ast.NotEq(), one, other, written)
            case _:
                return self._ordered(node, op, one, other, written)

    def _equal(self, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: list[ast.expr]) -> ast.expr:
        if self._listed(node, op, one, other, written):
            return self._wrong(node).node
        if Sort.SET in (one.shape.sort, other.shape.sort):
            return self._mistake("never", "a set is only for `in`: no value is one", node, "write a list: [...]").node
        if not can_be_equal(one.shape, other.shape):
            message = f"{described(one.shape)} and {described(other.shape)} are never equal"
            return self._mistake("never", message, node, self._unequal(one, other, written)).node
        for text, beside in ((other, written[0]), (one, written[1])):
            self._schema_beside(text.node, beside)
        return _placed(ast.Compare(one.node, [op], [other.node]), node)

    def _unequal(self, one: Typed, other: Typed, written: list[ast.expr]) -> str | None:
        sorts = {one.shape.sort, other.shape.sort}
        if sorts == {Sort.TEXT, Sort.NUMBER}:
            text = written[0] if one.shape.sort is Sort.TEXT else written[1]
            if isinstance(text, ast.Constant):
                return f"without quotes: {text.value}"
            return f"number({self.text.segment(text)})"
        if Sort.TEXT in sorts and Sort.LIST in sorts:
            text, many = written if one.shape.sort is Sort.TEXT else reversed(written)
            return f"{self.text.segment(text)} in {self.text.segment(many)}"
        return None

    def _ordered(self, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: list[ast.expr]) -> ast.expr:
        if self._listed(node, op, one, other, written):
            return self._wrong(node).node
        if not can_be_ordered(one.shape, other.shape):
            message = f"{described(one.shape)} and {described(other.shape)} have no order"
            help = self._unequal(one, other, written)
            return self._mistake("never", message, node, None if help and " in " in help else help).node
        if one.shape.optional or other.shape.optional or Sort.ANY in (one.shape.sort, other.shape.sort):
            return self._call_of(_ORDERS[type(op)].removeprefix("_"), [one.node, other.node], node)
        return _placed(ast.Compare(one.node, [op], [other.node]), node)

    def _listed(self, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: list[ast.expr]) -> bool:
        """
        Whether a property, which is a list, is compared as if it were one value; then it is told.
        """
        if Sort.VALUES not in (one.shape.sort, other.shape.sort):
            return False
        first = one.shape.sort is Sort.VALUES
        values, beside = written if first else reversed(written)
        shape = other.shape if first else one.shape
        name, sign = self.text.segment(values), _SIGNS[type(op)]
        piece = self.text.segment(beside)
        inner = piece.strip()[1:-1].strip() if isinstance(beside, ast.List | ast.Tuple | ast.Set) else piece
        positive = isinstance(op, ast.Eq)
        if shape.sort is Sort.NONE or not inner:
            help = f"not {name}" if positive else name
        elif isinstance(op, ast.Eq | ast.NotEq):
            help = f"{'has' if positive else 'lacks'}({name}, {inner})"
            if not positive:
                help += f", or others({name}, {inner}) where any other value counts"
        elif shape.sort in (Sort.NUMBER, Sort.BOOL):
            swap = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            help = f"number({name}) {sign if first else swap[sign]} {piece}"
        else:
            help = f"{'min' if sign.startswith('<') else 'max'}({name}) {sign} {piece}"
        message = f"{name} is a list of texts, and `{sign}` compares it as a whole"
        self._at("list-compared", message, *self.text.of(node), help)
        return True

    def _in(self, node: ast.Compare, op: ast.cmpop, one: Typed, other: Typed, written: list[ast.expr]) -> ast.expr:
        left, right = one.shape, other.shape
        function = "has" if isinstance(op, ast.In) else "lacks"
        if left.sort is Sort.VALUES and right.sort is not Sort.ANY:
            message = f"{self.text.segment(written[0])} is a list of texts, which as a whole is in nothing"
            literal = isinstance(written[1], ast.List | ast.Tuple | ast.Set)
            piece = self.text.segment(written[1])
            inner = piece.strip()[1:-1].strip() if literal else piece
            help = f"{function}({self.text.segment(written[0])}, {inner})"
            return self._mistake("list-compared", message, node, help).node
        if right.sort in (Sort.NUMBER, Sort.BOOL, Sort.NONE):
            return self._mistake("never", f"nothing can be in {described(right)}", node).node
        member = right.member if right.is_list else shapes.TEXT if right.sort is Sort.TEXT else shapes.ANY
        if right.sort in (Sort.VALUES, Sort.TEXT, Sort.SET, Sort.LIST) and not can_be_equal(left, member):
            message = f"{described(left)} is never in {described(right)}"
            help = f"in quotes: '{written[0].value}'" if isinstance(written[0], ast.Constant) else None
            if not (right.sort is Sort.LIST and member.is_namespace):
                return self._mistake("never", message, node, help).node
        if isinstance(written[1], ast.List | ast.Tuple | ast.Set):
            for text in written[1].elts:
                self._schema_beside(text, written[0])
        plain = not left.optional and left.sort in (Sort.TEXT, Sort.NUMBER, Sort.BOOL)
        sorts = (Sort.VALUES, Sort.LIST, Sort.TEXT, Sort.SET) if plain else (Sort.VALUES, Sort.LIST)
        if right.sort in sorts and not right.optional:
            return _placed(ast.Compare(one.node, [ast.In()], [_frozen(other.node)]), node)
        return self._call_of("among", [one.node, other.node], node)

    def _schema_beside(self, text: ast.expr, beside: ast.expr) -> None:
        """
        A text that is compared with the schema of an entity is the name of one.
        """
        match beside:
            case ast.Attribute(attr="schema", value=ast.Name(id=name)) if {**NAMES[self.kind], **self.scope}.get(
                name, shapes.ANY
            ).sort is Sort.ENTITY:
                pass
            case _:
                return
        if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
            return
        if self._schema_known(text, text.value) and text.value in ABSTRACT:
            message = f"no entity has schema {text.value!r} itself, only what descends from it"
            self._mistake("never", message, text, f'is_a({name}, "{text.value}")')

    def _schema_known(self, node: ast.expr, name: str) -> bool:
        if name in SCHEMATA:
            return True
        help = did_you_mean(name, SCHEMATA)
        self._mistake("unknown-schema", f"FollowTheMoney has no schema {name!r}", node, help)
        return False

    # --- functions ---

    def _call(self, node: ast.Call) -> Typed:
        if not isinstance(node.func, ast.Name):
            return self._method(node)
        name = node.func.id
        if self._twisted(node.func, name, self.text.segment(node.func)):
            return self._wrong(node)
        if name not in FUNCTIONS or name in self.scope:
            help = did_you_mean(name, FUNCTIONS) or f"the functions are: {', '.join(FUNCTIONS)}"
            if name in ("str", "int", "float", "bool", "list", "sum", "count"):
                help = {"int": "number(...)", "float": "number(...)", "count": "len(...)"}.get(name, help)
            for argument in node.args:
                if not isinstance(argument, ast.GeneratorExp | ast.Starred):
                    self._any(argument)
            return self._mistake("unknown-function", f"there is no function {name!r}", node.func, help)
        for keyword in node.keywords:
            self._mistake("not-allowed", "arguments have no names here", keyword.value)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self._mistake("not-allowed", "nothing is unpacked", argument, "a list stands for its members")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            return self._wrong(node)
        if name in AGGREGATES:
            return self._aggregate(node, name)
        wanted = _ARITY[name]
        if not wanted[0] <= len(node.args) <= wanted[1]:
            count = len(node.args)
            message = f"{name!r} cannot do with {count} argument{'' if count == 1 else 's'}"
            return self._mistake("wrong-argument", message, node, _USAGE[name])
        return _CALLS[name](self, node)

    def _method(self, node: ast.Call) -> Typed:
        if not isinstance(node.func, ast.Attribute):
            return self._mistake("not-allowed", "only a function that has a name can be called", node.func)
        name, base = node.func.attr, self.text.segment(node.func.value)
        arguments = ", ".join([base, *(self.text.segment(argument) for argument in node.args)])
        meant = {"search": "matches", "match": "matches", "casefold": "lower", "strip": None}.get(name, name)
        help = None
        if name == "get" and node.args:
            help = f"{base}[{self.text.segment(node.args[0])}]"
        elif meant in FUNCTIONS:
            help = f"{meant}({arguments})"
        self._at("not-allowed", "values have no methods here", *self._behind(node.func), help)
        return self._wrong(node)

    def _aggregate(self, node: ast.Call, name: str) -> Typed:
        if len(node.args) != 1:
            pieces = ", ".join(self.text.segment(argument) for argument in node.args)
            help = f"{name}([{pieces}])" if pieces else _USAGE[name]
            return self._mistake("wrong-argument", f"{name!r} takes one list, or one generator", node, help)
        argument = node.args[0]
        if isinstance(argument, ast.GeneratorExp):
            generator, member = self._generator(argument)
            if generator is None:
                return self._wrong(node)
            functions = {"len": "counted", "min": "least", "max": "greatest"}
            result = self._call_of(functions.get(name, name), [generator], node)
            return Typed(result, self._aggregated(name, member))
        typed = self._value(argument)
        shape = typed.shape
        if shape.sort is Sort.WRONG:
            return self._wrong(node)
        if name == "len" and shape.sort in (Sort.TEXT, Sort.LIST, Sort.VALUES, Sort.SET):
            known = not shape.optional
            return Typed(self._call_of("len" if known else "length", [typed.node], node), shapes.NUMBER)
        if not shape.is_list and shape.sort is not Sort.ANY:
            message = f"{name!r} takes a list, and this is {described(shape)}"
            return self._mistake("wrong-argument", message, argument)
        if name == "len":
            return Typed(self._call_of("length", [typed.node], node), shapes.NUMBER)
        node_of = typed.node if shape.is_list and not shape.optional else self._call_of("each", [typed.node], argument)
        result = self._call_of({"min": "least", "max": "greatest"}.get(name, name), [node_of], node)
        if name in ("min", "max") and shape.member.is_namespace:
            return self._mistake("wrong-argument", "entities have no order", argument)
        return Typed(result, self._aggregated(name, shape.member))

    def _aggregated(self, name: str, member: Shape) -> Shape:
        if name in ("any", "all"):
            return shapes.BOOL
        return shapes.NUMBER if name == "len" else Shape(member.sort, True, member.of)

    def _generator(self, node: ast.GeneratorExp) -> tuple[ast.expr | None, Shape]:
        if self.scope:
            self._mistake("not-allowed", "generators do not stand in each other", node)
            return None, shapes.WRONG
        first = node.generators[0]
        if len(node.generators) > 1:
            self._mistake("not-allowed", "a generator has one `for`", node.generators[1].target)
            return None, shapes.WRONG
        if first.is_async or not isinstance(first.target, ast.Name):
            self._mistake("not-allowed", "a generator gives its values one name", first.target, "for x in LIST")
            return None, shapes.WRONG
        name = first.target.id
        iterated = self._value(first.iter)
        if self._twisted(first.target, name, self.text.segment(first.target)):
            return None, shapes.WRONG
        if name in NAMES["where"] or name in FUNCTIONS or name.startswith("_"):
            message = f"{name!r} cannot be the name in a generator"
            self._mistake("not-allowed", message, first.target, "for x in LIST")
            return None, shapes.WRONG
        shape = iterated.shape
        if not shape.is_list and shape.sort not in (Sort.ANY, Sort.WRONG):
            self._mistake("wrong-argument", f"{described(shape)} has nothing in it to go through", first.iter)
            shape = shapes.WRONG
        member = shapes.WRONG if shape.sort is Sort.WRONG else shape.member
        self.scope[name] = member
        tests = [self._value(test).node for test in first.ifs]
        element = self._value(node.elt) if not _is_name(node.elt, name) else self._any(node.elt)
        del self.scope[name]
        over = (
            iterated.node
            if shape.is_list and not shape.optional
            else self._call_of("each", [iterated.node], first.iter)
        )
        target = _placed(ast.Name(name, ast.Store()), first.target)
        comprehension = ast.comprehension(target, over, tests, 0)
        shape = shapes.BOOL if element.shape.is_namespace else element.shape
        return _placed(ast.GeneratorExp(element.node, [comprehension]), node), shape

    def _call_is_a(self, node: ast.Call) -> Typed:
        entity = self._any(node.args[0])
        if entity.shape.sort not in (Sort.ENTITY, Sort.ANY, Sort.WRONG):
            message = f"the first argument of 'is_a' is an entity, and this is {described(entity.shape)}"
            self._mistake("wrong-argument", message, node.args[0], _USAGE["is_a"])
        names = [self._value(argument) for argument in node.args[1:]]
        for name, written in zip(names, node.args[1:], strict=True):
            if isinstance(name.node, ast.Constant) and isinstance(name.node.value, str):
                self._schema_known(written, name.node.value)
            elif name.shape.sort not in (Sort.TEXT, Sort.LIST, Sort.ANY, Sort.WRONG):
                self._mistake("wrong-argument", "a schema is named by a text", written, _USAGE["is_a"])
        known = _texts_of(name.node for name in names)
        if known is not None and entity.shape.sort is Sort.ENTITY:
            admitted = frozenset(schema for name in known for schema in descendants(name))
            of = self._of(entity.node, "schema", node)
            test = ast.Compare(of, [ast.In()], [_placed(ast.Constant(admitted), node)])  # pyright: ignore[reportArgumentType]
            return Typed(_placed(test, node), shapes.BOOL)
        return Typed(self._call_of("is_a", [entity.node, *(name.node for name in names)], node), shapes.BOOL)

    def _call_on_texts(self, node: ast.Call) -> Typed:
        """
        startswith, endswith, contains: a text or texts, and what is looked for in them.
        """
        name = _function(node)
        where, *wanted = [self._value(argument) for argument in node.args]
        self._must_be_text(node.args[0], where, name)
        for argument, written in zip(wanted, node.args[1:], strict=True):
            self._must_be_text(written, argument, name)
        return Typed(self._call_of(name, [where.node, *(one.node for one in wanted)], node), shapes.BOOL)

    def _must_be_text(self, written: ast.expr, typed: Typed, name: str) -> None:
        member = typed.shape.member.sort if typed.shape.is_list else typed.shape.sort
        if member not in (Sort.TEXT, Sort.ANY, Sort.WRONG):
            message = f"{name!r} takes texts, and this is {described(typed.shape)}"
            help = f"in quotes: '{written.value}'" if isinstance(written, ast.Constant) else None
            self._mistake("wrong-argument", message, written, help)

    def _call_lower(self, node: ast.Call) -> Typed:
        value = self._value(node.args[0])
        self._must_be_text(node.args[0], value, "lower")
        shape = value.shape if value.shape.sort is not Sort.SET else shapes.LIST
        return Typed(self._call_of("lower", [value.node], node), shape)

    def _call_matches(self, node: ast.Call) -> Typed:
        value, pattern = self._value(node.args[0]), node.args[1]
        self._must_be_text(node.args[0], value, "matches")
        if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
            message = "a pattern is written out, so that it is checked before anything runs"
            return self._mistake("bad-pattern", message, pattern, 'matches(e.fileName, r"...")')
        search = self._searched(pattern, pattern.value)
        if search is None:
            return self._wrong(node)
        name = f"_pattern{len(self.patterns)}"
        self.patterns[name] = search
        return Typed(self._call_of("matches", [_name(name, node), value.node], node), shapes.BOOL)

    def _searched(self, node: ast.expr, pattern: str) -> Callable[[bytes], object] | None:
        from oaflow.expressions.patterns import PatternError, search

        if any(letter < " " for letter in pattern):
            message = "the pattern holds a control character: a backslash counts twice in a text"
            self._mistake(
                "bad-pattern", message, node, f"write it with an r before the quotes: r{self.text.segment(node)}"
            )
            return None
        try:
            return search(pattern)
        except PatternError as error:
            message = f"{pattern!r} is no pattern: {error}"
            help = "no looking ahead or back, and no \\1: patterns take time that grows with the text only"
            self._mistake("bad-pattern", message, node, help if "(?" in pattern or "\\" in pattern else None)
            return None

    def _call_on_lists(self, node: ast.Call) -> Typed:
        """
        has, lacks, others: what is there, and what is wanted.
        """
        name = _function(node)
        found, *wanted = [self._value(argument) for argument in node.args]
        member = found.shape.member if found.shape.is_list else found.shape
        for argument, written in zip(wanted, node.args[1:], strict=True):
            shape = argument.shape.member if argument.shape.is_list else argument.shape
            if argument.shape.sort is not Sort.WRONG and not can_be_equal(member, shape):
                message = f"{described(argument.shape)} is never in {described(found.shape)}"
                help = f"in quotes: '{written.value}'" if isinstance(written, ast.Constant) else None
                self._mistake("never", message, written, help)
            self._schema_beside(argument.node, node.args[0])
        known = _texts_of(one.node for one in wanted)
        if known is None or found.shape.sort is not Sort.VALUES:
            return Typed(self._call_of(name, [found.node, *(one.node for one in wanted)], node), shapes.BOOL)
        return Typed(_inlined(name, found.node, known, node), shapes.BOOL)

    def _call_number(self, node: ast.Call) -> Typed:
        value = self._value(node.args[0])
        result = self._call_of("number", [value.node], node)
        return Typed(result, Shape(Sort.NUMBER, optional=True))

    def _call_of(self, name: str, arguments: list[ast.expr], node: ast.expr) -> ast.expr:
        return _placed(ast.Call(_name(f"_{name}", node), arguments, []), node)

    def _has(self, values: ast.expr, wanted: str) -> str:
        return f"has({self.text.segment(values)}, {wanted})"

    # --- what decides nothing ---

    def _always(self, node: ast.expr) -> None:
        """
        A text or a list that is written out is always true, so as a condition it is a mistake.
        """
        match node:
            case ast.BoolOp():
                for at, value in enumerate(node.values):
                    self._always_in(node, at, value)
            case ast.UnaryOp(op=ast.Not()):
                self._always(node.operand)
            case ast.IfExp():
                for part in (node.test, node.body, node.orelse):
                    self._always(part)
            case ast.Constant(value=str() | int() | float()) if not isinstance(node.value, bool):
                self._mistake("always", f"{self.text.segment(node)} alone decides nothing", node)
            case ast.List() | ast.Tuple() | ast.Set():
                self._mistake("always", "a list that is written out decides nothing", node)
            case _:
                pass

    def _always_in(self, node: ast.BoolOp, at: int, value: ast.expr) -> None:
        before = node.values[at - 1] if at else None
        match before, value:
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[other]), ast.Constant(value=str()):
                both = f"({self.text.segment(other)}, {self.text.segment(value)})"
                help = f"{self.text.segment(left)} in {both}"
                self._mistake("always", f"{self.text.segment(value)} alone is always true", value, help)
            case _:
                self._always(value)


_ARITY: Mapping[str, tuple[int, float]] = {
    "is_a": (2, float("inf")),
    "startswith": (2, float("inf")),
    "endswith": (2, float("inf")),
    "contains": (2, float("inf")),
    "lower": (1, 1),
    "matches": (2, 2),
    "has": (2, float("inf")),
    "lacks": (2, float("inf")),
    "others": (2, float("inf")),
    "number": (1, 1),
}

_USAGE: Mapping[str, str] = {
    "any": "any(TEST for x in LIST)",
    "all": "all(TEST for x in LIST)",
    "len": "len(LIST)",
    "min": "min(LIST)",
    "max": "max(LIST)",
    "is_a": 'is_a(e, "Document")',
    "startswith": 'startswith(e.mimeType, "image/")',
    "endswith": 'endswith(e.fileName, ".pdf")',
    "contains": 'contains(e.fileName, "draft")',
    "lower": "lower(e.fileName)",
    "matches": 'matches(e.fileName, r"[0-9]{4}")',
    "has": 'has(e.language, "eng")',
    "lacks": 'lacks(e.language, "eng")',
    "others": 'others(e.language, "eng")',
    "number": "number(e.fileSize)",
}

_CALLS: Mapping[str, Callable[[Translation, ast.Call], Typed]] = {
    "is_a": Translation._call_is_a,  # pyright: ignore[reportPrivateUsage]
    "startswith": Translation._call_on_texts,  # pyright: ignore[reportPrivateUsage]
    "endswith": Translation._call_on_texts,  # pyright: ignore[reportPrivateUsage]
    "contains": Translation._call_on_texts,  # pyright: ignore[reportPrivateUsage]
    "lower": Translation._call_lower,  # pyright: ignore[reportPrivateUsage]
    "matches": Translation._call_matches,  # pyright: ignore[reportPrivateUsage]
    "has": Translation._call_on_lists,  # pyright: ignore[reportPrivateUsage]
    "lacks": Translation._call_on_lists,  # pyright: ignore[reportPrivateUsage]
    "others": Translation._call_on_lists,  # pyright: ignore[reportPrivateUsage]
    "number": Translation._call_number,  # pyright: ignore[reportPrivateUsage]
}


def _placed(new: Any, old: ast.expr) -> Any:
    """
    A new node that says where the old one stood, so that what fails has a place.
    """
    return ast.copy_location(new, old)


def _name(name: str, node: ast.expr) -> ast.expr:
    return _placed(ast.Name(name, ast.Load()), node)


def _get(base: ast.expr, key: str, node: ast.expr) -> ast.expr:
    """
    `base.get(key)`, for what is known to be a mapping.
    """
    method = _placed(ast.Attribute(base, "get", ast.Load()), node)
    return _placed(ast.Call(method, [_placed(ast.Constant(key), node)], []), node)


def _arguments(names: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])


def _constant_set(nodes: Iterable[ast.expr]) -> ast.Constant:
    members: Any = frozenset(node.value for node in nodes if isinstance(node, ast.Constant))
    return ast.Constant(members)


def _frozen(node: ast.expr) -> ast.expr:
    """
    A list of constants is made once, where it is only looked into.
    """
    if isinstance(node, ast.List) and node.elts and all(isinstance(member, ast.Constant) for member in node.elts):
        return _placed(ast.Tuple(node.elts, ast.Load()), node)
    return node


def _texts_of(nodes: Iterable[ast.expr]) -> list[str] | None:
    """
    The texts that are written out; None where one is not.
    """
    found: list[str] = []
    for node in nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            return None
        found.append(node.value)
    return found


def _inlined(name: str, values: ast.expr, known: list[str], node: ast.expr) -> ast.expr:
    """
    has, lacks and others of a property, where all that is wanted is written out.
    """
    constant: Any = known[0] if len(known) == 1 and name != "others" else frozenset(known)
    wanted = _placed(ast.Constant(constant), node)
    if isinstance(constant, str):
        op = ast.In() if name == "has" else ast.NotIn()
        return _placed(ast.Compare(wanted, [op], [values]), node)
    method = _placed(ast.Attribute(wanted, "issuperset" if name == "others" else "isdisjoint", ast.Load()), node)
    test = _placed(ast.Call(method, [values], []), node)
    return test if name == "lacks" else _placed(ast.UnaryOp(ast.Not(), test), node)


def _joined(found: Iterable[Shape]) -> Shape:
    result: Shape | None = None
    for shape in found:
        result = shape if result is None else either(result, shape)
    return result or shapes.ANY


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_payload(node: ast.expr, base: Typed) -> bool:
    match node:
        case ast.Attribute(attr="payload", value=ast.Name(id="job")):
            return base.shape is shapes.ANY
        case _:
            return False


def _function(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _key(text: Text, node: ast.Attribute) -> str:
    return f'{text.segment(node.value)}["{node.attr}"]'


def _instead(kind: Kind, name: str) -> str:
    if kind == "enabled":
        return "whether a stage is enabled is decided when a run starts: params.NAME"
    return "where: ... looks at each entity" if kind == "when" else f"there is no {name!r} in `{kind}`"
