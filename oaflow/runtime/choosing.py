"""
Decides which entities of a returned job go along which edge of its port, if there are conditions on the edges. Pure.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from oaflow.errors import RouteError
from oaflow.expressions import EvaluationError, Expression
from oaflow.plan import BoundStage, Condition, Facts, PlannedEdge, with_place

Entities = Sequence[dict[str, Any]]

# Positions in the entities of a job. None means the job as it is: all of them, or a job without entities.
Share = Sequence[int] | None


class ConditionError(RouteError):
    """
    The condition of an edge met a value that it cannot evaluate. A repetition would fail again.
    """

    def __init__(self, stage: BoundStage, edge: PlannedEdge, key: str, problem: EvaluationError) -> None:
        self.stage, self.edge, self.key, self.problem = stage.name, edge, key, problem
        what = f"`{key}` of the edge from stage {stage.name!r}, port {edge.port!r}, to {edge.to!r}"
        place = stage.places.get(f"{edge.port}>{edge.to}.{key}")
        help = "oaflow route shows what a condition sees of a job"
        super().__init__(f"{with_place(what, place)}: {problem}", help=help)


class Choice(NamedTuple):
    """
    What becomes of one job at its port.

    Attributes:
        shares: what each edge takes, parallel to the edges of the port; an empty share takes nothing.
        untaken: what no edge takes.
    """

    shares: tuple[Share, ...]
    untaken: Share


def choose(stage: BoundStage, port: str, entities: Entities, facts: Facts, loaded: Entities | None = None) -> Choice:
    """
    Decide about one job at a port whose edges have conditions.

    Args:
        entities: of the job, as it was returned.
        loaded: the same entities, as edges with `load` see them.

    Raises:
        ConditionError: a condition cannot be evaluated.
    """
    # A job without entities is taken as a whole, or not at all.
    everything = range(len(entities) or 1)
    left: Sequence[int] = everything
    taken: set[int] = set()
    shares: list[Sequence[int]] = []
    for condition in stage.conditions[port]:
        seen = loaded if condition.edge.load and loaded is not None else entities
        share = () if condition.edge.rest else _taken(stage, condition, seen, left, facts)
        taken.update(share)
        shares.append(share)
        if stage.choose == "first":
            left = [position for position in left if position not in taken]
    rest: Sequence[int] = [position for position in everything if position not in taken]
    for number, condition in enumerate(stage.conditions[port]):
        if condition.edge.rest:
            shares[number], rest = rest, ()
    return Choice(tuple([_of_all(share, everything) for share in shares]), _of_all(rest, everything))


def _taken(
    stage: BoundStage, condition: Condition, entities: Entities, left: Sequence[int], facts: Facts
) -> Sequence[int]:
    key = "when"
    try:
        if condition.when is not None and not condition.when.holds(**facts._asdict()):
            return ()
        key = "where"
        return left if condition.where is None else _holding(condition.where, entities, left, facts)
    except EvaluationError as problem:
        raise ConditionError(stage, condition.edge, key, problem) from problem


def _holding(where: Expression, entities: Entities, left: Sequence[int], facts: Facts) -> Sequence[int]:
    if not entities:
        return ()
    try:
        return [position for position in left if where.test(entities[position], *facts)]
    except Exception:
        # Evaluated again in the slower way that reports what failed and where.
        return [position for position in left if where.holds(e=entities[position], **facts._asdict())]


def _of_all(share: Sequence[int], everything: Sequence[int]) -> Share:
    return None if len(share) == len(everything) else tuple(share)
