"""
Which entities of a returned job go along which edge, where the edges of its port do not all take all. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oaflow.plan import BoundStage, Condition, Facts

Entities = Sequence[Mapping[str, Any]]

# Positions in the entities of a job. None is the job as it is: all of them, or one that has none.
Share = Sequence[int] | None


class Choice(NamedTuple):
    """
    What becomes of one job at its port.

    Attributes:
        shares: beside the edges of the port, what goes along each; an empty one is nothing.
        untaken: what no edge takes.
    """

    shares: tuple[Share, ...]
    untaken: Share


def choose(
    stage: BoundStage, port: str, entities: Entities, facts: Facts, loaded: Entities | None = None
) -> Choice:
    """
    Decide over one job at a port of which the stage has conditions.

    Args:
        entities: of the job, as it was returned.
        loaded: the same entities as edges with `load` see them.

    Raises:
        ConditionError: a condition cannot be evaluated.
    """
    # A job without entities is one thing, which is taken or not.
    everything = range(len(entities) or 1)
    left: Sequence[int] = everything
    taken: set[int] = set()
    shares: list[Sequence[int]] = []
    for condition in stage.conditions[port]:
        share = _share(condition, loaded if condition.load and loaded is not None else entities, facts, left)
        taken.update(share)
        shares.append(share)
        if stage.choose == "first":
            left = [position for position in left if position not in taken]
    rest: Sequence[int] = [position for position in everything if position not in taken]
    for number, condition in enumerate(stage.conditions[port]):
        if condition.rest:
            shares[number], rest = rest, ()
    return Choice(tuple([_of_all(share, everything) for share in shares]), _of_all(rest, everything))


def _share(condition: Condition, entities: Entities, facts: Facts, left: Sequence[int]) -> Sequence[int]:
    if condition.rest or (condition.when is not None and not condition.when(facts)):
        return ()
    if condition.where is None:
        return left
    return [position for position in left if entities and condition.where(entities[position], facts)]


def _of_all(share: Sequence[int], everything: Sequence[int]) -> Share:
    return None if len(share) == len(everything) else tuple(share)
