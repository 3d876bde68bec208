"""
The graph of a plan with given params: which of its stages are off.
"""

from collections.abc import Mapping

from oaflow.errors import OaflowError
from oaflow.graph import Graph
from oaflow.graph import graph_of as drawn_from
from oaflow.operations.programs import without_required
from oaflow.plan import Plan, bind, check_params


def graph_of(plan: Plan, given: Mapping[str, object] | None = None) -> Graph:
    """
    The graph of a plan, with the stages that are off under the given params (else under their defaults).
    """
    loose = without_required(plan)
    values = check_params(loose, given or {})
    try:
        disabled = bind(loose, values).disabled
    except OaflowError:
        # A plan that cannot be bound without values can be drawn all the same: then only what is off for good is off.
        disabled = {name: "enabled is false" for name, stage in plan.stages.items() if stage.enabled is False}
    return drawn_from(plan, disabled)
