"""
Makes a bound plan from a plan and the params of one run: values filled in, disabled stages left out. Pure.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel

from oaflow.errors import UsageError
from oaflow.model import Retry
from oaflow.plan.joins import RUN
from oaflow.plan.params import as_text, shown
from oaflow.plan.plans import (
    ESCAPED,
    REFERENCE,
    BoundCollect,
    BoundPlan,
    BoundStage,
    Plan,
    PlannedCollect,
    PlannedEdge,
    PlannedRetry,
    PlannedStage,
    references,
)
from oaflow.quantities import per_second
from oaflow.spelling import did_you_mean

# Of each stage, as `BoundStage.places`; and of `enabled`.
Places = Mapping[str, Mapping[str, str]]
NO_PLACES: Places = {}

# An `enabled` that is one param.
ALONE = re.compile(r"params\.([A-Za-z_][A-Za-z0-9_]*)")


def bind(
    plan: Plan, values: Mapping[str, Any], *, disable: Collection[str] = (), places: Places = NO_PLACES
) -> BoundPlan:
    """
    Fill in the params and let the disabled stages fall away, with those that only they lead to, and joins that wait for
    nothing else.

    Args:
        values: what `check_params` returned.
        disable: further stages to leave out of this run.
        places: where the expressions of each stage are written, for what is said when one fails.

    Raises:
        UsageError: a value does not fit where it stands, a name to disable is unknown, or no start stage is left.
    """
    disabled = _disabled(plan, values, disable, places)
    start = tuple(name for name in plan.start if name not in disabled)
    if not start:
        reasons = "; ".join(f"stage {name!r}: {disabled[name]}" for name in plan.start)
        raise UsageError(f"no stage of pipeline {plan.pipeline!r} is left to run: {reasons}")
    return BoundPlan(
        digest=plan.digest,
        pipeline=plan.pipeline,
        start=start,
        params=dict(values),
        stages={
            name: _bound_stage(plan, name, values, disabled, places.get(name, {}))
            for name in plan.stages
            if name not in disabled
        },
        disabled=disabled,
    )


def with_place(what: str, place: str | None) -> str:
    """
    What failed, with its place in the file where that is known.
    """
    return what if place is None else f"{what} ({place})"


def _disabled(plan: Plan, values: Mapping[str, Any], disable: Collection[str], places: Places) -> dict[str, str]:
    for name in disable:
        if name not in plan.stages:
            raise UsageError(f"no stage is named {name!r}", help=did_you_mean(name, plan.stages))
    off: dict[str, str] = {}
    for name, stage in plan.stages.items():
        if stage.enabled is False:
            off[name] = "enabled is false"
        elif isinstance(stage.enabled, str):
            reason = _why_off(name, stage.enabled, values, places.get(name, {}).get("enabled"))
            if reason is not None or name in disable:
                off[name] = reason or "left out of this run"
        elif name in disable:
            off[name] = "left out of this run"
    reached = still_reached(plan, off)
    fallen = {name: _fallen(plan, name) for name in plan.stages if name not in off and name not in reached}
    why = off | fallen
    return {name: why[name] for name in plan.stages if name in why}


def _why_off(stage: str, enabled: str, values: Mapping[str, Any], place: str | None) -> str | None:
    """
    The reason why a stage is off, where its expression says so; else None.
    """
    # Here, for the same reason as in `conditions`.
    from oaflow.expressions import EvaluationError, compile_expression

    expression = compile_expression(enabled, "enabled")
    try:
        if expression.holds(params=values):
            return None
    except EvaluationError as problem:
        raise UsageError(f"{with_place(f'`enabled` of stage {stage!r}', place)}: {problem}") from problem
    if (alone := ALONE.fullmatch(enabled)) is not None:
        return f"param {alone[1]!r} is {as_text(values.get(alone[1]) or False)}"
    asked = [f"{name} is {as_text(value)}" for name in sorted(expression.params) if (value := values[name]) is not None]
    return f"{enabled!r} does not hold" + (f", as {' and '.join(asked)}" if asked else "")


def still_reached(plan: Plan, off: Collection[str]) -> set[str]:
    """
    The stages that a run still reaches when some are off.
    """
    reached = set[str]()
    waits = {name: stage.join for name, stage in plan.stages.items() if stage.join}
    waiting = [name for name in plan.start if name not in off]
    while waiting:
        reached.update(waiting)
        led_to = {target for name in waiting for target in plan.stages[name].targets}
        # Nothing leads to a join: it is reached by waiting, as long as there is something to wait for.
        joins = {name for name, join in waits.items() if RUN in join or not reached.isdisjoint(join)}
        waiting = [name for name in led_to | joins if name not in off and name not in reached]
    return reached


def _fallen(plan: Plan, name: str) -> str:
    if join := plan.stages[name].join:
        return f"no stage that runs is left for it to wait for (only {', '.join(join)})"
    before = [other for other, stage in plan.stages.items() if other != name and name in stage.targets]
    return f"no stage that runs leads to it (only {', '.join(before)})" if before else "no edge leads to it"


def _bound_stage(
    plan: Plan, name: str, values: Mapping[str, Any], disabled: Collection[str], places: Mapping[str, str]
) -> BoundStage:
    stage = plan.stages[name]
    number = _Numbers(name, values)
    edges = tuple(_bound_edge(edge, values, name) for edge in stage.edges if edge.to not in disabled)
    kept = {edge.port for edge in edges}
    return BoundStage(
        name=name,
        task=stage.task,
        queue=stage.queue,
        edges=edges,
        choose=stage.choose,
        dropped=stage.dropped,
        unwired=tuple(dict.fromkeys(edge.port for edge in stage.edges if edge.port not in kept)),
        options=_filled_options(stage.options, values, name),
        retry=_bound_retry(stage.retry, number),
        timeout=number("timeout", stage.timeout, None, "a duration above 0", _is_above_zero),
        memory=number("memory", stage.memory, _default(PlannedStage, "memory"), "a size above 0", _is_size),
        priority=number("priority", stage.priority, _default(PlannedStage, "priority"), "a whole number", _is_priority),
        on_error=None if stage.on_error in disabled else stage.on_error,
        emit=stage.emit,
        external=stage.external,
        origin=stage.origin or f"{plan.pipeline}/{name}",
        split=stage.split,
        collect=None if stage.collect is None else _bound_collect(stage.collect, number),
        concurrency=number("concurrency", stage.concurrency, None, "a whole number, 1 or more", _is_positive),
        rate=number("rate", stage.rate, None, "a number per period, like 50/s", _is_above_zero, _as_rate),
        join=tuple(other for other in stage.join if other not in disabled),
        lock=stage.lock,
        places=places,
    )


class _Numbers:
    """
    Reads the numbers of a stage: one that names a param gets the param's value, and each must fit.
    """

    def __init__(self, stage: str, values: Mapping[str, Any]) -> None:
        self._stage, self._values = stage, values

    def __call__(
        self,
        key: str,
        value: Any,
        default: Any,
        wanted: str,
        fits: Callable[[Any], bool],
        read: Callable[[Any], Any] = lambda value: value,
    ) -> Any:
        """
        Args:
            key: of the stage, for the message.
            value: what the plan has for it.
            default: what holds where the param has no value.
            wanted: what it must be, for the message.
            fits: whether it is that.
            read: makes the number of a param's value.

        Raises:
            UsageError: it does not fit.
        """
        if references(value):
            value = _filled(value, self._values, f"{key} of stage {self._stage!r}")
            value = default if value is None else read(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not fits(value)):
            raise UsageError(f"{key} of stage {self._stage!r} is {shown(value)}, but must be {wanted}")
        return value


def _bound_retry(retry: PlannedRetry, number: _Numbers) -> Retry:
    fresh = PlannedRetry()
    return Retry(
        max=number("retry.max", retry.max, fresh.max, "a whole number, 0 or more", _is_count),
        backoff=cast("Any", retry.backoff),
        base=number("retry.base", retry.base, fresh.base, "a duration", _is_time),
        cap=number("retry.cap", retry.cap, fresh.cap, "a duration", _is_time),
    )


def _bound_collect(collect: PlannedCollect, number: _Numbers) -> BoundCollect:
    return BoundCollect(
        size=number("collect.size", collect.size, None, "a whole number, 1 or more", _is_positive),
        wait=number("collect.wait", collect.wait, _default(PlannedCollect, "wait"), "a duration", _is_time),
    )


def _default(model: type[BaseModel], field: str) -> Any:
    return model.model_fields[field].default


def _bound_edge(edge: PlannedEdge, values: Mapping[str, Any], stage: str) -> PlannedEdge:
    if not isinstance(edge.where, Mapping):
        return edge
    place = f"`where` of the edge from stage {stage!r} to {edge.to!r}"
    return edge.model_copy(update={"where": _filled_where(edge.where, values, place) or None})


def _filled_where(where: Mapping[str, Any], values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """
    A mapping of wanted values with its params filled in. One that has no value is left out, as an option is, and so is
    a key that no value is left for.
    """
    filled: dict[str, Any] = {}
    for key, wanted in where.items():
        if isinstance(wanted, Mapping):
            kept: Any = _filled_where(cast("Mapping[str, Any]", wanted), values, place)
        else:
            kept = tuple(text for value in wanted for text in _texts(_filled(value, values, place)))
            if "" in kept:
                named = ", ".join(f"-p {name}=VALUE" for name in sorted(references(wanted)))
                raise UsageError(
                    f"{place} asks {key!r} for an empty text, and no value of an entity is one", help=named
                )
        if kept:
            filled[key] = kept
    return filled


def _texts(value: Any) -> Iterator[str]:
    """
    What stands for a value in a list of texts: the items of a list, and nothing for a param without a value.
    """
    for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if item is not None:
            yield as_text(item)


def _is_size(value: Any) -> bool:
    return value > 0 and value == int(value)


def _is_priority(value: Any) -> bool:
    return isinstance(value, int) and -(2**31) <= value < 2**31  # what a column of type integer holds


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**31


def _is_positive(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_above_zero(value: Any) -> bool:
    return 0 < value < math.inf


def _as_rate(value: Any) -> Any:
    """
    How often in a second; what cannot be read stays as it is.
    """
    return value if (found := per_second(value)) is None else found


def _is_time(value: Any) -> bool:
    return 0 <= value < math.inf


def _filled_options(options: Mapping[str, Any], values: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """
    The options with their params filled in; one that is a param without a value is left out, and so the function's
    own default counts. A null that the author wrote is a value.
    """
    filled = {key: _filled(value, values, f"option {key!r} of stage {stage!r}") for key, value in options.items()}
    return {key: value for key, value in filled.items() if value is not None or options[key] is None}


def _filled(value: Any, values: Mapping[str, Any], place: str) -> Any:
    match value:
        case str() if whole := REFERENCE.fullmatch(value):
            return _value_of(whole[1], values, place)
        case str():
            # What is inserted has no escapes.
            parts = REFERENCE.split(value)
            parts[::2] = (part.replace(ESCAPED, "${") for part in parts[::2])
            parts[1::2] = (_inserted(name, values, place) for name in parts[1::2])
            return "".join(parts)
        case Mapping():
            return {key: _filled(item, values, place) for key, item in value.items()}
        case list() | tuple():
            return [_filled(item, values, place) for item in value]
        case _:
            return value


def _value_of(name: str, values: Mapping[str, Any], place: str) -> Any:
    if name not in values:
        raise UsageError(
            f"{place} mentions param {name!r}, which the pipeline does not have", help=did_you_mean(name, values)
        )
    return values[name]


def _inserted(name: str, values: Mapping[str, Any], place: str) -> str:
    value = _value_of(name, values, place)
    if value is None:
        raise UsageError(f"{place} needs param {name!r}, which has no value", help=f"-p {name}=VALUE")
    if isinstance(value, list | dict):
        raise UsageError(
            f"{place} inserts param {name!r} in a longer text, but its value is a list",
            help=f"write only ${{params.{name}}} there, which keeps it a list",
        )
    return as_text(value)
