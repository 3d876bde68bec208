"""
For each stage, a digest of what in the plan decides over a document, so that a later run knows whether it would do the
same. Pure.
"""

from collections.abc import Mapping
from hashlib import sha256

import orjson

from oaflow.plan.plans import BoundPlan, BoundStage, put_in_order

# How much runs at once, how often it is tried and for how long makes nothing else of a document; neither does what it
# is put together with, since a stage says the same of each.
_DECIDES = ("task", "origin", "edges", "choose", "dropped", "unwired", "on_error", "emit")


def deciding(plan: BoundPlan) -> dict[str, str]:
    """
    A digest for each stage of a run, but for joins, which no document comes to. The options of a stage where runs
    start say where documents are, and do not count.
    """
    return {
        name: _digest(stage, plan, with_options=name not in plan.start)
        for name, stage in plan.stages.items()
        if not stage.join
    }


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """
    What of the pipeline is not as it was, in words; None where all is.
    """
    changed = [name for name in now if name in before and now[name] != before[name]]
    for what, names in (
        ("new", now.keys() - before.keys()),
        ("gone", before.keys() - now.keys()),
        ("changed", changed),
    ):
        if names:
            return f"pipeline: {', '.join(sorted(names))} {what}"
    return None


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> frozenset[str]:
    """
    The stages that are not as they were: new and gone ones included.
    """
    return frozenset(name for name in {*before, *now} if before.get(name) != now.get(name))


def _digest(stage: BoundStage, plan: BoundPlan, *, with_options: bool) -> str:
    whole = stage.model_dump(mode="json", include={*_DECIDES, *(["options"] if with_options else [])})
    put_in_order(whole)  # a run that begins by a stored plan does the same as one that begins by the file
    if asked := {name: plan.params.get(name) for name in _params_of(stage)}:
        whole["params"] = asked
    return sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:16]


def _params_of(stage: BoundStage) -> set[str]:
    """
    The params that the conditions of a stage's edges ask for: their values stand nowhere else in it.
    """
    return {
        name
        for conditions in stage.conditions.values()
        for condition in conditions
        for expression in (condition.when, condition.where)
        if expression is not None
        for name in expression.params
    }
