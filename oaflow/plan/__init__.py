"""
A checked pipeline, frozen, and what a run makes of it: `check_params`, then `bind`. No I/O, no compiler, no functions.
"""

from oaflow.plan.binding import NO_PLACES, Places, bind, with_place
from oaflow.plan.conditions import Condition, Facts
from oaflow.plan.params import check_params
from oaflow.plan.plans import (
    ANSWERS,
    FORMAT,
    BoundCollect,
    BoundPlan,
    BoundStage,
    Open,
    Plan,
    PlannedCollect,
    PlannedEdge,
    PlannedParam,
    PlannedRetry,
    PlannedStage,
    references,
)

__all__ = [
    "ANSWERS",
    "FORMAT",
    "NO_PLACES",
    "BoundCollect",
    "BoundPlan",
    "BoundStage",
    "Condition",
    "Facts",
    "Open",
    "Places",
    "Plan",
    "PlannedCollect",
    "PlannedEdge",
    "PlannedParam",
    "PlannedRetry",
    "PlannedStage",
    "bind",
    "check_params",
    "references",
    "with_place",
]
