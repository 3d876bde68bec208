"""
What a run does again, and what not: what its crawl asks for, and what comes of its end.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from oaflow.entities.holdings import origins
from oaflow.entities.indexed import IndexedStore
from oaflow.jobs import Sighting, Verdict
from oaflow.ledger import crawled as ledger
from oaflow.ledger.crawled import Crawling, Known
from oaflow.ledger.runs import find_run
from oaflow.operations.states import bound_plan, wanted_run
from oaflow.plan import BoundPlan
from oaflow.plan.deciding import difference
from oaflow.runtime.functions import TaskError, load

# Files that are looked at together at the end of a run.
_FILES_AT_ONCE = 500


class KnownFiles:
    """
    What earlier runs of a pipeline have done with the files of a dataset, over one connection.

    Args:
        run: whose crawl asks.
        now: that run.
        code: the version of each stage's code, as far as it can be told here.
    """

    def __init__(self, connection: Connection[Any], run: str, now: Crawling, code: Mapping[str, str]) -> None:
        self._connection, self._run, self._now, self._code = connection, run, now, code
        self._changes: dict[str, str | None] = {}

    def judge(self, seen: Sequence[Sighting]) -> list[Verdict]:
        """
        Which files are to be sent on.
        """
        now = self._now
        if not now.before:
            return [Verdict() for _ in seen]
        found = ledger.known(self._connection, now.dataset, now.pipeline, [one.document for one in seen])
        self._learn({one.ran for one in found.values()})
        return [self._verdict(found.get(one.document), one) for one in seen]

    def _learn(self, runs: set[str]) -> None:
        if fresh := runs - self._changes.keys():
            stages = ledger.stages_of(self._connection, fresh)
            self._changes |= {run: difference(stages.get(run, {}), self._now.stages) for run in fresh}

    def _verdict(self, known: Known | None, seen: Sighting) -> Verdict:
        if known is None:
            return Verdict(why="new")
        why = (
            _changed(known, seen)
            or self._changes[known.ran]
            or other_code(known.done or (), self._code)
            or ("--force" if self._now.force else None)
        )
        return Verdict(unchanged=why is None, why=why)

    def keep(self, seen: Sequence[Sighting], verdicts: Sequence[Verdict]) -> None:
        """
        Write down what was seen.
        """
        ledger.keep(self._connection, self._run, seen, [verdict.unchanged for verdict in verdicts])

    def see(self, documents: Sequence[str]) -> None:
        """
        Write down that files are there, and could not be read.
        """
        ledger.see(self._connection, self._run, documents)

    def end(self, covered: Sequence[bytes], shut: Sequence[bytes]) -> None:
        """
        Write down that these sources were gone through to their end, and what could not be looked into.
        """
        ledger.end_crawl(self._connection, self._run, covered, shut)


def _changed(known: Known, seen: Sighting) -> str | None:
    if known.content_hash != seen.content_hash:
        return "content changed"
    return f"did not come to its end in {known.ran}" if known.done is None else None


def other_code(before: Sequence[str], now: Mapping[str, str]) -> str | None:
    """
    Which stage has another code than the one that a file went through, in words; None where none has. Pure.

    Args:
        before: `stage=version`.
        now: by stage; of one that is not in it nothing is known.
    """
    for pair in before:
        stage, _, version = pair.partition("=")
        if now.get(stage, version) != version:
            return f"code of stage {stage} changed: {version} is {now[stage]} now"
    return None


@contextmanager
def past_of(address: str, store: IndexedStore, run: str) -> Generator[KnownFiles | None]:
    """
    What was known before a run of the files that its crawl sees, for the time of a block; None: there is no such run.
    """
    with psycopg.connect(address, autocommit=True, application_name="oaflow crawl") as connection:
        found = ledger.crawling(connection, run)
        if found is None:
            yield None
            return
        if not found.dated:
            ledger.begin_crawl(connection, run, store.clock())
        bound = bound_plan(connection, wanted_run(connection, run))
        yield KnownFiles(connection, run, found, code_of(bound) if found.before else {})


def code_of(plan: BoundPlan) -> dict[str, str]:
    """
    The version of each stage's code on this machine; stages that cannot be imported here are left out.
    """
    versions: dict[str, str] = {}
    for name, stage in plan.stages.items():
        try:
            versions[name] = load(stage.task).version
        except TaskError:
            continue
    return versions


def settle_all(connection: Connection[Any], store: IndexedStore, dataset: str, pipeline: str) -> None:
    """
    Does what comes of the end of all runs of a pipeline and dataset, where nobody has.
    """
    for run in ledger.unsettled(connection, dataset, pipeline):
        settle(connection, store, run)


def settle(connection: Connection[Any], store: IndexedStore, run: str) -> None:
    """
    Does what comes of the end of a run: marks what has come to its end, takes out what that no longer says, and, where
    it was asked for, what is gone from the sources. Safe to repeat.
    """
    found = ledger.settling(connection, run)
    if found is None:
        return
    gone: list[ledger.Gone] = []
    if found.since is not None:
        ledger.mark_done(connection, run)
        own = _origins(connection, store, run)
        after = ""
        while files := ledger.done_again(connection, run, after, _FILES_AT_ONCE):
            store.withdraw(found.dataset, own, ledger.lost_children(connection, run, files))
            store.withdraw(found.dataset, own, [*files, *ledger.children(connection, run, files)], found.since)
            after = files[-1]
        gone = ledger.gone(connection, run) if found.covered else []
        for start in range(0, len(gone) if found.prune else 0, _FILES_AT_ONCE):
            lost = [one.document for one in gone[start : start + _FILES_AT_ONCE]]
            store.withdraw(found.dataset, own, [*lost, *ledger.lost_children(connection, run, lost)])
            ledger.drop(connection, run, lost)
    ledger.mark_settled(connection, run, [one.name for one in gone if not one.is_folder])


def _origins(connection: Connection[Any], store: IndexedStore, run: str) -> list[str]:
    """
    Under which names a pipeline has said something about the dataset of its run: stages that it has no more included.
    """
    found = find_run(connection, run)
    assert found is not None
    own = {stage.origin for stage in bound_plan(connection, found).stages.values()}
    return [
        origin for origin in origins(store, found.dataset) if origin in own or origin.startswith(f"{found.pipeline}/")
    ]
