"""
Which classes a function takes and returns, as its annotations say. For the process that imported the function.
"""

import inspect
import types
from collections.abc import AsyncIterable, Iterable
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin

from oaflow.compiler.functions import Lineage
from oaflow.jobs import DatasetJob, Job
from oaflow.model import Out


def taken(annotation: Any) -> tuple[Lineage, ...] | None:
    """
    The classes of which a parameter takes one; None where the annotation does not say.
    """
    return _lineages(annotation, among=False)


def returned(annotation: Any) -> tuple[Lineage, ...] | None:
    """
    The classes of the jobs that a function returns by themselves, alone or one by one; None where that is not said.

    An `Out` is left out.
    """
    return _lineages(annotation, among=True)


def sent(annotation: Any) -> tuple[Lineage, ...] | None:
    """
    The classes of the jobs that a function returns in an `Out`, alone or one by one; None where that is not said.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Out:
        return _lineages(inner[0], among=False)
    if origin in (Union, types.UnionType):
        return _joined(map(sent, inner))
    if origin is Annotated:
        return sent(inner[0])
    if inspect.isclass(origin) and issubclass(origin, Iterable | AsyncIterable):
        return _joined(map(sent, _items(origin, inner)))
    nothing = annotation in (None, type(None), NoReturn)
    return () if nothing or (inspect.isclass(annotation) and issubclass(annotation, Job)) else None


def unseen(annotation: Any) -> str | None:
    """
    The class of jobs that an annotation is, where a function would miss something in a `DatasetJob` in its place.
    """
    if not inspect.isclass(annotation) or not issubclass(annotation, Job):
        return None
    for one in annotation.__mro__:
        if issubclass(one, Job) and not one.__module__.startswith("oaflow."):
            own = {*vars(one).get("__annotations__", ()), *vars(one)}
            if any(name in Job.model_fields or (name[0] != "_" and not hasattr(DatasetJob, name)) for name in own):
                return annotation.__name__
    return None


def _lineages(annotation: Any, among: bool) -> tuple[Lineage, ...] | None:
    """
    Args:
        among: whether what is iterated over counts by its items.
    """
    origin = get_origin(annotation)
    if annotation in (None, type(None), NoReturn) or (among and Out in (annotation, origin)):
        return ()
    if origin in (Union, types.UnionType):
        return _of_each(get_args(annotation), among)
    if origin is Annotated:
        return _lineages(get_args(annotation)[0], among)
    if isinstance(annotation, TypeVar):
        bound = annotation.__bound__
        return _of_each(annotation.__constraints__ or (() if bound is None else (bound,)), among) or None
    if among and inspect.isclass(origin) and issubclass(origin, Iterable | AsyncIterable):
        return _of_each(_items(origin, get_args(annotation)), among)
    return _of_class(annotation if origin is None else origin, among)


def _items(origin: type, inner: tuple[Any, ...]) -> list[Any]:
    """
    What is iterated over: of a generator the first is what it yields; only a tuple has more that are items.
    """
    return [one for one in inner if one is not ...] if origin is tuple else list(inner[:1])


def _of_each(annotations: Iterable[Any], among: bool) -> tuple[Lineage, ...] | None:
    return _joined(_lineages(one, among) for one in annotations)


def _joined(each: Iterable[tuple[Lineage, ...] | None]) -> tuple[Lineage, ...] | None:
    found = list(each)
    if None in found:
        return None
    return tuple(dict.fromkeys(lineage for lineages in found for lineage in lineages or ()))


def _of_class(kind: Any, among: bool) -> tuple[Lineage, ...] | None:
    if kind in (object, Any, inspect.Parameter.empty) or not inspect.isclass(kind):
        return None
    if inspect.isabstract(kind) or getattr(kind, "_is_protocol", False):
        return None
    model: dict[str, Any] = getattr(kind, "__pydantic_generic_metadata__", {})
    if any(one is Any or isinstance(one, TypeVar) for one in model.get("args", ())):
        return _of_class(model["origin"], among)
    # A collection of nobody knows what. A model is iterable too, over its fields; a text is not meant to be.
    if among and issubclass(kind, Iterable | AsyncIterable) and not issubclass(kind, Job | str):
        return None
    return (tuple(f"{one.__module__}:{one.__qualname__}" for one in kind.__mro__ if one is not object),)
