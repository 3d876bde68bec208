"""
Decides which files a run processes again and which it leaves out as unchanged: answers its crawl, and settles the files
at its end.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import Connection

from oaflow.entities.holdings import origins
from oaflow.entities.indexed import Ended, IndexedStore
from oaflow.jobs import Sighting, Verdict, read_job
from oaflow.ledger import crawled as ledger
from oaflow.ledger.crawled import Beginning, Crawling, Known, LaterJob
from oaflow.ledger.runs import FirstJob, find_run
from oaflow.operations.states import bound_plan, index_stages, wanted_run
from oaflow.plan import BoundPlan
from oaflow.plan.deciding import changed, difference
from oaflow.plan.later import Later, Step, arrivals, following, later
from oaflow.runtime.functions import TaskError, load
from oaflow.runtime.router import Route, enter
from oaflow.sessions import WITHOUT_JIT

# How many files are settled together at the end of a run,
_FILES_AT_ONCE = 500
# how many paths are recorded together,
_WAYS_AT_ONCE = 2_000
# and for how many documents it is remembered what was indexed with them.
_FILES_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Change:
    """
    How the pipeline has changed since a run: in words, and which stages; `after` and `origins` are those of both.
    """

    why: str | None
    stages: frozenset[str]
    after: Mapping[str, frozenset[str]]
    origins: Mapping[str, frozenset[str]]


class KnownFiles:
    """
    What earlier runs of a pipeline did with the files of a dataset, read over one connection.

    Args:
        run: the id of the run whose crawl asks.
        now: that run.
        plan: the plan by which it routes.
        code: the version of each stage's code, as far as it is known here.
        withdraw: removes what was written about some documents before this crawl.
    """

    def __init__(
        self,
        connection: Connection[Any],
        run: str,
        now: Crawling,
        plan: BoundPlan,
        code: Mapping[str, str],
        withdraw: Callable[[Sequence[str]], None],
    ) -> None:
        self._connection, self._run, self._now, self._plan, self._code = connection, run, now, plan, code
        self._withdraw = withdraw
        self._changes: dict[str, _Change] = {}

    def judge(self, seen: Sequence[Sighting]) -> list[Verdict]:
        """
        The files to emit. A file for which only later stages have changed starts there.
        """
        now = self._now
        if not now.before:
            return [Verdict() for _ in seen]
        found = ledger.known(self._connection, now.dataset, now.pipeline, [one.document for one in seen])
        # A file that replaces a folder, or the reverse, has the same id. What both write does not merge to an entity.
        if turned := [
            one.document
            for one in seen
            if (known := found.get(one.document)) and (known.content_hash is None) != (one.content_hash is None)
        ]:
            self._withdraw(turned)
        self._learn({one.ran for one in found.values()})
        verdicts = {one.document: self._verdict(found.get(one.document), one) for one in seen}
        verdicts |= self._begun_later({
            known.document: known
            for one in seen
            if (known := found.get(one.document)) is not None
            and not verdicts[one.document].unchanged
            and self._may_begin_later(known, one)
        }, verdicts)  # fmt: skip
        return [verdicts[one.document] for one in seen]

    def _learn(self, runs: set[str]) -> None:
        if fresh := runs - self._changes.keys():
            stages = ledger.stages_of(self._connection, fresh)
            for run in fresh:
                before = stages.get(run, {})
                old = bound_plan(self._connection, wanted_run(self._connection, run))
                self._changes[run] = _Change(
                    difference(before, self._now.stages),
                    changed(before, self._now.stages),
                    following(old, self._plan),
                    {
                        name: frozenset(plan.stages[name].origin for plan in (old, self._plan) if name in plan.stages)
                        for name in {*old.stages, *self._plan.stages}
                    },
                )

    def _verdict(self, known: Known | None, seen: Sighting) -> Verdict:
        if known is None:
            return Verdict(why="new")
        if known.ran == self._run and known.redo is not None:
            return Verdict(begun=True)  # by an attempt that died before it reported this
        why = (
            _changed(known, seen, self._run)
            or self._changes[known.ran].why
            or other_code(known.done or (), self._code)
            or ("--force" if self._now.force else None)
        )
        return Verdict(unchanged=why is None, why=why)

    def _may_begin_later(self, known: Known, seen: Sighting) -> bool:
        now = self._now
        is_file = seen.content_hash is not None
        from_an_earlier_run = is_file and known.ran != self._run and _changed(known, seen, self._run) is None
        return from_an_earlier_run and not now.force and now.first is None

    def _begun_later(self, files: Mapping[str, Known], verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
        """
        Start files at later stages, as far as possible; and return the verdict for each file.
        """
        if not files:
            return {}
        ways = ledger.steps(self._connection, self._now.dataset, self._now.pipeline, list(files))
        found = {
            document: there
            for document, known in files.items()
            if (there := self._later(known, ways.get(document, ()))) is not None
        }
        jobs = ledger.arrived(self._connection, [step for there in found.values() for step in there.first])
        fit = {name: there for name, there in found.items() if all(step.job in jobs for step in there.first)}
        begun = {name: there for name, there in fit.items() if there.first}
        ledger.begin_later(
            self._connection,
            self._run,
            [self._beginning(files[name], there, str(verdicts[name].why)) for name, there in begun.items()],
            [
                job
                for name, there in begun.items()
                for step in there.first
                for job in self._jobs(name, step, jobs[step.job])
            ],
        )
        # If no path of a file goes through what has changed, the file is unchanged.
        return {
            name: Verdict(begun=True, why=verdicts[name].why) if there.first else Verdict(unchanged=True)
            for name, there in fit.items()
        }

    def _later(self, known: Known, steps: Sequence[Step]) -> Later | None:
        change = self._changes[known.ran]
        # A job for a service contains options of its stage, which may be what has changed.
        outside = self._plan.external
        fit = [replace(step, kept=False) if step.stage in outside else step for step in steps]
        stages = {*change.stages, *other_versions(known.done or (), self._code)}
        return later(fit, stages, change.after) if steps else None

    def _beginning(self, known: Known, there: Later, why: str) -> Beginning:
        origins = self._changes[known.ran].origins
        redo = sorted({origin for stage in there.redo for origin in origins.get(stage, ())})
        return Beginning(known.document, known.ran, why, redo, there.replaced, there.found, there.left_out)

    def _jobs(self, document: str, step: Step, args: Mapping[str, Any]) -> list[LaterJob]:
        routes = enter(self._plan, step.stage, read_job(args), run=self._run)
        return [
            LaterJob(
                [document],
                step.parents,
                first_job(route),
            )
            for route in routes
        ]

    def keep(self, seen: Sequence[Sighting], verdicts: Sequence[Verdict]) -> None:
        """
        Record what was seen.
        """
        code = [f"{stage}={self._code[stage]}" for stage in self._plan.start if stage in self._code]
        ledger.keep(self._connection, self._run, seen, [verdict.unchanged for verdict in verdicts], code)

    def see(self, documents: Sequence[str]) -> None:
        """
        Record that files exist but could not be read.
        """
        ledger.see(self._connection, self._run, documents)

    def end(self, covered: Sequence[bytes], shut: Sequence[bytes]) -> None:
        """
        Record that these sources were read to the end, and what could not be read.
        """
        ledger.end_crawl(self._connection, self._run, covered, shut)


def first_job(route: Route) -> FirstJob:
    """
    A job that enters a run on a route to one of its stages.
    """
    args = route.job.to_wire()
    return FirstJob(route.queue, route.task, route.stage, route.priority, args, route.documents, route.collect)


def _changed(known: Known, seen: Sighting, run: str) -> str | None:
    if known.content_hash != seen.content_hash:
        return "content changed"
    if known.done is not None:
        return None
    # The reason for which an interrupted attempt considered it changed is not kept.
    return "seen by a crawl that was interrupted" if known.ran == run else f"was not finished in {known.ran}"


def other_code(before: Sequence[str], now: Mapping[str, str]) -> str | None:
    """
    The stage whose code differs from what processed a file, in words; None if none does. Pure.

    Args:
        before: `stage=version`.
        now: by stage; nothing is known about stages that are missing.
    """
    for stage, version in other_versions(before, now).items():
        return f"code of stage {stage} changed: {version} is {now[stage]} now"
    return None


def other_versions(before: Sequence[str], now: Mapping[str, str]) -> dict[str, str]:
    """
    The stages whose code differs from what processed a file, each with that version. Pure.
    """
    pairs = (pair.partition("=")[::2] for pair in before)
    return {stage: version for stage, version in pairs if now.get(stage, version) != version}


@contextmanager
def past_of(address: str, store: IndexedStore, run: str) -> Generator[KnownFiles | None]:
    """
    What was known before a run about the files that its crawl sees, while the block runs; None if there is no such run.
    """
    with psycopg.connect(address, autocommit=True, application_name="oaflow crawl") as connection:
        connection.execute(WITHOUT_JIT)
        found = ledger.crawling(connection, run)
        if found is None:
            yield None
            return
        since = found.since
        if since is None:
            ledger.begin_crawl(connection, run, since := store.clock())
        bound = bound_plan(connection, wanted_run(connection, run))
        code = code_of(bound, bound.stages if found.before else bound.start)

        def withdraw(documents: Sequence[str]) -> None:
            store.withdraw(found.dataset, _origins(connection, store, run), documents, since)

        yield KnownFiles(connection, run, found, bound, code, withdraw)


def code_of(plan: BoundPlan, stages: Iterable[str]) -> dict[str, str]:
    """
    The version of the code of some stages on this machine, without stages that cannot be imported here.
    """
    versions: dict[str, str] = {}
    for name in stages:
        try:
            versions[name] = load(plan.stages[name].task).version
        except TaskError:
            continue
    return versions


def settle_all(connection: Connection[Any], store: IndexedStore, dataset: str, pipeline: str) -> None:
    """
    Settle all ended runs of a pipeline and dataset that are not settled yet.
    """
    for run in ledger.unsettled(connection, dataset, pipeline):
        settle(connection, store, run)


def has_files(connection: Connection[Any], run: str) -> bool:
    """
    Whether a run has crawled files and is not settled yet.
    """
    found = ledger.settling(connection, run)
    return found is not None and found.since is not None


def settle(connection: Connection[Any], store: IndexedStore, run: str) -> None:
    """
    Settle an ended run: mark the files that are done, remove what they no longer write and what search should no longer
    find, and, if requested, what is gone from the sources. Safe to repeat.
    """
    found = ledger.settling(connection, run)
    if found is None:
        return
    gone: list[ledger.Gone] = []
    if found.since is not None:
        ledger.mark_done(connection, run, _WAYS_AT_ONCE)
        own = _origins(connection, store, run)
        after = ""
        while done := ledger.done_again(connection, run, after, _FILES_AT_ONCE):
            for redo in {redo for _, redo in done}:
                files = [document for document, anew in done if anew == redo]
                said_anew = own if redo is None else list(redo)
                store.withdraw(found.dataset, own, ledger.lost_children(connection, run, files))
                store.withdraw(found.dataset, said_anew, ledger.reported(connection, run, files), found.since)
            after = done[-1][0]
        if turned := ledger.became_folders(connection, run):  # its contents, if it was an archive
            store.withdraw(found.dataset, own, ledger.lost_children(connection, run, turned))
        gone = ledger.gone(connection, run) if found.covered else []
        for start in range(0, len(gone) if found.prune else 0, _FILES_AT_ONCE):
            lost = [one.document for one in gone[start : start + _FILES_AT_ONCE]]
            store.withdraw(found.dataset, own, [*lost, *ledger.lost_children(connection, run, lost)])
            ledger.drop(connection, run, lost)
        _hide_unindexed(connection, store, found, run, own)
    ledger.mark_settled(connection, run, found.round, [one.name for one in gone if not one.is_folder])


def _hide_unindexed(
    connection: Connection[Any], store: IndexedStore, found: ledger.Settling, run: str, own: Sequence[str]
) -> None:
    """
    Remove from the search index what was written about files that were processed again but is no longer indexed, and
    what was indexed only because of files that are gone or have changed.
    """
    bound = bound_plan(connection, wanted_run(connection, run))
    indexing = [bound.stages[stage].origin for stage in index_stages(bound)]
    ended = Ended(
        own,
        found.begun,
        lambda documents: ledger.anew_of(connection, run, indexing, documents),
        _Brought(connection, store, found.dataset),
        any(edge.where is not None for stage in bound.stages.values() for edge in stage.edges),
    )
    for documents in ledger.anew(connection, run, indexing, _FILES_AT_ONCE):
        store.hide(found.dataset, documents, ended)
    store.hide_doubtful(found.dataset, ended)


class _Brought:
    """
    Whether entities were indexed with documents, in the last run of each pipeline that had them.
    """

    def __init__(self, connection: Connection[Any], store: IndexedStore, dataset: str) -> None:
        self._connection, self._store, self._dataset = connection, store, dataset
        self._pipelines: dict[str, list[str]] | None = None
        self._stages: set[str] = set()
        self._ways: dict[tuple[str, str], dict[str | None, list[Step]]] = {}

    def __call__(self, asked: Sequence[tuple[str, str, str]]) -> list[bool | None]:
        if self._pipelines is None:
            self._pipelines = self._learn()
        wanted: dict[str, set[str]] = {}
        for _, origin, document in asked:
            for pipeline in self._pipelines.get(origin, ()):
                wanted.setdefault(pipeline, set()).add(document)
        came = {pipeline: self._came(pipeline, documents) for pipeline, documents in wanted.items()}
        return [
            _any(entity in there if (there := came[pipeline].get(document)) is not None else None for pipeline in own)
            if (own := self._pipelines.get(origin))
            else None
            for entity, origin, document in asked
        ]

    def _came(self, pipeline: str, documents: Collection[str]) -> dict[str, Collection[str]]:
        """
        What was indexed with some documents in the last run of a pipeline, by document, without those for which it is
        not known.
        """
        files = ledger.in_files(self._connection, self._dataset, pipeline, documents)
        self._read(pipeline, {file for file, _ in files.values()})
        ways = {document: self._ways[pipeline, file] for document, (file, done) in files.items() if done}
        jobs = [step for document, way in ways.items() for step in way.get(document, ())]
        carried = ledger.carried(self._connection, jobs)
        return {
            document: {entity for step in way.get(document, ()) for entity in carried[step.job]}
            for document, way in ways.items()
            if None not in way and all(step.job in carried for step in way.get(document, ()))
        }

    def _read(self, pipeline: str, files: Collection[str]) -> None:
        if len(self._ways) > _FILES_KNOWN:
            self._ways.clear()
        fresh = [file for file in files if (pipeline, file) not in self._ways]
        steps = ledger.steps(self._connection, self._dataset, pipeline, fresh) if fresh else {}
        self._ways |= {(pipeline, file): arrivals(steps.get(file, ()), self._stages) for file in fresh}

    def _learn(self) -> dict[str, list[str]]:
        pipelines: dict[str, list[str]] = {}
        for run in ledger.latest_runs(self._connection, self._dataset):
            found = wanted_run(self._connection, run)
            self._stages.update(index_stages(bound_plan(self._connection, found)))
            for origin in _origins(self._connection, self._store, run):
                pipelines.setdefault(origin, []).append(found.pipeline)
        return pipelines


def _any(answers: Iterable[bool | None]) -> bool | None:
    told = list(answers)
    return True if True in told else None if None in told else False


def _origins(connection: Connection[Any], store: IndexedStore, run: str) -> list[str]:
    """
    The origins under which a pipeline has written to the dataset of its run, including those of former stages.
    """
    found = find_run(connection, run)
    assert found is not None
    own = {stage.origin for stage in bound_plan(connection, found).stages.values()}
    return [
        origin for origin in origins(store, found.dataset) if origin in own or origin.startswith(f"{found.pipeline}/")
    ]
