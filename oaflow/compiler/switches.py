"""
Which stages can be off in one run, by the values that params can have. Pure.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from oaflow.model import Param, Pipeline

# Combinations of values that are tried; where there are more, expressions are taken for independent of each other.
MOST = 256


@dataclass(frozen=True)
class Switches:
    """
    The `enabled` expressions of a pipeline.

    Attributes:
        known: those on params of which all values can be tried.
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
    from oaflow.expressions import EvaluationError, compile_expression

    values = {name: found for name, param in pipeline.params.items() if (found := _values(param))}
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


def _values(param: Param) -> tuple[Any, ...]:
    """
    All values that a param can have; none where they cannot be counted.
    """
    match param.type:
        case "bool":
            return (True, False)
        case "choice":
            unsaid = () if param.required or param.default is not None else (None,)
            return (*(param.choices or ()), *unsaid)
        case _:
            return ()
