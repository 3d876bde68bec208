"""
Decides whether a run that has begun may go over to another plan: whether each of its jobs, wherever it waits, has a
place in that plan. Pure.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, combinations
from typing import Any

from oaflow.errors import UsageError
from oaflow.plan.binding import bind, still_reached
from oaflow.plan.params import check_params
from oaflow.plan.plans import Plan, PlannedParam, PlannedStage

# Expressions whose combinations are gone through; with more, what may be off is taken to be.
MOST = 8


def obstacles(old: Plan, new: Plan, values: Mapping[str, Any] | None = None) -> list[str]:
    """
    What keeps a run of one plan from going over to another, each as a sentence; empty where nothing does.

    Args:
        values: of the run's params. Without them it is any run, and what one of them might have counts.
    """
    if old.digest == new.digest:
        return []
    if values is None:
        return [*_of_pipeline(old, new), *_of_params(old, new), *_of_stages(old, new, _lost(old, new))]
    wrong = [*_of_pipeline(old, new), *_of_values(new, values)]
    try:
        lost = _lost_of(old, new, values)
    except UsageError as problem:
        # What does not fit a param has been said above.
        return [*(wrong or [str(problem)]), *_of_stages(old, new, set())]
    return [*wrong, *_of_stages(old, new, lost)]


def _of_pipeline(old: Plan, new: Plan) -> Iterator[str]:
    if old.pipeline != new.pipeline:
        yield f"it is a run of pipeline {old.pipeline!r}, whose name signs what it writes"
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
            yield f"the run's value of param {name!r} may no longer be allowed"


def _takes(param: PlannedParam, before: PlannedParam) -> bool:
    """
    Whether every value that fitted still fits.
    """
    if (param.type, param.of) != (before.type, before.of) or (param.required and not before.required):
        return False
    return param.choices is None or (before.choices is not None and set(before.choices) <= set(param.choices))


def _of_values(new: Plan, values: Mapping[str, Any]) -> Iterator[str]:
    for name, param in new.params.items():
        if values.get(name) is None:
            if param.required and param.default is None:
                yield f"param {name!r} is required, and the run has no value for it"
            continue
        try:
            check_params(new.model_copy(update={"params": {name: param}}), {name: values[name]})
        except UsageError as problem:
            yield f"the run's value does not fit: {problem}"


def _of_stages(old: Plan, new: Plan, lost: Collection[str]) -> Iterator[str]:
    for name, before in old.stages.items():
        after = new.stages.get(name)
        if after is None:
            yield f"stage {name!r} is gone, but jobs may wait at it"
            continue
        yield from (f"stage {name!r} {reason}" for reason in _of_stage(before, after))
        if name in lost:
            yield f"stage {name!r} may be off, but jobs may wait at it"


def _of_stage(old: PlannedStage, new: PlannedStage) -> Iterator[str]:
    if (old.task, old.queue, old.external) != (new.task, new.queue, new.external):
        yield f"is another task, but jobs may wait on queue {old.queue!r} for {old.task}"
    if not _accepted(old.takes, new.takes):
        yield f"takes {new.takes} now, but the waiting jobs may be {f'of type {old.takes}' if old.takes else 'any'}"
    if bool(old.join) != bool(new.join):
        yield "becomes a join, but jobs may wait at it" if new.join else "is no longer a join, but may have started"
    if old.collect is not None and new.collect is None:
        yield "no longer collects jobs, but some may wait to be collected"
    if old.emit == "stream" and new.emit != "stream":
        yield f"hands over with `emit: {new.emit}`, but a job may have handed over chunks, which it would repeat"
    if new.lock is not None and old.lock != new.lock:
        yield "has another lock, but the waiting jobs keep the old one"
    if old.origin != new.origin:
        yield "writes under another origin, but what it wrote stays under the old one"


def _accepted(old: str | None, new: str | None) -> bool:
    """
    Whether a function surely takes each job that it took before, by its annotations. Which type descends from which is
    not known here: only `Job`, and more alternatives, are wider.
    """
    return new is None or old == new or "Job" in _alternatives(new) or _alternatives(old or "Job") <= _alternatives(new)


def _alternatives(annotation: str) -> set[str]:
    return set(annotation.split(" | "))


def _lost(old: Plan, new: Plan) -> set[str]:
    """
    The stages that some run has by the old plan and has not by the new one; expressions are true or false each by
    itself.
    """
    if _ways(old) == _ways(new):
        return set()
    expressions = sorted({one.enabled for plan in (old, new) for one in plan.stages.values() if _asks(one)}, key=str)
    if len(expressions) > MOST:
        return set(old.stages) - _left(new, expressions)
    sets = chain.from_iterable(combinations(expressions, size) for size in range(len(expressions) + 1))
    return set[str]().union(*(_left(old, off) - _left(new, off) for off in sets))


def _lost_of(old: Plan, new: Plan, values: Mapping[str, Any]) -> set[str]:
    """
    The stages that a run with these values has by the old plan and has not by the new one.

    Raises:
        UsageError: it could not run by the new one at all.
    """
    given = {name: value for name, value in values.items() if name in new.params and value is not None}
    return set(bind(old, values).stages) - set(bind(new, check_params(new, given)).stages)


def _left(plan: Plan, off: Collection[object]) -> set[str]:
    """
    The stages of a plan that are left where these expressions are false.
    """
    gone = [name for name, stage in plan.stages.items() if stage.enabled is False or stage.enabled in off]
    return still_reached(plan, gone)


def _asks(stage: PlannedStage) -> bool:
    return isinstance(stage.enabled, str)


def _ways(plan: Plan) -> object:
    """
    All that decides which stages a run has.
    """
    return sorted(plan.start), {name: (set(one.targets), one.enabled, one.join) for name, one in plan.stages.items()}
