"""
`oaflow trace`: what became of a document in every run that had it. It is found by its id, the hash of its bytes, its
name or its path.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from oaflow.entities.said import Said, of_hash, said
from oaflow.entities.ways import ARROW, Ways
from oaflow.errors import UsageError
from oaflow.jobs import readable_name
from oaflow.ledger import traces
from oaflow.ledger.runs import find_run, recent_runs
from oaflow.ledger.traces import Reported
from oaflow.operations.binding import store_of
from oaflow.operations.databases import database
from oaflow.operations.passports import Evidence, Passport, children, passport
from oaflow.operations.states import bound_plan, index_stages, wanted_run
from oaflow.settings import Settings

if TYPE_CHECKING:
    from oaflow.entities.store import EntityStore

# How many documents a name or a hash may match, and how many runs are searched for a document that no stage reported.
MOST = 100

_HASH = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Found:
    """
    The runs of a document: the latest that had it, and the others.
    """

    document: str
    name: str
    dataset: str
    run: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traced:
    """
    The result of a search for a document.

    Attributes:
        found: the documents that match.
        passports: their passports, each in the latest run that had the document; none if several match and `every` is
            False.
        entity: what was written about the entity, if it is one found in documents and not a document itself.
    """

    found: tuple[Found, ...]
    passports: tuple[Passport, ...]
    entity: tuple[Said, ...] = ()


class UntracedError(UsageError):
    """
    No run had the document.
    """

    def __init__(self, typed: str, dataset: str | None, run: str | None, runs: Sequence[str]) -> None:
        self.typed, self.dataset, self.run = typed, dataset, run
        place = f"run {run!r}" if run else f"dataset {dataset!r}" if dataset else "any run"
        if run is not None:
            help = f"oaflow receipt {run} --list all   # its documents"
        elif runs:
            help = f"oaflow search WORDS -d DATASET, or oaflow receipt {runs[0]} --list all   # documents"
        else:
            help = "oaflow run PIPELINE -d DATASET   # there is no run yet"
        super().__init__(f"nothing is known about {typed!r} in {place}", help=help)


class NoDocumentError(UsageError):
    """
    The store has an entity with this id, but no run had it as a document.
    """

    def __init__(self, typed: str, said: Said, dataset: str) -> None:
        self.typed, self.said, self.dataset = typed, said, dataset
        super().__init__(
            f"no run has {typed!r} as a document: it is a {said.schema or 'entity'} in dataset {dataset!r}",
            help=f"{said.origin} wrote it, because of {said.fragment!r}: oaflow entities -d {dataset}",
        )


def trace(
    settings: Settings, typed: str, *, dataset: str | None = None, run: str | None = None, every: bool = False
) -> Traced:
    """
    Find what was typed, and compile what became of it.

    Args:
        typed: the id of a document or entity, the hash of its bytes, its name or the end of it, or a path.
        dataset: only in this dataset.
        run: only in this run.
        every: if it matches several documents, return the passports of all; otherwise of none.

    Raises:
        UsageError: there is no such run, or nothing is known about the document.
    """
    with database(settings) as opened, opened.connect() as made, store_of(settings, opened.address.uri) as store:
        return trace_in(made, store, typed, dataset=dataset, run=run, every=every)


def trace_in(
    made: Connection[Any],
    store: "EntityStore",
    typed: str,
    *,
    dataset: str | None = None,
    run: str | None = None,
    every: bool = False,
    files: bool = True,
) -> Traced:
    """
    The same over open connections.

    Args:
        files: whether it may be the path of a file on this machine.
    """
    if run is not None:
        wanted_run(made, run)
    search = _Search(made, store, dataset, run, files=files)
    reported, entity = search.reported(typed)
    if not reported and entity:
        raise NoDocumentError(typed, entity[0], search.dataset)
    if not reported:
        raise UntracedError(typed, dataset, run, [one.id for one in recent_runs(made, limit=1)])
    found = _by_document(reported)
    several = len(found) > 1 and not every
    passports = () if several else tuple(_passport(made, store, one, reported) for one in found)
    return Traced(found, passports, tuple(entity))


# How control characters in a name are shown.
_ESCAPE = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def _meant(shown: re.Match[str]) -> str:
    return shown[0].encode("ascii").decode("unicode_escape")


class _Search:
    """
    Finds documents for what was typed: fast and certain ways first.
    """

    def __init__(
        self,
        connection: Connection[Any],
        store: "EntityStore",
        dataset: str | None,
        run: str | None,
        *,
        files: bool,
    ) -> None:
        self._connection, self._store, self._run, self._files = connection, store, run, files
        self._only = dataset or (found.dataset if run and (found := find_run(connection, run)) else None)
        self.dataset = ""  # where an entity with that id was found

    def reported(self, typed: str) -> tuple[list[Reported], list[Said]]:
        """
        The documents that it matches, latest run first; and what was written about it, if it is none of them.
        """
        name = readable_name(typed)
        if found := self._of_ids([name]):
            return found, []
        if told := self._entity(name):
            if found := self._of_ids(dict.fromkeys(one.fragment for one in told)):
                return found, told
            found = self._unreported(self.dataset, name)
            return found, [] if found else told
        for ids in self._guesses(typed):
            if found := self._of_ids(ids):
                return found, []
        found = self._of_name(name) or self._of_way(name)
        if not found and (raw := _ESCAPE.sub(_meant, name)) != name:
            found = self._of_name(raw) or self._of_way(raw)
        return found, []

    def _of_name(self, name: str) -> list[Reported]:
        return traces.of_name(self._connection, name, run=self._run, dataset=self._only, limit=MOST)

    def _of_way(self, typed: str) -> list[Reported]:
        """
        What `oaflow search` and `receipt` show, or the same as a path: a name behind all that it lies in. Reports name
        only what is next above.
        """
        above, _, name = typed.rpartition(ARROW if ARROW in typed else "/")
        if not above:
            return []
        found = self._of_name(f"{_path(above).rpartition('/')[2]}/{name}")
        before: dict[str, str] = {}
        for dataset in {one.dataset for one in found}:
            here = {one.document for one in found if one.dataset == dataset}
            before |= Ways(self._store, dataset).to(here)
        last = name.rpartition("/")[2]
        same = [one for one in found if _path(f"/{before.get(one.document, '')}{last}").endswith(_path(f"/{typed}"))]
        return same or (found if ARROW in typed else [])

    def _of_ids(self, ids: Iterable[str]) -> list[Reported]:
        return traces.of_ids(self._connection, ids, run=self._run, dataset=self._only)

    def _guesses(self, typed: str) -> Iterable[list[str]]:
        """
        Ids that it may match: of a file on this machine by its path, then by its content.
        """
        path = Path(typed)
        is_file = self._files and os.path.isfile(path)  # a name too long for a file is not an error
        if is_file:
            from oaflow.stages.naming import document_id

            yield [document_id(dataset, os.fsencode(path.absolute())) for dataset in self._datasets()]
            yield [document_id(dataset, os.fsencode(path.resolve())) for dataset in self._datasets()]
        digest = _digest(path) if is_file else typed.lower()
        if _HASH.fullmatch(digest):
            stored = [id for dataset in self._datasets() for id in of_hash(self._store, dataset, digest)]
            yield [*stored, *traces.of_hash(self._connection, digest, dataset=self._only, limit=MOST)]

    def _entity(self, id: str) -> list[Said]:
        for dataset in self._datasets():
            if told := said(self._store, dataset, id):
                self.dataset = dataset
                return told
        return []

    def _unreported(self, dataset: str, id: str) -> list[Reported]:
        """
        A document that the store has but no stage has reported: it came in with `-i`, or its pipeline does not report.
        """
        return [
            Reported(run.id, run.dataset, id, id, "found", None, None)
            for run in recent_runs(self._connection, dataset=dataset, limit=MOST)
            if self._run in (None, run.id)
            and (traces.lines(self._connection, run, id, found=None) or traces.naming(self._connection, run, id))
        ]

    def _datasets(self) -> list[str]:
        return [self._only] if self._only is not None else self._store.datasets()


def _by_document(reported: Iterable[Reported]) -> tuple[Found, ...]:
    runs: dict[tuple[str, str], list[Reported]] = {}
    for one in reported:
        runs.setdefault((one.dataset, one.document), []).append(one)
    for all in runs.values():
        # A run that left it out as unchanged has nothing to tell, so the one that processed it comes first.
        all.sort(key=lambda one: one.kind == "unchanged")
    return tuple(
        Found(document, all[0].name, dataset, all[0].run, tuple(one.run for one in all[1:]))
        for (dataset, document), all in runs.items()
    )


def _passport(
    connection: Connection[Any], store: "EntityStore", found: Found, reported: Iterable[Reported]
) -> Passport:
    run = find_run(connection, found.run)
    assert run is not None
    document = found.document
    one = next(one for one in reported if (one.run, one.document) == (run.id, document))
    lines = traces.lines(connection, run, document, found=one.job)
    if not lines and one.job is None:
        lines = traces.lines(connection, run, document, found=None, jobs=traces.naming(connection, run, document))
    bound = bound_plan(connection, run)
    jobs = {line.job for line in lines}
    finder = None if one.job is None else traces.finder(connection, run, one.job)
    named = [*children(lines, document), *(finder[1] if finder else ())]
    origins = {name: stage.origin for name, stage in bound.stages.items()}
    return passport(
        Evidence(
            run=run,
            document=document,
            reported=one,
            lines=lines,
            failed=traces.failed(connection, run.id, document, jobs),
            open=traces.still_open(connection, jobs),
            places=traces.places(connection, {line.worker for line in lines if line.worker is not None}),
            names=traces.names_of(connection, run.id, named),
            said=said(store, run.dataset, document, origins.values()),
            origins=origins,
            index=index_stages(bound),
            external=bound.external,
            finder=finder,
            way=Ways(store, run.dataset).within({document: one.name}).get(document),
        )
    )


def _path(way: str) -> str:
    return way.replace(ARROW, "/")


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha1").hexdigest()
