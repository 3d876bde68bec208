"""
`oaflow rerun`: repeats a part of a run, as a new run whose results replace the old ones.
"""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from oaflow.entities.indexed import IndexedStore
from oaflow.errors import UsageError
from oaflow.expressions import Expression, ExpressionError, compile_expression
from oaflow.jobs import read_job
from oaflow.ledger import crawled, reruns
from oaflow.ledger import runs as ledger
from oaflow.ledger.crawled import Beginning, LaterJob
from oaflow.ledger.reruns import Ended
from oaflow.ledger.runs import Run
from oaflow.operations.afresh import once_more
from oaflow.operations.again import first_job, settle_all
from oaflow.operations.binding import store_of
from oaflow.operations.crew import Crew
from oaflow.operations.databases import Database, database
from oaflow.operations.following import CommandEvent
from oaflow.operations.running import followed
from oaflow.operations.starting import Begun, Request, open_run, refuse_unseen, unfinished
from oaflow.operations.states import bound_plan, check_stage, folders_from_here, in_order, plan_of, wanted_run
from oaflow.plan import BoundPlan
from oaflow.plan.later import Part, following, part
from oaflow.printed.runs import Rerun as RerunJson
from oaflow.runtime.router import enter, entities_of, facts_of
from oaflow.settings import Settings

