"""
Notes where in Python a pipeline, a stage or a param was declared. This happens for each of them, so it does as little
as possible.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType
from typing import NamedTuple


class Place(NamedTuple):
    """
    A call in a source file. Lines count from 1, columns are bytes from 0, the ends are exclusive; where Python does not
    know (`-X no_debug_ranges`), the columns are -1.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Call:
    """
    A call that goes on: the code that it stands in, and the instruction. Which line that is takes longer to find out
    than the whole declaration.
    """

    code: CodeType
    instruction: int


def caller() -> Call | None:
    """
    The call of the function that asks.
    """
    # Not `inspect`, which looks for the source. Python of other makers may have no frames.
    frame = sys._getframe(2) if hasattr(sys, "_getframe") else None  # pyright: ignore[reportPrivateUsage]
    return Call(frame.f_code, frame.f_lasti) if frame is not None else None


def places(calls: Iterable[Call]) -> list[Place]:
    """
    Where calls stand, in their order.
    """
    known: dict[CodeType, list[tuple[int | None, int | None, int | None, int | None]]] = {}
    found: list[Place] = []
    for call in calls:
        positions = known.get(call.code)
        if positions is None:
            positions = known[call.code] = list(call.code.co_positions())
        line, end_line, column, end_column = positions[call.instruction // 2]
        line = line or call.code.co_firstlineno
        if column is None or end_line is None or end_column is None:
            end_line, column, end_column = line, -1, -1
        found.append(Place(call.code.co_filename, line, column, end_line, end_column))
    return found
