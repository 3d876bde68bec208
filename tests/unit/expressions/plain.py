"""
The same expressions in plain Python: `eval` over objects that know what is missing. An oracle for tests, nothing else.

It shares no code with oaflow: a reader can see in a page what expressions are to mean.
"""

import ast
import math
import re
from collections.abc import Callable
from typing import Any

from oaflow.schemata import is_a


class Nothing:
    """
    What is missing: empty, equal to None, without an order, and with nothing in it.
    """

    def __getattr__(self, name: str) -> "Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: Any) -> "Nothing":
        return self

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: Any) -> bool:
        return other is None or isinstance(other, Nothing)

    def __hash__(self) -> int:
        return hash(None)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, _: Any) -> bool:
        return False

    def __lt__(self, _: Any) -> bool:
        return False

    __gt__ = __le__ = __ge__ = __lt__


NOTHING = Nothing()


class Missing:
    """
    Attributes and keys that are not there are missing, and no mistake.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return NOTHING


class Text(Missing, str):
    def __getitem__(self, key: Any) -> Any:
        return NOTHING

    def __contains__(self, other: Any) -> bool:
        return other is not NOTHING and super().__contains__(other)

    def __iter__(self) -> Any:
        raise TypeError("a text is no list")


class Number(Missing):
    def __getitem__(self, key: Any) -> Any:
        return NOTHING

    def __iter__(self) -> Any:
        raise TypeError("a number is no list")


class Whole(Number, int):
    pass


class Real(Number, float):
    pass


class Items(Missing, list):
    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except (IndexError, TypeError):
            return NOTHING

    def __lt__(self, other: Any) -> bool:
        if other is NOTHING:
            return False
        raise TypeError("lists have no order")

    __gt__ = __le__ = __ge__ = __lt__


class Data(Missing, dict):
    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, key: Any) -> Any:
        return self.get(key, NOTHING) if isinstance(key, str) else NOTHING

    def __contains__(self, key: Any) -> bool:
        return not isinstance(key, list | dict) and super().__contains__(key)


class Entity(Data):
    def __getattr__(self, name: str) -> Any:
        if name in ("id", "schema", "caption"):
            return self[name]
        found = self["properties"]
        return found.get(name, Items()) if isinstance(found, dict) else Items()

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if key in ("id", "schema", "caption", "properties") else getattr(self, key)


def wrapped(value: Any) -> Any:
    match value:
        case None:
            return NOTHING
        case bool():
            return value
        case str():
            return Text(value)
        case int():
            return Whole(value)
        case float():
            return Real(value)
        case list() | tuple():
            return Items(map(wrapped, value))
        case dict() if "schema" in value:
            return Entity({key: wrapped(item) for key, item in value.items()})
        case dict():
            return Data({key: wrapped(item) for key, item in value.items()})
        case _:
            return value


def listed(value: Any) -> list[Any]:
    if value is NOTHING:
        return []
    return list(value) if isinstance(value, list | frozenset | set) else [value]


def flat(values: Any) -> list[Any]:
    return [one for value in values for one in listed(value)]


def texts(value: Any) -> list[str]:
    if not isinstance(value, str | list | Nothing):
        raise TypeError("no text")
    return [text for text in listed(value) if isinstance(text, str)]


def only_texts(values: Any) -> list[str]:
    given = [value for value in flat(values) if value is not None and value is not NOTHING]  # None is no value
    if not all(isinstance(value, str) for value in given):
        raise TypeError("no text")
    return given


def lower(value: Any) -> Any:
    if isinstance(value, str):
        return Text(str.lower(value))
    return NOTHING if value is NOTHING else Items(Text(str.lower(text)) for text in texts(value))


def as_number(value: Any) -> Any:
    if isinstance(value, bool):
        return NOTHING
    if isinstance(value, int | float):
        return value
    try:
        read = float(value) if not str.strip(value, "0123456789.eE+-") else math.nan
    except (ValueError, TypeError):
        return NOTHING
    return read if math.isfinite(read) else NOTHING


def number(value: Any) -> Any:
    return max((read for one in listed(value) if (read := as_number(one)) is not NOTHING), default=NOTHING)


def extreme(choose: Any) -> Any:
    def found(values: Any) -> Any:
        there = [value for value in values if value is not NOTHING]
        if any(isinstance(value, list | dict) for value in there):
            raise TypeError("no order")
        return choose(there) if there else NOTHING

    return found


def length(value: Any) -> int:
    if isinstance(value, str):
        return str.__len__(value)
    return len(value) if hasattr(value, "__len__") else sum(1 for _ in value)


def has(found: Any, *wanted: Any) -> bool:
    return any(value in listed(found) for value in flat(wanted))


def on_texts(test: Any) -> Any:
    def found(value: Any, *pieces: Any) -> bool:
        whole, wanted = texts(value), only_texts(pieces)
        return any(test(text, piece) for text in whole for piece in wanted)

    return found


FUNCTIONS = {
    "any": any,
    "all": all,
    "len": length,
    "min": extreme(min),
    "max": extreme(max),
    "is_a": lambda entity, *names: any(is_a(entity.schema, name) for name in only_texts(names)),
    "has": has,
    "lacks": lambda found, *wanted: not has(found, *wanted),
    "others": lambda found, *known: any(value not in flat(known) for value in listed(found)),
    "startswith": on_texts(str.startswith),
    "endswith": on_texts(str.endswith),
    "contains": on_texts(str.__contains__),
    # Of letters, digits and blanks RE2 means those of ASCII.
    "matches": lambda value, pattern: any(re.search(str(pattern), text, re.ASCII) for text in texts(value)),
    "list": list,
    "lower": lower,
    "number": number,
    "wrapped": wrapped,
    "at": lambda value, key: NOTHING if isinstance(value, bool) else value[key],
}


class Wrapping(ast.NodeTransformer):
    """
    Values that are written out know what is missing, too.
    """

    def visit_Constant(self, node: ast.Constant) -> Any:
        return ast.Call(ast.Name("wrapped", ast.Load()), [node], [])

    def visit_List(self, node: ast.List) -> Any:
        self.generic_visit(node)
        return ast.Call(ast.Name("wrapped", ast.Load()), [node], [])

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        return self.visit_List(ast.List(node.elts, ast.Load()))

    def visit_Compare(self, node: ast.Compare) -> Any:
        # What has no hash is in no set, and may be looked for there.
        self.generic_visit(node)
        among = zip(node.ops, node.comparators, strict=True)
        node.comparators = [
            ast.Call(ast.Name("list", ast.Load()), [other], [])
            if isinstance(op, ast.In | ast.NotIn) and isinstance(other, ast.Set)
            else other
            for op, other in among
        ]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return ast.Call(ast.Name("at", ast.Load()), [self.visit(node.value), node.slice], [])


def plain(source: str) -> Callable[..., Any]:
    """
    An expression as plain Python has it: what is called with the names that it uses. Whatever it raises, an expression
    is to fail.
    """
    tree = ast.fix_missing_locations(Wrapping().visit(ast.parse(source, mode="eval")))
    code = compile(tree, "plain", "eval")

    def evaluate(**names: Any) -> Any:
        given = {name: wrapped(value) for name, value in names.items()}
        found = eval(code, {"__builtins__": {}, **FUNCTIONS, **given})
        return None if found is NOTHING else found

    return evaluate
