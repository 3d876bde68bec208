"""
If some stages have changed since a file was processed: from which jobs on it is processed again. And if some jobs of a
run are to be repeated: which others are repeated with them. Pure.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

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


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of a run: the jobs that it begins with, and all that take place `again`, these included. `found` and
    `left_out` as in `Later`; `lost` are documents of which nothing is there to begin with, and of those that are
    `standing` something is not done again.
    """

    first: tuple[Step, ...]
    again: tuple[Step, ...]
    found: tuple[str, ...]
    left_out: tuple[str, ...]
    lost: frozenset[str]
    standing: frozenset[str]


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


def part(
    steps: Sequence[Step], wanted: Collection[int], after: Mapping[str, frozenset[str]], shut: Collection[str]
) -> Part:
    """
    What of a run takes place again, where some of its jobs are to.

    By document, as what a stage says of one is replaced as a whole: of each that these jobs are about, all that it went
    through at their stages and such as follow them. It begins with the first of these jobs on each branch; where one is
    not there as it arrived, or is also about a document of `shut`, with those that it came of. What comes of none that
    can be had is given up.

    Args:
        steps: all jobs of the run.
        wanted: some of them.
        shut: documents that are to stay as they are.
    """
    by_number = {step.job: step for step in sorted(steps, key=attrgetter("job"))}
    wishes, closed, given_up = set(wanted), set(shut), set[int]()
    documents: set[str] = set()
    redo: frozenset[str] = frozenset()
    while True:
        there = [by_number[job] for job in wishes if not _all_in(by_number[job], closed)]
        documents.update(document for step in there for document in step.documents or ())
        documents -= closed
        redo = _closed({*redo, *(step.stage for step in there)}, after)
        again = _again(by_number, redo, {step.job for step in there}, documents, closed)
        first = [step for step in again.values() if not any(parent in again for parent in step.parents)]
        unfit, fit = list[Step](), list[Step]()
        for step in first:
            (fit if step.kept and closed.isdisjoint(step.documents or ()) else unfit).append(step)
        also = {document for step in fit for document in step.documents or ()}
        if not unfit and also <= documents:
            return _part(steps, first, again, closed - set(shut))
        documents |= also - closed
        for step in unfit:
            above = [
                parent
                for parent in step.parents
                if parent in by_number and parent not in given_up and not _all_in(by_number[parent], closed)
            ]
            wishes.update(above)
            if not above:
                given_up.add(step.job)
                closed.update(step.documents or ())
        wishes -= given_up


def arrivals(steps: Sequence[Step], stages: Collection[str]) -> dict[str | None, list[Step]]:
    """
    What of the way of a file arrived at some stages, by document. A job without one, as where an edge let only other
    entities through, is about those of the jobs that it came of; under None stands what is about nobody knows whom.
    """
    by_number = {step.job: step for step in steps}
    found: dict[str | None, list[Step]] = {}
    for step in steps:
        above = [by_number[parent] for parent in step.parents if parent in by_number]
        # What was put together: what it was made of is there.
        if step.stage not in stages or any(parent.stage == step.stage for parent in above):
            continue
        about = step.documents or [document for parent in above for document in parent.documents or ()]
        for document in dict.fromkeys(about) if about else (None,):
            found.setdefault(document, []).append(step)
    return found


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


def _all_in(step: Step, documents: Collection[str]) -> bool:
    return bool(step.documents) and all(document in documents for document in step.documents)


def _again(
    by_number: Mapping[int, Step], redo: Collection[str], wanted: Collection[int], documents: set[str], shut: set[str]
) -> dict[int, Step]:
    """
    The jobs that take place again: those wanted, those about the documents, and what came of them.
    """
    made: dict[int, list[int]] = {}
    for step in by_number.values():
        for parent in step.parents:
            made.setdefault(parent, []).append(step.job)
    again: dict[int, Step] = {}
    waiting = [
        job for job, step in by_number.items() if job in wanted or not documents.isdisjoint(step.documents or ())
    ]
    while waiting:
        step = by_number[waiting.pop()]
        if step.job not in again and step.stage in redo and not _all_in(step, shut):
            again[step.job] = step
            waiting.extend(made.get(step.job, ()))
    return dict(sorted(again.items()))


def _part(steps: Iterable[Step], first: Sequence[Step], again: Mapping[int, Step], lost: set[str]) -> Part:
    found = dict.fromkeys(document for step in first for document in step.documents or ())
    standing = {document for step in steps if step.job not in again for document in step.documents or ()}
    made = dict.fromkeys(document for step in again.values() for document in step.documents or ())
    left_out = tuple(document for document in made if document not in found and document not in standing)
    return Part(tuple(first), tuple(again.values()), tuple(found), left_out, frozenset(lost), frozenset(standing))


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
