"""
Turns Python values of params into the texts that would be typed for them. Pure.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | os.PathLike[str]
Value: TypeAlias = Scalar | Sequence[Scalar]


def typed(params: Mapping[str, Value] | None) -> dict[str, tuple[str, ...]]:
    """
    Values of params by name, each as the texts that stand behind `-p NAME=`.
    """
    return {name: _texts(value) for name, value in (params or {}).items()}


def _texts(value: Value) -> tuple[str, ...]:
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    return tuple(map(_text, several))


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
