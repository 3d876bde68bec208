"""
Where in its way a file is begun again, when some stages of it have changed: not before the first of them. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from oaflow.plan.plans import BoundPlan


@dataclass(frozen=True, slots=True)
class Step:
    """
    A job on the way of a file.

    Attributes:
        run: in which it took place.
        parents: the jobs of this way that it came of; of that of the crawl there are none.
        documents: that it carries; None: those of other files, too.
        kept: whether the job is there as it arrived.
    """

    job: int
    run: str
    parents: Sequence[int]
    stage: str
    documents: Sequence[str] | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Later:
    """
    How a file is begun again: by the jobs of `first`. All that stands at the stages of `redo` is `replaced`. The
    documents `found` have jobs; those `left_out` were made by what takes place again, and are said anew by it.
    """

    first: tuple[Step, ...]
    redo: frozenset[str]
    replaced: tuple[int, ...]
    found: tuple[str, ...]
    left_out: tuple[str, ...]


def later(steps: Sequence[Step], changed: Iterable[str], after: Mapping[str, frozenset[str]]) -> Later | None:
    """
    How a file is begun again behind what has not changed; None: at its beginning.

    It begins with the first job on each branch of its way at a stage that changed or follows one that did. All jobs of
    these stages take place again, since what a stage says of a document is replaced as a whole. Where a job is not
    there as it arrived, or holds documents of other files, it begins with those that it came of.

    Args:
        steps: the whole way.
        after: the stages that follow each, over any number of edges, before and now.
    """
    stage_of = {step.job: step.stage for step in steps}
    redo = _closed(changed, after)
    while True:
        first = [
            step
            for step in steps
            if step.stage in redo and not any(stage_of.get(parent) in redo for parent in step.parents)
        ]
        unfit = [step for step in first if not step.kept or step.documents is None]
        if not unfit:
            return _later(steps, first, redo)
        if not all(step.parents for step in unfit):
            return None
        redo = _closed({*redo, *(stage_of[parent] for step in unfit for parent in step.parents)}, after)


def following(*plans: BoundPlan) -> dict[str, frozenset[str]]:
    """
    The stages that follow each, over any number of edges of any of some plans.
    """
    targets: dict[str, set[str]] = {}
    for plan in plans:
        for name, stage in plan.stages.items():
            targets.setdefault(name, set()).update(stage.targets)
    return {name: _reached(name, targets) for name in targets}


def _reached(start: str, targets: Mapping[str, set[str]]) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [*targets[start]]
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting.extend(targets.get(name, ()))
    return frozenset(seen)


def _closed(stages: Iterable[str], after: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset(stages).union(*(after.get(name, ()) for name in stages))


def _later(steps: Sequence[Step], first: Sequence[Step], redo: frozenset[str]) -> Later:
    again = [step for step in steps if step.stage in redo]
    found = dict.fromkeys(document for step in first for document in step.documents or ())
    standing = {document for step in steps if step.stage not in redo for document in step.documents or ()}
    made = dict.fromkeys(document for step in again for document in step.documents or ())
    return Later(
        tuple(first),
        redo,
        tuple(step.job for step in again),
        tuple(found),
        tuple(document for document in made if document not in found and document not in standing),
    )
