"""
`oaflow test`: runs the tests of a pipeline, comparing where their jobs would go with where they expect them. Needs no
database.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from oaflow.errors import OaflowError
from oaflow.model import Case
from oaflow.operations.programs import Program
from oaflow.operations.routing import routing_of
from oaflow.printed import pipelines as printed


class EdgeName(NamedTuple):
    """
    Identifies an edge: two edges of one port may lead to the same stage under different conditions.
    """

    stage: str
    port: str
    to: str
    condition: str


@dataclass(frozen=True, slots=True)
class Tried:
    """
    The result of one test.

    Attributes:
        number: the position of the test in its file, from 1.
        expected, found: how many entities (or jobs without any) go to which stage; stages that get none are left out.
        reason: why some go nowhere, or None.
        problem: why the test could not run, or None.
        taken: the edges that were taken.
        seconds: how long it took.
    """

    number: int
    at: str
    port: str
    description: str | None
    expected: Mapping[str, int]
    found: Mapping[str, int]
    reason: str | None = None
    problem: str | None = None
    taken: frozenset[EdgeName] = frozenset()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """
        Whether everything goes where it should.
        """
        return self.problem is None and self.expected == self.found

    @property
    def name(self) -> str:
        """
        Which test it is, in a few words.
        """
        of_port = f", port {self.port}" if self.port != "default" else ""
        what = f": {self.description}" if self.description else ""
        return f"{self.number} at {self.at}{of_port}{what}"

    @property
    def differences(self) -> list[str]:
        """
        What is not as expected, one line per stage; then why some go nowhere.
        """
        if self.passed:
            return []
        if self.problem is not None:
            return [self.problem]
        lines = [
            f"{stage}: {self.expected.get(stage, 0)} expected, {self.found.get(stage, 0)} found"
            for stage in dict.fromkeys([*self.expected, *self.found])
            if self.expected.get(stage, 0) != self.found.get(stage, 0)
        ]
        return [*lines, *([self.reason] if self.reason else [])]

    def as_json(self, pipeline: str) -> printed.Tried:
        """
        The public form, of a test of that pipeline.
        """
        return {
            "pipeline": pipeline,
            "number": self.number,
            "at": self.at,
            "port": self.port,
            "description": self.description,
            "expected": dict(self.expected),
            "found": dict(self.found),
            "reason": self.reason,
            "problem": self.problem,
            "taken": [_edge(edge) for edge in sorted(self.taken)],
            "passed": self.passed,
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """
    All tests of one pipeline, and how much of it they cover.

    Attributes:
        edges: all edges, each once.
        decided: the edges of ports with a condition.
        began: when the first test started.
    """

    pipeline: str
    tried: tuple[Tried, ...]
    edges: tuple[EdgeName, ...]
    decided: frozenset[EdgeName]
    began: datetime

    @property
    def untaken(self) -> tuple[EdgeName, ...]:
        """
        The edges that no test took.
        """
        taken = frozenset[EdgeName]().union(*(one.taken for one in self.tried))
        return tuple(edge for edge in self.edges if edge not in taken)

    def coverage(self) -> printed.Coverage:
        """
        The public form of what the tests cover.
        """
        untaken: list[printed.Untaken] = [{**_edge(edge), "decided": edge in self.decided} for edge in self.untaken]
        return {"pipeline": self.pipeline, "edges": len(self.edges), "untaken": untaken}


def trial_of(program: Program) -> Trial:
    """
    Run all tests of a pipeline without mistakes, in their order.
    """
    began = datetime.now(UTC)
    cases = program.pipeline.cases if program.pipeline is not None else ()
    tried = tuple(_try(program, number, case) for number, case in enumerate(cases, 1))
    stages = program.checked().stages
    decided = {(name, edge.port) for name, stage in stages.items() for edge in stage.edges if not edge.takes_all}
    edges = dict.fromkeys(
        EdgeName(name, edge.port, edge.to, edge.condition) for name, stage in stages.items() for edge in stage.edges
    )
    of_ports = frozenset(edge for edge in edges if (edge.stage, edge.port) in decided)
    return Trial(program.source.typed, tried, tuple(edges), of_ports, began)


def _try(program: Program, number: int, case: Case) -> Tried:
    expected = {stage: count for stage, count in case.expect.items() if count}
    told = Tried(number, case.at, case.port, case.description, expected, {})
    began = time.perf_counter()
    try:
        routing = routing_of(program, case.at, case.port, case.job, case.params)
    except OaflowError as error:
        return replace(told, problem=str(error), seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    found: dict[str, int] = {}
    for way in routing.ways:
        for stage in way.to:
            found[stage] = found.get(stage, 0) + 1
    taken = frozenset(EdgeName(case.at, case.port, *edge) for way in routing.ways for edge in way.along)
    return replace(told, found=found, reason=routing.reason, taken=taken, seconds=seconds)


def _edge(edge: EdgeName) -> printed.TakenEdge:
    return {"from": edge.stage, "port": edge.port, "to": edge.to, "condition": edge.condition}
