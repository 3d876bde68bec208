"""
What is known of a value before there is one. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any


class Sort(Enum):
    """
    What kind of value it is, as far as that can be known.
    """

    ANY = auto()
    NONE = auto()
    BOOL = auto()
    NUMBER = auto()
    TEXT = auto()
    LIST = auto()
    SET = auto()
    VALUES = auto()  # of a property: a list of texts, in no order
    ENTITY = auto()
    JOB = auto()
    PAYLOAD = auto()
    PARAMS = auto()
    RUN = auto()
    WRONG = auto()  # a mistake was told, and nothing that follows from it is one


@dataclass(frozen=True, slots=True)
class Shape:
    """
    A kind of value, which may be missing if it is `optional`. `of` is that of the members of a list. `choices` are all
    values that there are, where these are known.
    """

    sort: Sort
    optional: bool = False
    of: "Shape | None" = None
    choices: tuple[Any, ...] = ()

    @property
    def is_list(self) -> bool:
        return self.sort in (Sort.LIST, Sort.SET, Sort.VALUES)

    @property
    def is_namespace(self) -> bool:
        """
        What has fields, and is no value itself.
        """
        return self.sort in (Sort.ENTITY, Sort.JOB, Sort.PAYLOAD, Sort.PARAMS, Sort.RUN)

    @property
    def member(self) -> "Shape":
        """
        The shape of what is in it.
        """
        return self.of or ANY


ANY = Shape(Sort.ANY, optional=True)
NONE = Shape(Sort.NONE, optional=True)
BOOL = Shape(Sort.BOOL)
NUMBER = Shape(Sort.NUMBER)
MAYBE_NUMBER = Shape(Sort.NUMBER, optional=True)
TEXT = Shape(Sort.TEXT)
MAYBE_TEXT = Shape(Sort.TEXT, optional=True)
LIST = Shape(Sort.LIST)
SET = Shape(Sort.SET)
VALUES = Shape(Sort.VALUES, of=TEXT)
ENTITY = Shape(Sort.ENTITY)
ENTITIES = Shape(Sort.LIST, of=ENTITY)
JOB = Shape(Sort.JOB)
PAYLOAD = Shape(Sort.PAYLOAD)
PARAMS = Shape(Sort.PARAMS)
RUN = Shape(Sort.RUN)
WRONG = Shape(Sort.WRONG, optional=True)

# What the types of params are here. A param may be without a value.
_PARAMS: Mapping[str, Shape] = {
    "string": MAYBE_TEXT,
    "path": MAYBE_TEXT,
    "int": MAYBE_NUMBER,
    "float": MAYBE_NUMBER,
    "duration": MAYBE_NUMBER,
    "size": MAYBE_NUMBER,
    "bool": Shape(Sort.BOOL, optional=True),
    "list": Shape(Sort.LIST, optional=True),
}

_GROUPS = {Sort.BOOL: Sort.NUMBER, Sort.VALUES: Sort.LIST}


def of_param(type: str, choices: tuple[Any, ...] = ()) -> Shape:
    """
    The shape of a param by its declared type; a `choice` may be anything. The choices of a list are those of its items.
    """
    shape = _PARAMS.get(type, ANY)
    if not choices:
        return shape
    return replace(shape, of=replace(ANY, choices=choices)) if shape.is_list else replace(shape, choices=choices)


def either(one: Shape, other: Shape) -> Shape:
    """
    The shape of what is the one or the other.
    """
    if Sort.WRONG in (one.sort, other.sort):
        return WRONG
    optional = one.optional or other.optional
    if one.sort is Sort.NONE or other.sort is Sort.NONE:
        return replace(other if one.sort is Sort.NONE else one, optional=True)
    if one.sort is other.sort:
        of = one.of if one.of == other.of else None
        return Shape(one.sort, optional, of, one.choices if one.choices == other.choices else ())
    if {one.sort, other.sort} == {Sort.VALUES, Sort.LIST}:
        return Shape(Sort.LIST, optional)
    return ANY


def can_be_equal(one: Shape, other: Shape) -> bool:
    """
    Whether values of these shapes are ever equal. As in Python, true is 1.
    """
    if Sort.WRONG in (one.sort, other.sort) or Sort.ANY in (one.sort, other.sort):
        return True
    if Sort.NONE in (one.sort, other.sort):
        return one.optional and other.optional
    return _GROUPS.get(one.sort, one.sort) is _GROUPS.get(other.sort, other.sort)


def can_be_ordered(one: Shape, other: Shape) -> bool:
    """
    Whether one may come before the other: texts do, and numbers.
    """
    sorts = {_GROUPS.get(shape.sort, shape.sort) for shape in (one, other)}
    if Sort.WRONG in sorts:
        return True
    return sorts <= {Sort.ANY, Sort.TEXT} or sorts <= {Sort.ANY, Sort.NUMBER}


def described(shape: Shape) -> str:
    """
    A shape in an author's words.
    """
    return _WORDS[shape.sort]


_WORDS: Mapping[Sort, str] = {
    Sort.ANY: "a value",
    Sort.NONE: "None",
    Sort.BOOL: "true or false",
    Sort.NUMBER: "a number",
    Sort.TEXT: "a text",
    Sort.LIST: "a list",
    Sort.SET: "a set",
    Sort.VALUES: "a property (a list of texts)",
    Sort.ENTITY: "an entity",
    Sort.JOB: "the job",
    Sort.PAYLOAD: "the payload",
    Sort.PARAMS: "the params",
    Sort.RUN: "the run",
    Sort.WRONG: "a value",
}
