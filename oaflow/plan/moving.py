"""
Whether a run in flight may go over to another plan: whether each of its jobs, wherever it waits, is then where its run
would have it. Pure.
"""

from collections.abc import Iterator

from oaflow.plan.binding import still_reached
from oaflow.plan.plans import Plan, PlannedParam, PlannedStage


def obstacles(old: Plan, new: Plan) -> list[str]:
    """
    What keeps a run of one plan from going over to another, each as a sentence; empty where nothing does.
    """
    if old.digest == new.digest:
        return []
    return [*_of_pipeline(old, new), *_of_params(old, new), *_of_stages(old, new)]


def _of_pipeline(old: Plan, new: Plan) -> Iterator[str]:
    if old.pipeline != new.pipeline:
        yield f"it is a run of pipeline {old.pipeline!r}, and signs what it writes with that name"
    for name in new.start:
        if name not in old.start:
            yield f"it has started, and stage {name!r} would get no first job"


def _of_params(old: Plan, new: Plan) -> Iterator[str]:
    for name, param in new.params.items():
        before = old.params.get(name)
        if before is None:
            if param.required:
                yield f"param {name!r} is required, and the run has no value for it"
        elif not _takes(param, before):
            yield f"the run's value of param {name!r} may be none that it takes now"


def _takes(param: PlannedParam, before: PlannedParam) -> bool:
    """
    Whether every value that fitted still fits.
    """
    if (param.type, param.of) != (before.type, before.of) or (param.required and not before.required):
        return False
    return param.choices is None or (before.choices is not None and set(before.choices) <= set(param.choices))


def _of_stages(old: Plan, new: Plan) -> Iterator[str]:
    kept, keeps = _always_on(old), _always_on(new)
    for name, before in old.stages.items():
        after = new.stages.get(name)
        if after is None:
            yield f"stage {name!r} is gone, and jobs may wait at it"
            continue
        yield from (f"stage {name!r} {reason}" for reason in _of_stage(before, after))
        if before.enabled is not False and (
            (name in kept and name not in keeps) or (before.enabled != after.enabled and after.enabled is not True)
        ):
            yield f"stage {name!r} may be off, and jobs may wait at it"


def _of_stage(old: PlannedStage, new: PlannedStage) -> Iterator[str]:
    if (old.task, old.queue, old.external) != (new.task, new.queue, new.external):
        yield f"is another task, and jobs may wait on queue {old.queue!r} for {old.task}"
    if bool(old.join) != bool(new.join):
        yield "becomes a join, and jobs may wait at it" if new.join else "is no join any more, and may have fired"
    if old.collect is not None and new.collect is None:
        yield "puts no jobs together any more, and some may wait to be"
    if old.emit == "stream" and new.emit != "stream":
        yield f"hands over with `emit: {new.emit}`, and a job may have handed over a part, which it would repeat"
    if new.lock is not None and old.lock != new.lock:
        yield "keeps other jobs apart than before, and those that wait are kept apart as before"
    if old.origin != new.origin:
        yield "signs what it writes with another origin, and what it wrote stays under the old one"


def _always_on(plan: Plan) -> set[str]:
    """
    The stages that every run has, whatever its params.
    """
    return still_reached(plan, [name for name, stage in plan.stages.items() if stage.enabled is not True])