# How many jobs are read at once, and entered by one statement.
_JOBS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Which jobs of a run to repeat: those that meet all criteria; without criteria, all jobs.

    Attributes:
        failed: jobs whose attempts were used up and that were not retried since.
        where: an expression that holds for at least one of the entities that they arrived with.
        older_than: a stage and a version of its code: jobs that ran with another version there, except later releases.
    """

    stage: str | None = None
    failed: bool = False
    where: str | None = None
    older_than: tuple[str, str] | None = None

    def __str__(self) -> str:
        older = "=".join(self.older_than) if self.older_than else None
        given = (
            f"--stage {self.stage}" if self.stage else None,
            "--failed" if self.failed else None,
            f"--where {self.where!r}" if self.where else None,
            f"--older-than {older}" if older else None,
        )
        return " ".join(filter(None, given))


@dataclass(frozen=True, slots=True)
class Rerun:
    """
    What would be repeated of a run. Jobs are counted by stage, as they were in that run.

    Attributes:
        chosen: how many jobs match the choice.
        first: jobs that would start.
        after: jobs that followed from these.
        versions: versions of the code that the first jobs ran with.
        documents: how many documents the jobs are about.
        newer: how many documents stay as they are, because a later run has processed them or they are gone.
        lost: how many documents cannot be repeated, because their jobs are no longer kept.
    """

    run: Run
    choice: Choice
    chosen: int
    first: Mapping[str, int]
    after: Mapping[str, int]
    versions: Mapping[str, int]
    documents: int
    newer: int
    lost: int

    def as_json(self) -> RerunJson:
        """
        The public form.
        """
        return {
            "run": self.run.id,
            "dataset": self.run.dataset,
            "asked": str(self.choice),
            "chosen": self.chosen,
            "documents": self.documents,
            "first": dict(self.first),
            "after": dict(self.after),
            "versions": dict(self.versions),
            "newer": self.newer,
            "lost": self.lost,
        }


def rerun(
    settings: Settings, run: str | None, choice: Choice, agreed: Callable[[Rerun], bool], *, crew: Crew
) -> Generator[CommandEvent | Begun]:
    """
    Repeat a part of a run, and follow it to its end.

    Args:
        agreed: called with what would be repeated; if it returns False, nothing starts.

    Raises:
        UsageError: there is no such run or stage, the expression is wrong, the run has not ended, or there is nothing
            to do.
    """
    with database(settings) as opened:
        with opened.connect() as made, store_of(settings, opened.address.uri) as store:
            found = wanted_run(made, run)
            bound = bound_plan(made, found)
            _refuse(made, found, bound, choice)
            settle_all(made, store, found.dataset, found.pipeline)
            taken, told = _taken(made, found, bound, choice)
            if not agreed(told):
                return
            begun = _begin(opened, made, store, found, bound, taken)
        yield begun
        yield from followed(opened, begun, crew)


def _refuse(made: Connection[Any], found: Run, bound: BoundPlan, choice: Choice) -> None:
    if found.open:
        raise UsageError(f"run {found.id!r} has not ended: it is {found.state}", help=f"oaflow resume {found.id}")
    if (other := unfinished(made, found.pipeline, found.dataset)) is not None:
        raise UsageError(
            f"run {other.id!r} of this pipeline and dataset has not ended (it is {other.state})",
            help=f"oaflow resume {other.id}   # or oaflow cancel {other.id}",
        )
    for stage in (choice.stage, choice.older_than[0] if choice.older_than else None):
        check_stage(found, bound, stage)
    refuse_unseen(made, bound)


def _taken(made: Connection[Any], found: Run, bound: BoundPlan, choice: Choice) -> tuple[Part, Rerun]:
    steps = [step for step in reruns.steps_of_run(made, found.id) if not _is_source(bound, step)]
    condition = _condition(choice.where, bound) if choice.where else None
    wanted = [step for step in chosen(steps, choice) if not bound.stages[step.stage].join]
    if condition is not None:
        wanted = list(_holding(made, found, bound, wanted, condition))
    newer = reruns.newer(made, found.id)
    taken = part(steps, [step.job for step in wanted], following(bound), newer)
    about = {document for step in wanted for document in step.documents or ()}
    begins = {step.job for step in taken.first}
    told = Rerun(
        found,
        choice,
        len(wanted),
        _by_stage(bound, taken.first),
        # A collected job is counted once, as the successor of its parts.
        _by_stage(bound, [s for s in taken.again if s.job not in begins and isinstance(s, Ended) and s.version]),
        Counter(step.version for step in taken.first if isinstance(step, Ended) and step.version),
        len(taken.found),
        len(about & newer),
        len(taken.lost),
    )
    if not taken.first:
        raise UsageError(f"nothing of run {found.id!r} can be repeated{_because(told)}", help=_instead(told))
    return taken, told


def _condition(where: str, bound: BoundPlan) -> Expression:
    try:
        return compile_expression(where, "where", tuple(bound.params))
    except ExpressionError as error:
        # The mapping form of a file would be read as a set or a dict.
        help = "--where \"is_a(e, 'Email')\"" if where.lstrip().startswith("{") else error.help
        raise UsageError(f"--where {where!r}: {error}", help=help) from error


def _is_source(bound: BoundPlan, step: Ended) -> bool:
    """
    Whether a stage is where a run starts without input: repeating that would be a whole new run.
    """
    return step.stage in bound.start and not step.documents and not step.parents


def _because(told: Rerun) -> str:
    if told.newer:
        return f": {told.newer:,} documents were processed by a later run, or are gone"
    if told.lost or told.chosen:
        return ": its jobs are no longer kept"
    return f": no job matches {told.choice}" if str(told.choice) else ""


def _instead(told: Rerun) -> str:
    run = told.run
    again = once_more(run)
    if run.state == "cancelled" and not told.newer:
        return f"{again}   does what the cancelled run had left"
    return f"{again} --force   does everything again, from the beginning"


def chosen(steps: Sequence[Ended], choice: Choice) -> list[Ended]:
    """
    The jobs that meet all criteria except the expression. Pure.
    """
    old: set[str] | None = None
    if choice.older_than is not None:
        stage, version = choice.older_than
        there = [step for step in steps if step.stage == stage and step.version and is_older(step.version, version)]
        if choice.stage in (None, stage):
            steps = there
        else:
            old = {document for step in there for document in step.documents or ()}
    return [
        step
        for step in steps
        if choice.stage in (None, step.stage)
        and (step.failed or not choice.failed)
        and (old is None or not old.isdisjoint(step.documents or ()))
    ]


def is_older(version: str, than: str) -> bool:
    """
    Whether a version of code differs, and is not of a later release. Pure: `1.2+ab12` is of release 1.2; `1.2` alone
    matches all of that release.
    """
    if version == than or version.partition("+")[0] == than:
        return False
    before, after = _release(version), _release(than)
    return not before or not after or before <= after


def _release(version: str) -> tuple[int, ...]:
    numbers = version.partition("+")[0].split(".")
    return tuple(map(int, numbers)) if all(number.isdecimal() for number in numbers) else ()


def _holding(
    made: Connection[Any], found: Run, bound: BoundPlan, steps: Sequence[Ended], condition: Expression
) -> Iterator[Ended]:
    for start in range(0, len(steps), _JOBS_AT_ONCE):
        group = steps[start : start + _JOBS_AT_ONCE]
        arrived = reruns.arrived(made, found.id, [step.job for step in group])
        for step in group:
            if step.job not in arrived:
                continue
            job = read_job(arrived[step.job])
            facts = facts_of(bound, job, found.id)._asdict()
            if any(condition.holds(e=entity, **facts) for entity in entities_of(job)):
                yield step


def _by_stage(bound: BoundPlan, steps: Collection[Any]) -> dict[str, int]:
    counted = Counter(step.stage for step in steps)
    return {stage: counted[stage] for stage in in_order(bound) if stage in counted}


def _begin(
    opened: Database, made: Connection[Any], store: IndexedStore, found: Run, bound: BoundPlan, taken: Part
) -> Begun:
    plan, folders = plan_of(made, found), folders_from_here(found)
    request = Request(found.dataset, folders=folders)
    why = f"rerun of {found.id}"
    with made.transaction():
        run = open_run(made, plan, bound, request, found.params, opened.settings.job_bytes, rerun_of=found.id)
        crawled.begin_crawl(made, run, store.clock())
        number = _enter(made, run, found, bound, taken, why)
        anew = [document for document in taken.found if document not in taken.standing]
        reruns.copy_documents(made, run, found.id, taken.found, anew, why)
        ledger.enter(made, run, (), seal=True)
    return Begun(run, bound, number, (f"it is a {why}",), folders)


def _enter(made: Connection[Any], run: str, found: Run, bound: BoundPlan, taken: Part, why: str) -> int:
    documents = {document for step in taken.again for document in step.documents or ()}
    files = reruns.files_of(made, found.id, documents)
    crawled.begin_later(made, run, _beginnings(bound, taken, files, why), ())
    number = 0
    for start in range(0, len(taken.first), _JOBS_AT_ONCE):
        group = taken.first[start : start + _JOBS_AT_ONCE]
        arrived = reruns.arrived(made, found.id, [step.job for step in group])
        jobs = [
            LaterJob(
                sorted({files[document][0] for document in step.documents or () if document in files}),
                step.parents,
                first_job(route),
            )
            for step in group
            for route in enter(bound, step.stage, read_job(arrived[step.job]), run=run)
        ]
        crawled.begin_later(made, run, (), jobs)
        number += len(jobs)
    return number


def _beginnings(bound: BoundPlan, taken: Part, files: Mapping[str, tuple[str, str]], why: str) -> list[Beginning]:
    """
    For each file with jobs to repeat, these jobs.
    """
    redo = sorted({bound.stages[step.stage].origin for step in taken.again if step.stage in bound.stages})
    replaced: dict[str, dict[int, None]] = {}
    found: dict[str, list[str]] = {}
    left_out: dict[str, list[str]] = {}
    begun = {files[document][0] for document in taken.found if document in files}
    for step in taken.again:
        for document in step.documents or ():
            # A collected job also carries documents that stay as they are.
            if document in files and files[document][0] in begun:
                replaced.setdefault(files[document][0], {})[step.job] = None
    for names, there in ((taken.found, found), (taken.left_out, left_out)):
        for document in names:
            if document in files:
                there.setdefault(files[document][0], []).append(document)
    ran = dict(files.values())
    return [
        Beginning(file, ran[file], why, redo, list(jobs), found.get(file, []), left_out.get(file, []))
        for file, jobs in replaced.items()
    ]
