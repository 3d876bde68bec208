"""
Which stages a join waits for, which lead to a stage, and which follow one. Pure.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

# All of the run, as an author writes it.
RUN = "run"


class Joining(Protocol):
    """
    What is to be known of a stage: planned and bound ones have it.
    """

    @property
    def join(self) -> tuple[str, ...]: ...

    @property
    def targets(self) -> tuple[str, ...]: ...


def waits_of(stages: Mapping[str, Joining]) -> dict[str, frozenset[str]]:
    """
    For each join the stages of which nothing may be open when it fires.

    `run`: all others, joins and what follows them left out. A list: these and all that lead to them, over `on_error`
    and recursion too; one that is a join itself brings what it waits for. Stages that are not there are left out.
    """
    joins = {name: stage.join for name, stage in stages.items() if stage.join}
    if not joins:
        return {}
    leads = _leads(stages)
    after_joins = _closure(joins, {name: stage.targets for name, stage in stages.items()})
    of_run = frozenset(stages) - after_joins
    direct = {
        name: of_run if RUN in said else frozenset(_closure((stage for stage in said if stage in stages), leads))
        for name, said in joins.items()
    }
    waits: dict[str, frozenset[str]] = {}
    for name in joins:
        found, brought = set(direct[name]), set[str]()
        while new := (found & joins.keys()) - brought:
            brought |= new
            found = found.union(*(direct[other] for other in new))
        waits[name] = frozenset(found)
    return waits


def feeders_of(stages: Mapping[str, Joining], name: str) -> frozenset[str]:
    """
    All stages that lead to one, over `on_error` and recursion too; itself among them where it stands in a cycle.
    """
    leads = _leads(stages)
    return frozenset(_closure(leads[name], leads))


def followers_of(stages: Mapping[str, Joining], name: str) -> frozenset[str]:
    """
    All stages that a stage leads to, over `on_error` too, and that do not lead back to it.
    """
    after = _closure(stages[name].targets, {other: stage.targets for other, stage in stages.items()})
    return frozenset(after & stages.keys()) - feeders_of(stages, name) - {name}


def _leads(stages: Mapping[str, Joining]) -> dict[str, list[str]]:
    return {name: [other for other, stage in stages.items() if name in stage.targets] for name in stages}


def _closure(sources: Iterable[str], ways: Mapping[str, Collection[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(sources)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += ways.get(name, ())
    return reached
