"""
`oaflow route --against`: where the jobs that a past run returned would go in an edited pipeline. Runs and changes
nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oaflow.errors import RouteError, UsageError
from oaflow.jobs import AnyJob, read_job, stub, with_stored
from oaflow.ledger.returned import Returned, ReturnedOf, returned, returned_of
from oaflow.ledger.runs import Run
from oaflow.operations.binding import store_of
from oaflow.operations.databases import database
from oaflow.operations.programs import Program, without_required
from oaflow.operations.states import bound_plan, check_stage, in_order, wanted_run
from oaflow.plan import BoundPlan, BoundStage, bind, check_params
from oaflow.printed import pipelines as printed
from oaflow.runtime.choosing import Share, choose
from oaflow.runtime.router import edges_of, entities_of, facts_of
from oaflow.settings import Settings

# How many entities that would go elsewhere are named: for each pair of old and new targets, and in total.
EACH, ALL = 5, 200

To = tuple[str, ...]

# The entities of a job with what the store has of them.
Load = Callable[[AnyJob], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class EdgeFlow:
    """
    How many entities take an edge; a job without any counts as one. `to` is None for what no edge takes, and an edge
    that does not exist has no condition.
    """

    stage: str
    port: str
    to: str | None
    took: str | None
    takes: str | None
    before: int
    after: int

    def as_json(self) -> printed.EdgeFlow:
        """
        The public form.
        """
        return {
            "stage": self.stage,
            "port": self.port,
            "to": self.to,
            "took": self.took,
            "takes": self.takes,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class Moved:
    """
    An entity that would go elsewhere, and the job that returned it; id and schema are None for a job without entities.
    """

    stage: str
    port: str
    job: int
    entity: str | None
    schema: str | None
    was: To
    would: To

    def as_json(self) -> printed.Moved:
        """
        The public form.
        """
        return {
            "stage": self.stage,
            "port": self.port,
            "job": self.job,
            "entity": self.entity,
            "schema": self.schema,
            "was": list(self.was),
            "would": list(self.would),
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    What the edited pipeline could not route, and how many jobs would fail.
    """

    stage: str
    port: str
    problem: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Troubled:
    """
    Jobs whose attempts were used up: where they went, and where they would go; None: recorded as failures.
    """

    stage: str
    jobs: int
    was: str | None
    would: str | None


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A past run, routed again.

    Attributes:
        stages: how much each returned, and how much of that is kept.
        routed: how many of the returned jobs of each were routed again.
        edges: with what takes them.
        moved: how many entities would go elsewhere; `samples` are some of them.
        absent: stages of the run that the edited pipeline does not have, or that are off in it, with the reason.
        loads: stages to which an edge reads the entities from the store, here as they are now.
    """

    run: Run
    stages: Mapping[str, ReturnedOf]
    routed: Mapping[str, int]
    edges: tuple[EdgeFlow, ...]
    moved: int
    samples: tuple[Moved, ...]
    refused: tuple[Refusal, ...]
    troubled: tuple[Troubled, ...]
    absent: Mapping[str, str]
    loads: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """
        Whether it covers all output, not just a sample.
        """
        return all(of.hops == of.kept and of.jobs == self.routed.get(name, 0) for name, of in self.stages.items())

    def as_json(self) -> printed.Replay:
        """
        The public form.
        """
        return {
            "run": self.run.id,
            "plan": self.run.plan,
            "stages": {
                name: {"hops": of.hops, "kept": of.kept, "jobs": of.jobs, "routed": self.routed.get(name, 0)}
                for name, of in self.stages.items()
            },
            "whole": self.whole,
            "edges": [edge.as_json() for edge in self.edges],
            "moved": self.moved,
            "samples": [moved.as_json() for moved in self.samples],
            "refused": [
                {"stage": one.stage, "port": one.port, "problem": one.problem, "jobs": one.jobs} for one in self.refused
            ],
            "troubled": [
                {"stage": one.stage, "jobs": one.jobs, "was": one.was, "would": one.would} for one in self.troubled
            ],
            "absent": dict(self.absent),
            "loads": list(self.loads),
        }


def replay(
    settings: Settings,
    program: Program,
    run: str | None,
    params: Mapping[str, object],
    *,
    stage: str | None = None,
    limit: int = 1000,
) -> Replay:
    """
    Route the kept output of a run with a pipeline.

    Args:
        run: its id; None: the latest.
        params: values that differ from those of the run.
        stage: only the output of this stage.
        limit: how many hops of each stage at most.

    Raises:
        UsageError: no such run or stage, values that do not fit the pipeline, or nothing was kept.
    """
    plan = program.checked()
    with (
        database(settings) as opened,
        opened.connect() as made,
        store_of(settings, opened.address.uri) as store,
    ):
        found = wanted_run(made, run)
        old = bound_plan(made, found)
        check_stage(found, old, stage)
        carried = {name: value for name, value in found.params.items() if name in plan.params and value is not None}
        new = bind(plan, check_params(without_required(plan), {**carried, **params}))
        of = returned_of(made, found.id)
        stages = {name: of[name] for name in in_order(old) if name in of and stage in (None, name)}
        if not any(one.kept for one in stages.values()):
            who = f"run {found.id!r}" if stage is None else f"stage {stage!r} of run {found.id!r}"
            raise UsageError(f"nothing that {who} returned is kept", help=_WHY)
        tally = _Tally(found, old, new, lambda job: with_stored(store, found.dataset, entities_of(job)))
        for one in returned(made, found.id, stage=stage, limit=limit):
            tally.take(one)
    return tally.result(stages)


_WHY = "for its workers, OAFLOW_SAMPLES sets how many jobs are sampled, and OAFLOW_KEEP for how many days"


@dataclass
class _Tally:
    run: Run
    old: BoundPlan
    new: BoundPlan
    load: Load
    counts: dict[tuple[str, str, str | None], list[int]] = field(default_factory=dict[Any, Any])
    moved: int = 0
    samples: dict[tuple[str, str, To, To], list[Moved]] = field(default_factory=dict[Any, Any])
    refused: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    absent: dict[str, str] = field(default_factory=dict[str, str])
    routed: Counter[str] = field(default_factory=Counter[str])

    def take(self, one: Returned) -> None:
        """
        Count what is kept of a hop.
        """
        self.routed[one.stage] += len(one.jobs)
        if one.stage not in self.new.stages:
            self.absent[one.stage] = self.new.disabled.get(one.stage, "the pipeline has no such stage")
            return
        for port, body, shares in one.jobs:
            job = read_job(body)
            was = ways(self.old.stages[one.stage], port, job, shares, one.depth)
            try:
                would = rerouted(self.new, one.stage, port, job, one.depth, self.run.id, self.load)
            except RouteError as problem:
                self.refused[one.stage, port, str(problem)] += 1
                continue
            for entity, before, after in zip(entities_of(job) or [None], was, would, strict=True):
                self._count(one.stage, port, before, 0)
                self._count(one.stage, port, after, 1)
                if set(before) != set(after):
                    self._move(one, port, entity, before, after)

    def _count(self, stage: str, port: str, to: To, side: int) -> None:
        for name in to or (None,):
            self.counts.setdefault((stage, port, name), [0, 0])[side] += 1

    def _move(self, one: Returned, port: str, entity: dict[str, Any] | None, was: To, would: To) -> None:
        self.moved += 1
        key = (one.stage, port, was, would)
        named = self.samples.setdefault(key, []) if len(self.samples) * EACH < ALL else self.samples.get(key, [])
        if len(named) < EACH:
            named.append(
                Moved(
                    one.stage,
                    port,
                    one.job,
                    entity["id"] if entity else None,
                    entity["schema"] if entity else None,
                    was,
                    would,
                )
            )

    def result(self, stages: Mapping[str, ReturnedOf]) -> Replay:
        """
        The result, in the order of the run's plan.
        """
        met = {(stage, port) for stage, port, _ in self.counts}
        edges = [
            flow
            for stage in stages
            for port in sorted(p for s, p in met if s == stage)
            for flow in self._flows(stage, port)
        ]
        loads = {
            edge.to for stage, port in met for edge in self.new.stages[stage].edges_by_port.get(port, ()) if edge.load
        }
        return Replay(
            self.run,
            stages,
            self.routed,
            tuple(edges),
            self.moved,
            tuple(moved for named in self.samples.values() for moved in named),
            tuple(Refusal(*key, jobs) for key, jobs in self.refused.items()),
            tuple(troubled for name, of in stages.items() for troubled in self._troubled(name, of)),
            self.absent,
            tuple(sorted(loads)),
        )

    def _flows(self, stage: str, port: str) -> Iterator[EdgeFlow]:
        took, takes = (
            {edge.to: edge.condition for edge in plan.stages[stage].edges_by_port.get(port, ())}
            for plan in (self.old, self.new)
        )
        for to in (*dict.fromkeys([*took, *takes]), None):
            before, after = self.counts.get((stage, port, to), (0, 0))
            if to is not None or before or after:
                yield EdgeFlow(stage, port, to, took.get(to or ""), takes.get(to or ""), before, after)

    def _troubled(self, name: str, of: ReturnedOf) -> Iterator[Troubled]:
        if name not in self.new.stages:
            return
        was, would = self.old.stages[name].on_error, self.new.stages[name].on_error
        jobs = of.failed if was is None else of.diverted
        if jobs and was != would:
            yield Troubled(name, jobs, was, would)


def rerouted(
    plan: BoundPlan, stage: str, port: str, job: AnyJob, depth: Mapping[str, int], run: str, load: Load
) -> list[To]:
    """
    Where each entity of a job goes that a stage returned.

    Raises:
        RouteError: the port is not wired, or a condition cannot use a value.
    """
    here = plan.stages[stage]
    edges_of(here, port)
    if port not in here.conditions:
        return ways(here, port, job, None, depth)
    entities = entities_of(job)
    stubs = [entity == stub(entity) for entity in entities]
    loads = any(condition.edge.load for condition in here.conditions[port])
    whole = load(job) if entities and (loads or any(stubs)) else entities
    # In the run, the edges were decided with the full entities, which became stubs only after that.
    seen = [full if short else entity for entity, full, short in zip(entities, whole, stubs, strict=True)]
    choice = choose(here, port, seen, facts_of(plan, job, run), loaded=whole)
    return ways(here, port, job, choice.shares, depth)


def ways(
    stage: BoundStage, port: str, job: AnyJob, shares: Sequence[Share] | None, depth: Mapping[str, int]
) -> list[To]:
    """
    The same, where it is decided what each edge of the port takes. What would lie too deep goes nowhere.
    """
    edges = stage.edges_by_port.get(port, ())
    taken = [None if share is None else set(share) for share in shares or [None] * len(edges)]
    deep = [_too_deep(depth.get(f"{stage.name}.{port}>{edge.to}", 0), edge.recurse) for edge in edges]
    return [
        tuple(
            edge.to
            for edge, share, too_deep in zip(edges, taken, deep, strict=True)
            if not too_deep and (share is None or position in share)
        )
        for position in range(len(entities_of(job)) or 1)
    ]


def _too_deep(depth: int, most: int | None) -> bool:
    return most is not None and depth + 1 > most
