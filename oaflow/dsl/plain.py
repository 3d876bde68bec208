"""
Turns the values of a declaration into plain data: only what JSON can hold.
"""

import math
import os
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, cast

from oaflow.errors import UsageError


def plain(value: Any, place: str) -> Any:
    """
    A value as JSON holds it: tuples are lists, paths are texts.

    Raises:
        UsageError: something that no pipeline file could hold either.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case os.PathLike():
            return os.fspath(cast("os.PathLike[str]", value))
        case Mapping():
            members = cast("Mapping[Any, Any]", value)
            if not all(isinstance(key, str) for key in members):
                raise UsageError(f"{place} has a key that is not a text, which a plan cannot hold")
            return {key: plain(item, place) for key, item in members.items()}
        case list() | tuple():
            return [plain(item, place) for item in cast("Sequence[Any]", value)]
        case _:
            kind = str(value) if isinstance(value, float) else f"of type {type(value).__name__}"
            help = "pass a name or a path, and let the function make the object"
            if isinstance(value, FunctionType):
                help = "a stage is named by its key, and a condition is a text: {'to': 'index', 'where': '...'}"
            raise UsageError(
                f"{place} holds a value that is {kind}, and a plan holds texts, numbers, booleans, lists and mappings",
                help=help,
            )
