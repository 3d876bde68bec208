"""
Phase 4: which schemata flow along each edge, from what functions say that they emit and accept. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from oaflow.compiler.functions import Inspected, InspectionError
from oaflow.compiler.rules import functions as rules
from oaflow.diagnostics import Diagnostic, Path, Spans
from oaflow.expressions import admitted
from oaflow.model import Edge, Pipeline, StageOptions
from oaflow.schemata import ABSTRACT, SCHEMATA, descendants

# Schemata that a message names; the others are counted.
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Flow:
    """
    Which schemata go along an edge, where that is known: what is emitted on its port, what its `where` lets through of
    that, and what the next stage accepts. None: nobody said.
    """

    emitted: frozenset[str] | None
    passed: frozenset[str] | None
    accepted: frozenset[str] | None


def flow_of(edge: Edge, before: StageOptions | None, after: StageOptions | None) -> Flow:
    """
    What goes along an edge.

    Args:
        before, after: the options of the functions at its two ends, where they were looked at.
    """
    emitted, accepted = _emitted(before, edge.port), _accepted(after)
    where = edge.where if isinstance(edge.where, Mapping) else None
    passed = emitted
    # A property that many schemata have says little about what flows, but a schema does.
    if where is not None and (emitted is not None or "schema" in where):
        passed = admitted(where) if emitted is None else emitted & admitted(where)
    return Flow(emitted, passed, accepted)


def check_flows(
    pipeline: Pipeline, inspected: Mapping[str, Inspected | InspectionError], spans: Spans
) -> Iterator[Diagnostic]:
    """
    Compare what a stage emits with what the next one accepts, after a `where` between them has narrowed it.

    A function that says nothing may emit and accept anything; so may an external stage.
    """
    options = {
        name: found.options
        for name, stage in pipeline.stages.items()
        if not stage.external and isinstance(found := inspected.get(stage.task), Inspected)
    }
    for name, stage in pipeline.stages.items():
        for edge in stage.next:
            yield from _told(name, edge, flow_of(edge, options.get(name), options.get(edge.to)), spans)


def _told(name: str, edge: Edge, flow: Flow, spans: Spans) -> Iterator[Diagnostic]:
    passed, accepted = flow.passed, flow.accepted
    if passed is None:
        return
    place: Path = ("stages", name, *edge.place)
    if not passed:
        message = f"nothing that stage {name!r} emits on port {edge.port!r} passes this `where`"
        help = f"it emits {in_words(flow.emitted or ())}"
        yield Diagnostic(rules.NOTHING_FLOWS, message, spans.key(*place[:-1], "where"), help)
    elif accepted is not None and not passed & accepted:
        message = f"stage {edge.to!r} accepts nothing that this edge brings"
        help = f"the edge brings {in_words(passed)}, but the stage accepts {in_words(accepted)}"
        yield Diagnostic(rules.NOTHING_FLOWS, message, spans.value(*place), help)
    elif accepted is not None and passed - accepted:
        message = f"stage {edge.to!r} does not accept everything that this edge brings: {in_words(passed - accepted)}"
        help = "where: {schema: ...} lets through what it accepts, and `else` takes the rest"
        yield Diagnostic(rules.PARTLY_ACCEPTED, message, spans.value(*place), help)


def _emitted(options: StageOptions | None, port: str) -> frozenset[str] | None:
    """
    The schemata that may come out of a port; None where that is not said.
    """
    emits = options.emits if options is not None else None
    named = emits.get(port) if isinstance(emits, Mapping) else emits
    return None if named is None else _with_descendants(named)


def _accepted(options: StageOptions | None) -> frozenset[str] | None:
    return None if options is None or options.accepts is None else _with_descendants(options.accepts)


@cache
def _with_descendants(names: tuple[str, ...]) -> frozenset[str]:
    """
    The schemata that an entity may have of which these are said.
    """
    return frozenset(schema for name in names for schema in descendants(name) if schema not in ABSTRACT)


def in_words(schemata: Iterable[str]) -> str:
    """
    Schemata in a few words: those that are there are named by what they descend from, where that is there too.
    """
    found = set(schemata)
    tops = sorted(name for name in found if not found & set(SCHEMATA[name]) - {name})
    more = f" and {len(tops) - _NAMED} more" if len(tops) > _NAMED else ""
    return f"{', '.join(tops[:_NAMED])}{more}"
