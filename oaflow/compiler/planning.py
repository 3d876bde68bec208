"""
From a pipeline in which nothing is wrong to its plan: defaults and decorators resolved, descriptions left out. Pure.

What stands in the file counts before what stands in the code: a stage's own key, then the pipeline's `defaults`, then
the decorator, then the language's default.
"""

from collections.abc import Mapping
from typing import Any

from oaflow.compiler.functions import Inspected
from oaflow.compiler.graph import entries
from oaflow.model import Defaults, Edge, Param, Pipeline, Repeat, Retry, Stage, StageOptions
from oaflow.plan import Plan, PlannedCollect, PlannedEdge, PlannedParam, PlannedRetry, PlannedStage

# What a function that nobody looked at says about itself.
_UNSEEN = Inspected(StageOptions())


def plan_of(pipeline: Pipeline, inspected: Mapping[str, Inspected]) -> Plan:
    """
    The plan of a pipeline that passed every check.

    Args:
        inspected: by task, what the functions say; where it is empty, the plan is made without the decorators' defaults
            and cannot be run.
    """
    return Plan(
        pipeline=pipeline.name,
        start=entries(pipeline),
        params={name: planned_param(param) for name, param in pipeline.params.items()},
        stages={
            name: _stage(pipeline, name, stage, _UNSEEN if stage.external else inspected.get(stage.task, _UNSEEN))
            for name, stage in pipeline.stages.items()
        },
    )


def planned_param(param: Param) -> PlannedParam:
    """
    A param as the plan has it.
    """
    return PlannedParam(
        type=param.type,
        # A list is of texts where nothing is said, and says so in the plan.
        of=(param.of or "string") if param.type == "list" else None,
        default=param.default,
        required=param.required,
        choices=param.choices,
        env=param.env,
        positional=param.positional,
        remember=param.remember,
    )


def _stage(pipeline: Pipeline, name: str, stage: Stage, found: Inspected) -> PlannedStage:
    defaults, options = pipeline.defaults, found.options
    said: dict[str, Any] = {}
    # The service of an external stage decides about these; nothing of the pipeline's defaults holds for it.
    if not stage.external:
        for key in ("timeout", "memory", "concurrency", "rate"):
            value = first_said(getattr(stage, key), getattr(defaults, key), getattr(options, key, None))
            if value is not None:
                said[key] = value
        said["retry"] = retry_of(stage.retry, defaults.retry, options.retry)
    priority = first_said(stage.priority, defaults.priority, options.priority)
    if priority is not None:
        said["priority"] = priority
    first = found.parameters[0] if found.parameters else None
    return PlannedStage(
        task=stage.task,
        queue=stage.queue or defaults.queue or options.queue or name,
        edges=tuple(_edge(edge) for edge in stage.next),
        choose=stage.choose or (None if stage.external else defaults.choose) or "all",
        dropped=stage.dropped,
        options=stage.options,
        on_error=stage.on_error,
        emit=stage.emit or (None if stage.external else defaults.emit) or options.emit,
        enabled=stage.enabled.strip() if isinstance(stage.enabled, str) else stage.enabled,
        external=stage.external,
        origin=None if stage.origin == f"{pipeline.name}/{name}" else stage.origin,
        accepts=options.accepts,
        emits=_emits(options),
        split=stage.split,
        collect=_collect(stage, defaults),
        join=stage.join,
        lock=_lock(stage, defaults),
        takes=first.annotation if first is not None else None,
        gives=found.returns,
        **said,
    )


def _collect(stage: Stage, defaults: Defaults) -> PlannedCollect | None:
    """
    What the defaults say holds for those stages only that could say it themselves. `collect: 500` keeps their `wait`.
    """
    default = None if stage.external or stage.split is not None or stage.join else defaults.collect or None
    said = stage.collect if stage.collect is not None else default
    if not said:
        return None
    wait = first_said(said.wait, default and default.wait)
    return PlannedCollect(size=said.size, **({} if wait is None else {"wait": wait}))


def _lock(stage: Stage, defaults: Defaults) -> str | None:
    lock = stage.lock or (None if stage.external else defaults.lock)
    return lock and lock.strip()


def _edge(edge: Edge) -> PlannedEdge:
    return PlannedEdge(
        to=edge.to,
        port=edge.port,
        recurse=edge.recurse,
        when=edge.when and edge.when.strip(),
        where=edge.where.strip() if isinstance(edge.where, str) else edge.where,
        rest=edge.rest,
        load=edge.load,
    )


def first_said(*values: Any) -> Any:
    """
    The first value that was said at all.
    """
    return next((value for value in values if value is not None), None)


def retry_of(stage: Repeat | None, defaults: Repeat | None, decorator: Retry | None) -> PlannedRetry:
    """
    A `retry` as it holds: each member on its own, so that `retry: 3` keeps the waits that the pipeline's defaults name.
    """
    said: dict[str, Any] = {}
    for key in Repeat.model_fields:
        fixed = getattr(decorator, key) if decorator is not None and key in decorator.model_fields_set else None
        value = first_said(getattr(stage, key, None), getattr(defaults, key, None), fixed)
        if value is not None:
            said[key] = value
    return PlannedRetry(**said)


def _emits(options: StageOptions) -> dict[str, tuple[str, ...]] | None:
    match options.emits:
        case None:
            return None
        case Mapping():
            return dict(options.emits)
        case _:
            return dict.fromkeys(options.ports, options.emits)
