"""
The conditions of the edges of a port, compiled. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from oaflow.model import Where

if TYPE_CHECKING:
    from oaflow.expressions import Expression
    from oaflow.plan.plans import PlannedEdge


class Facts(NamedTuple):
    """
    What a condition knows beside the entity: the fields of the job as plain data, the params of the run, and the run.
    """

    job: Mapping[str, Any]
    params: Mapping[str, Any]
    run: Mapping[str, Any]


class Condition(NamedTuple):
    """
    An edge with its conditions, ready to be asked.
    """

    edge: "PlannedEdge"
    when: "Expression | None"
    where: "Expression | None"


def conditions_of(edges: "Iterable[PlannedEdge]") -> tuple[Condition, ...]:
    """
    The conditions of edges in which nothing is open, in their order.
    """
    return tuple([Condition(edge, _when(edge.when), _where(edge.where)) for edge in edges])


# Expressions are imported where there is one: 20 ms that most plans need not wait for.


def _when(when: str | None) -> "Expression | None":
    if when is None:
        return None
    from oaflow.expressions import compile_expression

    return compile_expression(when, "when")


def _where(where: str | Where | None) -> "Expression | None":
    if where is None:
        return None
    from oaflow.expressions import compile_expression, compile_mapping

    return compile_expression(where, "where") if isinstance(where, str) else compile_mapping(where)


def condition_text(when: str | None, where: str | Where | None, rest: bool) -> str:
    """
    A condition in the words of a pipeline file; empty where there is none.
    """
    parts = [f"when {when}"] if when is not None else []
    if where is not None:
        parts.append(f"where {where if isinstance(where, str) else mapping_text(where)}")
    return "else" if rest else ", ".join(parts)


def mapping_text(where: Where) -> str:
    """
    The mapping form of `where` on one line.
    """
    members = (
        f"{key}: {mapping_text(wanted) if isinstance(wanted, Mapping) else _values_text(wanted)}"
        for key, wanted in where.items()
    )
    return f"{{{', '.join(members)}}}"


def _values_text(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"
