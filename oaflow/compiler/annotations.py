"""
Decides whether a value fits the annotation of a parameter, if that consists of plain builtins; with any other
annotation it does.
"""

import ast
from collections.abc import Mapping
from typing import cast

from oaflow.model import Param
from oaflow.plan import references

# What a value is, as an annotation would say it: `str`, `list[int]`, `dict`, `None`. "" is unknown.
Shape = str

_OF_PARAM: Mapping[str, Shape] = {
    "string": "str",
    "path": "str",
    "choice": "str",
    "int": "int",
    "size": "int",
    "float": "float",
    "duration": "float",
    "bool": "bool",
}

_LISTS = ("list", "Sequence", "Iterable", "Collection")
_PLAIN = ("str", "int", "float", "bool", "list", "dict", "None", "bytes")


def shape_of(value: object, params: Mapping[str, Param]) -> Shape:
    """
    What a function will be given for a value of `with`, once the params are filled in.
    """
    match value:
        case None:
            return "None"
        case str():
            return _text_shape(value, params)
        case bool() | int() | float():
            return type(value).__name__
        case Mapping():
            return "dict"
        case list() | tuple():
            shapes = {shape_of(item, params) for item in cast("list[object]", value)}
            return f"list[{' | '.join(sorted(shapes))}]" if shapes and "" not in shapes else "list"
        case _:
            return ""


def _text_shape(text: str, params: Mapping[str, Param]) -> Shape:
    for name in references(text):
        if text == f"${{params.{name}}}":
            param = params.get(name)
            if param is None:
                return ""
            if param.type == "list":
                return f"list[{_OF_PARAM[param.of or 'string']}]"
            return _OF_PARAM[param.type]
    return "str"


def accepted(value: object, annotation: str | None, params: Mapping[str, Param]) -> bool:
    """
    Whether a parameter with this annotation takes a value of `with`, as far as can be told.
    """
    if annotation is None:
        return True
    try:
        wanted = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return True
    return _takes(wanted, value, params)


def _takes(wanted: ast.expr, value: object, params: Mapping[str, Param]) -> bool:
    match wanted:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _takes(left, value, params) or _takes(right, value, params)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return value is None or _takes(inner, value, params)
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in _LISTS and isinstance(value, list | tuple):
            return all(_takes(inner, item, params) for item in cast("list[object]", value))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            return _is_member(inner, value, params)
        case _:
            shape = shape_of(value, params)
            return not shape or _fits(ast.parse(shape, mode="eval").body, wanted)


def _is_member(members: ast.expr, value: object, params: Mapping[str, Param]) -> bool:
    """
    Whether a value is one of those in a `Literal`; of what a param fills in, whether it is of the type of one.
    """
    try:
        known = [ast.literal_eval(one) for one in (members.elts if isinstance(members, ast.Tuple) else [members])]
    except ValueError:  # a member of an enum
        return True
    if isinstance(value, str) and references(value):
        return shape_of(value, params) in ("", *(type(one).__name__ for one in known))
    # 1 is no True.
    return any(type(one) is type(value) and one == value for one in known)


def _fits(given: ast.expr, wanted: ast.expr) -> bool:
    match wanted:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _fits(given, left) or _fits(given, right)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return _name(given) == "None" or _fits(given, inner)
        case ast.Subscript(value=ast.Name(id=name), slice=inner) if name in _LISTS:
            if _name(given) != "list":
                return False
            return not isinstance(given, ast.Subscript) or _fits(given.slice, inner)
        case ast.Subscript(value=ast.Name(id="dict" | "Mapping")):
            return _name(given) == "dict"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=_):
            return True
        case ast.Attribute(attr="Path"):
            # A worker makes one of the text.
            return _name(given) == "str"
        case ast.Name(id="Path"):
            # Known to type checkers only, and as such of no use to a worker: the text stays one.
            return False
        case ast.Name(id="tuple" | "set"):
            return _name(given) == "list"
        case ast.Name(id=name) if name in _PLAIN:
            return _name(given) == name or (name == "float" and _name(given) == "int")
        case ast.Constant(value=None):
            return _name(given) == "None"
        case _:
            return True


def _name(expression: ast.expr) -> str:
    match expression:
        case ast.Name(id=name):
            return name
        case ast.Subscript(value=ast.Name(id=name)):
            return name
        case ast.Constant(value=None):
            return "None"
        case _:
            return ""
