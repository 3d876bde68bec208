"""
Which job goes where. Pure: no database, no clock, no logging.

A stage function knows ports; the bound plan of the run knows where they lead. A job with nowhere to go is a loss,
counted with its reason, and never silently omitted.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel

from oaflow.errors import RouteError, UnknownPortError, UnknownStageError
from oaflow.jobs import AnyJob, DatasetJob, Job, ReservedKeyError, carrying, payload_of
from oaflow.jobs.wire import RESERVED, as_bytes
from oaflow.plan import BoundPlan, BoundStage, Facts, PlannedEdge
from oaflow.runtime.choosing import Choice, Share
from oaflow.runtime.locking import lock_of

_RESERVED = frozenset(RESERVED)

LossKind = Literal["unmatched", "dropped", "ended", "too_deep"]


class ForeignDatasetError(RouteError):
    """
    A stage returned a job of a dataset other than that of its run.
    """

    def __init__(self, stage: str, wanted: str | None, found: str | None) -> None:
        self.stage, self.wanted, self.found = stage, wanted, found
        what = f"a job of dataset {found!r}" if found else "a job without a dataset"
        run = f"dataset {wanted!r}" if wanted else "no dataset"
        super().__init__(
            f"stage {stage!r} returned {what}, but the run is about {run}",
            help="job.model_copy(...) and job.with_entities(...) make follow-ups for the same dataset",
        )


class ContextError(RouteError):
    """
    A stage returned a job whose context is not a mapping.
    """

    def __init__(self, context: Any) -> None:
        self.found = type(context).__name__
        model = isinstance(context, BaseModel)
        super().__init__(
            f"payload.context of a returned job is {self.found}, and must be a dict",
            help='"context": {**job.context, ' + ("**model.model_dump()}" if model else '"name": value}'),
        )


class Route(NamedTuple):
    """
    One job on its way to one stage, marked with its run. `data` has its fields in their wire form; a model of them is
    made only on demand. `collect` is [key, documents] as JSON if it waits to be collected with others of the same key;
    of the jobs with the same `lock`, one runs at a time. `port` is the one on which it was emitted; None if it comes
    over `on_error` or is the first of a run.
    """

    stage: str
    queue: str
    task: str
    priority: int
    data: dict[str, Any]
    documents: tuple[str, ...]
    collect: str | None = None
    lock: str | None = None
    port: str | None = None

    @property
    def job(self) -> AnyJob:
        """
        The job itself.
        """
        return (DatasetJob if "dataset" in self.data else Job).model_construct(**self.data)

    def to_json(self) -> bytes:
        """
        The job in the form that is written to `procrastinate_jobs.args`.

        Raises:
            ForbiddenValueError: its payload has changed since it was checked, or is not JSON.
        """
        return as_bytes(self.data) or self.job.to_json()


class Loss(NamedTuple):
    """
    The part of one job that goes nowhere: no edge of its port takes it (`unmatched`), its port is deliberately not
    wired (`dropped`), nothing follows its stage (`ended`), or it is deeper than its edge allows (`too_deep`).

    `size` is its count: entities if it is unmatched and has some, otherwise one job.
    """

    kind: LossKind
    port: str
    reason: str
    documents: tuple[str, ...]
    size: int = 1


class Routed(NamedTuple):
    """
    All that becomes of the output of a stage.

    Attributes:
        routes: in the order of emission, and of the plan's edges.
        losses: in the order of emission.
        stray: (queue, task) of the first returned job that names neither its source nor its target, or None. The plan
            decides anyway, but the author may want to know.
    """

    routes: tuple[Route, ...] = ()
    losses: tuple[Loss, ...] = ()
    stray: tuple[str, str] | None = None


# A job that a stage emitted: its port, and the choice if not every edge of the port takes all of it.
Emitted = tuple[str, AnyJob, Choice | None]


def route(
    plan: BoundPlan,
    stage: str,
    job: AnyJob,
    emitted: Iterable[Emitted],
    *,
    run: str,
    job_id: int,
    depth: Mapping[str, int] | None = None,
) -> Routed:
    """
    Decide where each job that a stage emitted goes.

    Args:
        plan: of the run.
        stage: the stage that emitted them.
        job: the job that the stage was working on.
        run: id of the run.
        job_id: the id of `job`, which becomes the parent.
        depth: the depth of `job`; by default, read from its context.

    Raises:
        UnknownStageError: the plan does not have the stage.
        UnknownPortError: the plan does not wire the port.
        ForeignDatasetError: a job of another dataset, or of none.
        ReservedKeyError: a context has a key that only other programs may write.
        ContextError: the context of a job is not a mapping.
        LockError: the lock of a job cannot be told.
    """
    here = stage_of(plan, stage)
    dataset = dataset_of(job)
    depth = depth_of(job) if depth is None else depth
    routes: list[Route] = []
    losses: list[Loss] = []
    stray: tuple[str, str] | None = None
    for port, new, choice in emitted:
        if new is not job and dataset_of(new) != dataset:
            raise ForeignDatasetError(stage, dataset, dataset_of(new))
        documents = new.documents
        edges = edges_of(here, port)
        if not edges:
            losses.append(_untaken(plan, here, port, new))
            continue
        if stray is None and new is not job:
            named = new.queue, new.task
            if named != (job.queue, job.task) and not _leads_to(plan, edges, named):
                stray = named
        for number, edge in enumerate(edges):
            taken, of_taken, deeper = new, documents, depth
            if choice is not None and (share := choice.shares[number]) is not None:
                if not share:
                    continue
                taken = _share_of(new, share)
                of_taken = taken.documents
            if edge.recurse is not None:
                key = f"{stage}.{port}>{edge.to}"
                level = depth.get(key, 0) + 1
                if level > edge.recurse:
                    reason = f"deeper than {edge.recurse} along the edge from {stage!r} to {edge.to!r}"
                    losses.append(Loss("too_deep", port, reason, of_taken))
                    continue
                deeper = {**depth, key: level}
            target = stage_of(plan, edge.to)
            for part, of_part in _parts(target, taken, of_taken):
                way = _stamped(target, part, job, run, deeper, job_id, of_part, port)
                if target.collect is not None:
                    way = _collected(target, way)
                routes.append(way if target.lock is None else _locked(plan, target, way, run))
        if choice is not None and (choice.untaken is None or choice.untaken):
            losses.append(_unmatched(here, port, edges, _share_of(new, choice.untaken)))
    return Routed(tuple(routes), tuple(losses), stray)


def enter(plan: BoundPlan, stage: str, job: AnyJob, *, run: str) -> list[Route]:
    """
    The route of a run's first job to one of its stages; several if the stage takes fewer entities at once. A job that
    arrived there in an earlier run keeps its depth.
    """
    target, depth = stage_of(plan, stage), depth_of(job)
    parts = _parts(target, job, job.documents)
    ways = [_stamped(target, part, job, run, depth, None, of_part) for part, of_part in parts]
    return ways if target.collect is None else [_collected(target, way) for way in ways]


def divert(
    plan: BoundPlan, stage: str, job: AnyJob, error: Mapping[str, Any], *, attempts: int, run: str, job_id: int
) -> list[Route]:
    """
    The route of a job, as it arrived, to the `on_error` stage; several if that takes fewer entities at once, and none
    if its stage has no `on_error`.

    Args:
        error: the error of the last attempt, of which `type` and `message` are used.
        attempts: how many there were.
    """
    here = stage_of(plan, stage)
    if here.on_error is None:
        return []
    told = {"stage": stage, "type": error.get("type"), "message": error.get("message"), "attempts": attempts}
    target = stage_of(plan, here.on_error)
    ways = [
        _stamped(target, part, job, run, depth_of(job), job_id, of_part, error=told)
        for part, of_part in _parts(target, job, job.documents)
    ]
    if target.collect is not None:
        ways = [_collected(target, way) for way in ways]
    return ways if target.lock is None else [_locked(plan, target, way, run) for way in ways]


def stage_of(plan: BoundPlan, stage: str) -> BoundStage:
    """
    The stage of that name.

    Raises:
        UnknownStageError: the plan does not have it.
    """
    found = plan.stages.get(stage)
    if found is None:
        raise UnknownStageError(stage, tuple(plan.stages))
    return found


def edges_of(stage: BoundStage, port: str) -> tuple[PlannedEdge, ...]:
    """
    The edges that take what is emitted on a port; none if it is a loss.

    Raises:
        UnknownPortError: the plan does not wire the port.
    """
    edges = stage.edges_by_port.get(port, ())
    if not edges and not stage.end and port not in stage.ports:
        raise UnknownPortError(stage.name, port, stage.ports, external=stage.external)
    return edges


def dataset_of(job: AnyJob) -> str | None:
    """
    The dataset of a job; None for a plain job.
    """
    return getattr(job, "dataset", None)


def entities_of(job: AnyJob) -> list[dict[str, Any]]:
    """
    The entities of a job as plain data; none for a plain job.
    """
    return job.entities if isinstance(job, DatasetJob) else []


def facts_of(plan: BoundPlan, job: AnyJob, run: str) -> Facts:
    """
    What conditions know about a job that was returned in a run.
    """
    fields = {**vars(job), "payload": payload_of(job), "context": job.context}
    return Facts(fields, plan.params, {"id": run, "pipeline": plan.pipeline, "dataset": dataset_of(job)})


def mark_of(job: AnyJob) -> Mapping[str, Any]:
    """
    The mark that oaflow put on a job: run, stage, depth, parent; empty if the job is not part of a run.
    """
    mark = job.context.get("oaflow")
    return mark if type(mark) is dict or isinstance(mark, Mapping) else {}


def depth_of(job: AnyJob) -> Mapping[str, int]:
    """
    How often a job has taken each recursive edge, named `stage.port>stage`.
    """
    return mark_of(job).get("depth") or {}


def _untaken(plan: BoundPlan, stage: BoundStage, port: str, job: AnyJob) -> Loss:
    if stage.end:
        return Loss("ended", port, f"nothing follows stage {stage.name!r}", job.documents)
    if port in stage.dropped:
        return Loss("dropped", port, f"port {port!r} of stage {stage.name!r} is dropped", job.documents)
    gone = "; ".join(f"{name}: {reason}" for name, reason in plan.disabled.items())
    reason = f"port {port!r} of stage {stage.name!r} leads only to what is disabled in this run ({gone})"
    return Loss("unmatched", port, reason, job.documents, len(entities_of(job)) or 1)


def _unmatched(stage: BoundStage, port: str, edges: Iterable[PlannedEdge], job: AnyJob) -> Loss:
    entities = len(entities_of(job))
    asked = "; ".join(f"{edge.to}: {edge.condition}" for edge in edges)
    what = "such entities" if entities else "such a job without entities"
    reason = f"port {port!r} of stage {stage.name!r} has no edge for {what} ({asked})"
    return Loss("unmatched", port, reason, job.documents, entities or 1)


def _leads_to(plan: BoundPlan, edges: Iterable[PlannedEdge], named: tuple[str, str]) -> bool:
    return any(stage_of(plan, edge.to).lane == named for edge in edges)


def _share_of(job: AnyJob, share: Share) -> AnyJob:
    """
    A job with only a number of its entities.
    """
    if share is None or not isinstance(job, DatasetJob):
        return job
    entities = job.entities
    return carrying(job, [entities[position] for position in share])


def _parts(target: BoundStage, job: AnyJob, documents: tuple[str, ...]) -> list[tuple[AnyJob, tuple[str, ...]]]:
    """
    A job, split into jobs with at most as many entities as a stage takes, each with its documents.
    """
    most = target.collect.size if target.collect else target.split
    if most is None or not isinstance(job, DatasetJob) or len(entities := job.entities) <= most:
        return [(job, documents)]
    plain = carrying(job, entities)
    parts = (carrying(plain, entities[at : at + most]) for at in range(0, len(entities), most))
    return [(part, part.documents) for part in parts]


def _collected(target: BoundStage, route: Route) -> Route:
    """
    A job that will be collected, with its key: it is collected with jobs that differ only in their entities.
    """
    payload: Mapping[str, Any] = route.data["payload"]
    if "dataset" not in route.data or not payload.get("entities"):
        return route
    context: Mapping[str, Any] = payload["context"]
    mark = {name: value for name, value in context["oaflow"].items() if name != "parent"}
    same = {**payload, "entities": None, "context": {**context, "oaflow": mark}}
    key = sha256(orjson.dumps(same, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    return route._replace(collect=orjson.dumps([key, route.documents]).decode())


def _locked(plan: BoundPlan, target: BoundStage, route: Route, run: str) -> Route:
    """
    A job with its lock. A job that will be collected has none, because the lock is that of the collected job.
    """
    return route if route.collect is not None else route._replace(lock=lock_of(target, facts_of(plan, route.job, run)))


def _stamped(
    target: BoundStage,
    job: AnyJob,
    source: AnyJob,
    run: str,
    depth: Mapping[str, int],
    parent: int | None,
    documents: tuple[str, ...],
    port: str | None = None,
    **context: Any,
) -> Route:
    mark: dict[str, Any] = {"run": run, "stage": target.name}
    if depth:
        mark["depth"] = dict(depth)
    if parent is not None:
        mark["parent"] = parent
    payload = payload_of(job)
    carried = payload.get("context") or {}
    if type(carried) is not dict and not isinstance(carried, Mapping):
        raise ContextError(carried)
    if not _RESERVED.isdisjoint(carried):
        carried = _writable(carried, source)
    if target.external:
        # What a service hands over comes back with all of this, because it copies the context of its job.
        mark["external"] = target.emit
        carried = {**carried, **target.options}
    data: dict[str, Any] = {
        "queue": target.queue,
        "task": target.task,
        "payload": {**payload, "context": {**carried, **context, "oaflow": mark}},
    }
    if isinstance(job, DatasetJob):
        data["dataset"], data["batch"] = job.dataset, run
    return Route(target.name, target.queue, target.task, target.priority, data, documents, None, None, port)


def _writable(context: Mapping[str, Any], source: AnyJob) -> Mapping[str, Any]:
    """
    A context without the reserved keys that came in with the job: they may be read, but not written.
    """
    arrived = source.context
    for key in _RESERVED & context.keys():
        if key not in arrived:
            raise ReservedKeyError(key)
    return {key: value for key, value in context.items() if key not in _RESERVED}
