"""
Phase 5: compares a plan with the workers, limits and runs of the database where it is to run. Pure: it is given what
was read there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oaflow.compiler.rules import deployment as rules
from oaflow.diagnostics import NO_SPANS, Diagnostic, Span, Spans
from oaflow.errors import UsageError
from oaflow.plan import BoundPlan, Plan, PlannedStage, bind
from oaflow.plan.moving import obstacles
from oaflow.plan.params import as_text
from oaflow.plan.plans import references
from oaflow.quantities import rate_text

# Of what keeps a run from going over, so many are told; the rest is counted.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """
    A worker that takes jobs of any run: by task, what the functions that it can run take, and why it cannot run others.
    What is in neither it has not said.
    """

    id: int
    host: str
    formats: Sequence[int]
    takes: Mapping[str, str | None]
    lacks: Mapping[str, str]

    def __str__(self) -> str:
        return f"worker {self.id} on {self.host}"


@dataclass(frozen=True, slots=True)
class LiveLimit:
    """
    How many jobs of a task on a queue run at once now, and how many begin in a second; whether an operator said so, or
    the plan of another run.
    """

    queue: str
    task: str
    concurrency: int | None = None
    rate: float | None = None
    said_concurrency: bool = False
    said_rate: bool = False


@dataclass(frozen=True, slots=True)
class LiveService:
    """
    What rows tell of the service of an external stage. `seen`: a worker lives that has its task, or has had a job of
    its queue in hand. `others` live of which no row says what they take. `heard`: what its jobs hand over is taken
    down.
    """

    queue: str
    task: str
    seen: bool = True
    others: int = 0
    heard: bool = True


@dataclass(frozen=True, slots=True)
class LiveRun:
    """
    A run in flight of a pipeline of the same name, with its plan and the values of its params.
    """

    id: str
    plan: Plan
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Live:
    """
    What lives in a database. `brings` says that each run brings its workers there.
    """

    workers: Sequence[LiveWorker] = ()
    limits: Sequence[LiveLimit] = ()
    services: Sequence[LiveService] = ()
    runs: Sequence[LiveRun] = ()
    brings: bool = False


def check_live(plan: Plan, live: Live, params: Mapping[str, Any], spans: Spans = NO_SPANS) -> Iterator[Diagnostic]:
    """
    Whether each task of a plan is served there, as the plan means it, and which runs go on by an older plan.

    Args:
        params: the values of a run: they decide which services are asked for, and which limits are compared.
    """
    bound = _bound(plan, params)
    if live.workers:
        for name, stage in asked_of(plan).items():
            yield from _served(plan, name, stage, live.workers, spans)
    elif not live.brings:
        yield Diagnostic(
            rules.NO_WORKER,
            "no worker is running there: a run would wait for one",
            spans.value("pipeline"),
            "oaflow worker   # where the modules of the stages are installed",
        )
    services = {(service.queue, service.task): service for service in live.services}
    for name, stage in services_of(plan).items():
        if (service := services.get((stage.queue, stage.task))) and (bound is None or name in bound.stages):
            yield from _heard(name, service, spans)
    limits = {(limit.queue, limit.task): limit for limit in live.limits}
    for name, stage in asked_of(plan).items():
        if limit := limits.get((stage.queue, stage.task)):
            yield from _limited(name, stage, bound, limit, spans)
    for run in live.runs:
        if run.plan.digest != plan.digest:
            yield _older(plan, run, spans)


def asked_of(plan: Plan) -> dict[str, PlannedStage]:
    """
    The stages whose jobs workers of oaflow take.
    """
    return {name: stage for name, stage in plan.stages.items() if not stage.external and stage.enabled is not False}


def services_of(plan: Plan) -> dict[str, PlannedStage]:
    """
    The stages whose jobs workers of services take.
    """
    return {name: stage for name, stage in plan.stages.items() if stage.external and stage.enabled is not False}


def _bound(plan: Plan, params: Mapping[str, Any]) -> BoundPlan | None:
    """
    The plan as a run with these values has it; None where no run can have them.
    """
    try:
        return bind(plan, params)
    except UsageError:
        return None


def _served(
    plan: Plan, name: str, stage: PlannedStage, workers: Sequence[LiveWorker], spans: Spans
) -> Iterator[Diagnostic]:
    task, place = stage.task, spans.value("stages", name, "task")
    able = [worker for worker in workers if task in worker.takes]
    what = f"task {task!r} of queue {stage.queue!r}"
    for worker in workers:
        if task not in worker.takes and task not in worker.lacks:
            message = f"{worker} has not said whether it can run task {task!r}"
            yield Diagnostic(
                rules.SILENT_WORKER, message, place, "oaflow doctor   # lists the workers and what they can run"
            )
    if not able and all(task in worker.lacks for worker in workers):
        notes = tuple((f"{worker}: {worker.lacks[task]}", Span()) for worker in workers)
        help = "oaflow worker   # where the module of that task is installed"
        yield Diagnostic(rules.UNSERVED_TASK, f"no live worker can run {what}", place, help, notes)
    knowing = [worker for worker in able if plan.format in worker.formats]
    if able and not knowing:
        notes = tuple((f"{worker} knows {_formats(worker)}", Span()) for worker in able)
        message = f"no live worker that can run {what} reads plans of format {plan.format}"
        yield Diagnostic(rules.OTHER_FORMAT, message, place, "pip install --upgrade oaflow   # there", notes)
    for worker in knowing:
        taken = worker.takes[task]
        if None not in (taken, stage.takes) and taken != stage.takes:
            message = f"{task!r} takes {stage.takes} here, and {taken} at {worker}"
            yield Diagnostic(rules.OTHER_INPUT, message, place, "install the same version there as here")


def _formats(worker: LiveWorker) -> str:
    return f"format{'' if len(worker.formats) == 1 else 's'} {', '.join(map(str, worker.formats))}"


def _heard(name: str, service: LiveService, spans: Spans) -> Iterator[Diagnostic]:
    place = spans.value("stages", name, "queue")
    if not service.seen:
        rule = rules.UNSEEN_SERVICE if service.others else rules.NO_SERVICE
        message = f"no worker was seen that takes jobs of queue {service.queue!r}, where stage {name!r} waits"
        live = "1 other worker is" if service.others == 1 else f"{service.others} other workers are"
        note = f"{live} connected, and may take them: their first job will show it"
        notes = ((note, Span()),) if service.others else ()
        help = f"start a worker of that service, on queue {service.queue} of this database"
        yield Diagnostic(rule, message, place, help, notes)
    if not service.heard:
        message = (
            f"what stage {name!r} hands over would be lost: nothing in this database records what its service does"
        )
        help = "oaflow db migrate --capture   # or start the workers of that service with python -m oaflow.shim"
        yield Diagnostic(rules.UNHEARD_SERVICE, message, place, help)


def _limited(
    name: str, stage: PlannedStage, bound: BoundPlan | None, limit: LiveLimit, spans: Spans
) -> Iterator[Diagnostic]:
    lane = f"{limit.queue}/{limit.task}"
    here = bound.stages.get(name) if bound is not None else None
    most, often = (here.concurrency, here.rate) if here is not None else (stage.concurrency, stage.rate)
    values = bound.params if bound is not None else {}
    if isinstance(most, int) and limit.concurrency is not None and limit.concurrency < most:
        said = f"{most} jobs at once{_as_param(stage.concurrency, values)}"
        message = f"stage {name!r} may run {said}, and {_who(limit.said_concurrency)} allows {limit.concurrency}"
        help = f"oaflow limit {lane} --concurrency {most}"
        yield Diagnostic(rules.LOWER_LIMIT, message, spans.value("stages", name, "concurrency"), help)
    if isinstance(often, float | int) and limit.rate is not None and limit.rate < often * (1 - 1e-9):
        said = f"{rate_text(often)}{_as_param(stage.rate, values)}"
        message = f"stage {name!r} may begin {said}, and {_who(limit.said_rate)} allows {rate_text(limit.rate)}"
        help = f"oaflow limit {lane} --rate {rate_text(often)}"
        yield Diagnostic(rules.LOWER_LIMIT, message, spans.value("stages", name, "rate"), help)


def _as_param(written: Any, values: Mapping[str, Any]) -> str:
    """
    Which param a limit is from.
    """
    return "".join(f", as param {name!r} is {as_text(values[name])}" for name in sorted(references(written)))


def _who(operator: bool) -> str:
    return "an operator" if operator else "the plan of another run"


def _older(plan: Plan, run: LiveRun, spans: Spans) -> Diagnostic:
    held = obstacles(run.plan, plan, run.params)
    notes = [*held[:_NAMED], *([f"and {len(held) - _NAMED} more"] if len(held) > _NAMED else [])]
    return Diagnostic(
        rules.OLDER_RUN,
        f"run {run.id} continues with an older plan, and {'may not' if held else 'may'} move to this one",
        spans.value("pipeline"),
        f"oaflow plan --diff {run.id} {spans.file or 'PIPELINE'}",
        tuple((note, Span()) for note in notes),
    )
