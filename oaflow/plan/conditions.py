"""
What the edges of a port take, ready to be asked. Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from oaflow.model import Where

if TYPE_CHECKING:
    from oaflow.plan.plans import PlannedEdge


class Facts(NamedTuple):
    """
    What a condition knows beside the entity: the job as plain data, the params of the run, and the run.
    """

    job: Mapping[str, Any]
    params: Mapping[str, Any]
    run: Mapping[str, Any]


class Condition(NamedTuple):
    """
    What one edge takes. Without `when` and `where`, all; with `rest`, what no other edge took.
    """

    when: Callable[[Facts], bool] | None
    where: Callable[[Mapping[str, Any], Facts], bool] | None
    rest: bool
    load: bool


def conditions_of(edges: "Iterable[PlannedEdge]") -> tuple[Condition, ...]:
    """
    The conditions of edges, in their order.
    """
    return tuple(Condition(None, None, edge.rest, edge.load) for edge in edges)


def condition_text(when: str | None, where: str | Where | None, rest: bool) -> str:
    """
    A condition in the words of a pipeline file; empty where there is none.
    """
    parts = [f"when {when}"] if when is not None else []
    if where is not None:
        parts.append(f"where {where if isinstance(where, str) else _mapping_text(where)}")
    return "else" if rest else ", ".join(parts)


def _mapping_text(where: Where) -> str:
    members = (
        f"{key}: {_mapping_text(wanted) if isinstance(wanted, Mapping) else _values_text(wanted)}"
        for key, wanted in where.items()
    )
    return f"{{{', '.join(members)}}}"


def _values_text(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"
