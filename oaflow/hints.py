"""
The annotations of a function as text: so plans say what a stage takes and returns, and workers compare that with their
own function.
"""

import inspect
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_type_hints

# Names that say nothing by their module: a plan reads the same however its author imported them.
_COMMON = re.compile(r"\b(?:oaflow(?:\.\w+)*|typing|collections\.abc)\.(?=\w+)")


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """
    The annotations, resolved; without those that cannot be, as a name of theirs is imported for type checkers only.
    """
    try:
        return get_type_hints(function)
    except Exception:
        return _one_by_one(function)


def _one_by_one(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        one = SimpleNamespace(__annotations__={name: annotation})
        try:
            found |= get_type_hints(one, getattr(function, "__globals__", {}))
        except Exception:  # as written, then
            continue
    return found


def written(annotation: Any) -> str | None:
    """
    An annotation as a plan has it; None where nothing was written.
    """
    if annotation is inspect.Parameter.empty:
        return None
    # get_type_hints gives the type of None where None was written.
    annotation = None if annotation is type(None) else annotation
    text = annotation.strip("'\"") if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _COMMON.sub("", text)


def taken(function: Callable[..., Any]) -> str | None:
    """
    What the first parameter of a function, the job, is annotated with.
    """
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (TypeError, ValueError):
        return None
    return None if first is None else written(hints_of(function).get(first.name, first.annotation))
