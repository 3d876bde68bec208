"""
Which stages can be off together in one run, for all values that params can have. Pure.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, floor, isfinite, prod
from typing import Any

from oaflow.model import Param, Pipeline

# Combinations of values that are tried; where there are more, expressions are taken for independent of each other.
MOST = 256


@dataclass(frozen=True)
class Switches:
    """
    The `enabled` expressions of a pipeline.

    Attributes:
        known: those on params of which values for all that they can be were tried.
        sets: of these, what is false together in some run.
    """

    known: frozenset[str]
    sets: frozenset[frozenset[str]]

    def off_with(self, wanted: Collection[str]) -> Iterator[frozenset[str]]:
        """
        What may be false in a run in which the wanted expressions are.

        An expression that cannot be tried is false where it is wanted so, and else true: then the most stages are left.
        """
        tried, free = self.known.intersection(wanted), self.known.union(wanted) - self.known
        return (off | free for off in self.sets if off >= tried)


def switches_of(pipeline: Pipeline) -> Switches:
    """
    The expressions of a pipeline in which they can be evaluated.
    """
    written = {stage.enabled for stage in pipeline.stages.values() if isinstance(stage.enabled, str)}
    nothing_tried = Switches(frozenset(), frozenset([frozenset[str]()]))
    if not written:
        return nothing_tried
    # Loaded where there is one, as in the checks of names.
    from oaflow.expressions import EvaluationError, compared, compile_expression

    constants = [compared(text) for text in written]
    values = {
        name: found
        for name, param in pipeline.params.items()
        if (found := _values(param, [asked[name] for asked in constants if name in asked]))
    }
    every = {text: compile_expression(text, "enabled") for text in written}
    tried = {text: one for text, one in every.items() if one.params <= values.keys()}
    used = sorted(frozenset[str]().union(*(one.params for one in tried.values())))
    if prod(len(values[name]) for name in used) > MOST:
        return nothing_tried
    sets: set[frozenset[str]] = set()
    for chosen in product(*(values[name] for name in used)):
        params = dict(zip(used, chosen, strict=True))
        try:
            sets.add(frozenset(text for text, one in tried.items() if not one.holds(params=params)))
        except EvaluationError:  # no run begins with these
            continue
    return Switches(frozenset(tried), frozenset(sets))


def _values(param: Param, asked: Sequence[frozenset[Any] | None]) -> tuple[Any, ...]:
    """
    Values of a param, of which for each that it can have one is in the same place: true or false, equal to, below or
    above what it is compared with. None where more than that is asked of it.
    """
    if param.type == "bool":
        return (True, False)
    unsaid = () if param.required or param.default is not None else (None,)
    if param.type == "choice":
        return (*(param.choices or ()), *unsaid)
    if None in asked:
        return ()
    constants = frozenset[Any]().union(*(one for one in asked if one is not None))
    match param.type:
        case "string" | "path":
            texts = [one for one in constants if isinstance(one, str)]
            # Right behind a text comes the one with a letter more, and before all others the empty one.
            return (*dict.fromkeys(["", "x", *texts, *(f"{one}\0" for one in texts)]), *unsaid)
        case "list":
            return ([], ["x"], *unsaid)
        case "int" | "size":
            numbers = [round_(one) for one in _numbers(constants) for round_ in (floor, ceil)]
            return (*dict.fromkeys(one + step for one in (0, *numbers) for step in (-1, 0, 1)), *unsaid)
        case "float" | "duration":
            numbers = sorted({0.0, *_numbers(constants)})
            between = [(one + other) / 2 for one, other in pairwise(numbers)]
            return (numbers[0] - 1.0, *numbers, *between, numbers[-1] + 1.0, *unsaid)


def _numbers(constants: Collection[Any]) -> list[float]:
    return [one for one in constants if isinstance(one, int | float) and isfinite(one)]
