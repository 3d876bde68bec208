"""
What is known of a value before there is one. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import reduce
from itertools import product
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
    MAPPING = auto()
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
    values that there are, and `parts` what a value of ANY kind is one of, where these are known.
    """

    sort: Sort
    optional: bool = False
    of: "Shape | None" = None
    choices: tuple[Any, ...] = ()
    parts: tuple["Shape", ...] = ()

    @property
    def alternatives(self) -> tuple["Shape", ...]:
        """
        What it is one of: itself, where nothing else is known.
        """
        return self.parts or (self,)

    @property
    def is_list(self) -> bool:
        return self.sort in (Sort.LIST, Sort.SET, Sort.VALUES)

    @property
    def has_members(self) -> bool:
        """
        What can be gone through: a mapping by its keys. What nothing is known of may be such.
        """
        return all(one.is_list or one.sort in (Sort.MAPPING, Sort.ANY) for one in self.alternatives)

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
MAYBE_MAPPING = Shape(Sort.MAPPING, optional=True, of=TEXT)
ENTITY = Shape(Sort.ENTITY)
ENTITIES = Shape(Sort.LIST, of=ENTITY)
JOB = Shape(Sort.JOB)
PAYLOAD = Shape(Sort.PAYLOAD)
PARAMS = Shape(Sort.PARAMS)
RUN = Shape(Sort.RUN)
WRONG = Shape(Sort.WRONG, optional=True)

# What the types of params are here, but for lists and choices.
_PARAMS: Mapping[str, Shape] = {
    "string": TEXT,
    "path": TEXT,
    "int": NUMBER,
    "float": NUMBER,
    "duration": NUMBER,
    "size": NUMBER,
    "bool": BOOL,
}

_GROUPS = {Sort.BOOL: Sort.NUMBER, Sort.VALUES: Sort.LIST}


def of_param(type: str, choices: tuple[Any, ...] = (), of: str | None = None) -> Shape:
    """
    The shape of a param, which may be without a value, by its declared type; `of` is the type of the items of a list,
    and the choices are those of its items then.
    """
    item = _of_value((of or "string") if type == "list" else type, choices)
    return replace(Shape(Sort.LIST, of=item) if type == "list" else item, optional=True)


def _of_value(type: str, choices: tuple[Any, ...]) -> Shape:
    shape = _PARAMS.get(type) or joined(_of_choice(choice) for choice in choices)
    return replace(shape, choices=choices)


def _of_choice(choice: Any) -> Shape:
    match choice:
        case bool():
            return BOOL
        case int() | float():
            return NUMBER
        case _:
            return TEXT if isinstance(choice, str) else ANY


def joined(found: Iterable[Shape]) -> Shape:
    """
    The shape of what is any of these; of nothing, anything.
    """
    several = list(found)
    return reduce(either, several) if several else ANY


def either(one: Shape, other: Shape) -> Shape:
    """
    The shape of what is the one or the other.
    """
    if Sort.WRONG in (one.sort, other.sort):
        return WRONG
    optional = one.optional or other.optional
    if one.sort is Sort.NONE or other.sort is Sort.NONE:
        return replace(other if one.sort is Sort.NONE else one, optional=True)
    if Sort.ANY in (one.sort, other.sort):
        return _one_of(one, other)
    if one.sort is other.sort:
        of = either(one.of, other.of) if one.of and other.of else None
        return Shape(one.sort, optional, of, one.choices if one.choices == other.choices else ())
    if {one.sort, other.sort} == {Sort.VALUES, Sort.LIST}:
        return Shape(Sort.LIST, optional, either(one.member, other.member))
    return _one_of(one, other)


def _one_of(one: Shape, other: Shape) -> Shape:
    """
    What may be of several kinds, each once.
    """
    parts: list[Shape] = []
    for shape in (*one.alternatives, *other.alternatives):
        if shape.sort is Sort.ANY:
            return ANY
        same = next((part for part in parts if _kind(part) is _kind(shape)), None)
        if same is None:
            parts.append(shape)
        else:
            parts[parts.index(same)] = either(same, shape)
    return Shape(Sort.ANY, one.optional or other.optional, parts=tuple(parts))


def _kind(shape: Shape) -> Sort:
    return Sort.LIST if shape.sort is Sort.VALUES else shape.sort


def can_be_equal(one: Shape, other: Shape) -> bool:
    """
    Whether values of these shapes are ever equal. As in Python, true is 1.
    """
    if one.parts or other.parts:
        pairs = product(one.alternatives, other.alternatives)
        return (one.optional and other.optional) or any(can_be_equal(*pair) for pair in pairs)
    if Sort.WRONG in (one.sort, other.sort) or Sort.ANY in (one.sort, other.sort):
        return True
    if Sort.NONE in (one.sort, other.sort):
        return one.optional and other.optional
    return _GROUPS.get(one.sort, one.sort) is _GROUPS.get(other.sort, other.sort)


def can_be_ordered(one: Shape, other: Shape) -> bool:
    """
    Whether one may come before the other, whichever of its kinds it is: texts do, and numbers.
    """
    if one.parts or other.parts:
        return all(can_be_ordered(*pair) for pair in product(one.alternatives, other.alternatives))
    sorts = {_GROUPS.get(shape.sort, shape.sort) for shape in (one, other)}
    if Sort.WRONG in sorts:
        return True
    return sorts <= {Sort.ANY, Sort.TEXT} or sorts <= {Sort.ANY, Sort.NUMBER}


def described(shape: Shape) -> str:
    """
    A shape in an author's words.
    """
    words = " or ".join(_WORDS[one.sort] for one in shape.alternatives)
    return f"either {words}" if shape.parts else words


_WORDS: Mapping[Sort, str] = {
    Sort.ANY: "a value",
    Sort.NONE: "None",
    Sort.BOOL: "true or false",
    Sort.NUMBER: "a number",
    Sort.TEXT: "a text",
    Sort.LIST: "a list",
    Sort.SET: "a set",
    Sort.MAPPING: "a mapping",
    Sort.VALUES: "a property (a list of texts)",
    Sort.ENTITY: "an entity",
    Sort.JOB: "the job",
    Sort.PAYLOAD: "the payload",
    Sort.PARAMS: "the params",
    Sort.RUN: "the run",
    Sort.WRONG: "a value",
}
