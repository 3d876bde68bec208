"""
The entity store together with its search index, as jobs use them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import Connection
from psycopg.errors import UndefinedTable

from oaflow.entities import search
from oaflow.entities.datasets import table_name
from oaflow.entities.errors import UnreadableEntityError
from oaflow.entities.statements import for_table, text
from oaflow.entities.store import BATCH, EntityStore

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy


# Of what is said of one entity, so much is read to learn whether others need it: little first, which is mostly enough.
_FEW = 4
_OTHERS = 1000
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """
    A run that has ended, as far as it says what is to be found.

    Attributes:
        origins: of its pipeline.
        begun: when it began, by the clock of the search.
        done: which of some documents it has done.
        brought: whether entities came to be indexed with documents: asked with entity, origin and document; None: that
            is not known.
        sifted: entities may come to be indexed without their document, so one that is not found may have been.
    """

    origins: Collection[str]
    begun: datetime
    done: Callable[[Collection[str]], Collection[str]]
    brought: Callable[[Sequence[tuple[str, str, str]]], Sequence[bool | None]]
    sifted: bool


class IndexedStore(EntityStore):
    """
    An entity store that can make what it holds findable.
    """

    def __init__(self, conninfo: str | Callable[[], str], *, searched: str | Callable[[], str] | None = None) -> None:
        """
        Args:
            conninfo: of the store.
            searched: of the database with oaflow's tables, where it is another one.
        """
        super().__init__(conninfo)
        self._search = self if searched is None else EntityStore(searched, application_name="oaflow search")

    def close(self) -> None:
        """
        Close the connections. The store can be used again.
        """
        super().close()
        if self._search is not self:
            self._search.close()

    def index(self, dataset: str, entities: "Iterable[EntityProxy]", documents: Iterable[str] = ()) -> None:
        """
        Make entities findable, each in place of what was indexed of it before.

        Args:
            documents: of these, what the store does not hold any more (a page of a longer version) is taken out.
        """
        # A list, since the statement may be sent again after a cut.
        found = [*entities]
        self._search.run(dataset, "index", lambda connection: search.index(connection, dataset, found))
        if wanted := list(documents):
            self._search.run(dataset, "index", lambda connection: self._prune(connection, dataset, wanted, found))

    def withdraw(
        self, dataset: str, origins: Collection[str], fragments: Sequence[str], since: datetime | None = None
    ) -> None:
        """
        Take out what some origins have said about some documents, from the store and from the search. What others have
        said about the same entities stays findable. Safe to repeat.

        Args:
            fragments: the ids of the documents.
            since: only what is older, by the clock of the store.
        """
        statement = for_table("withdraw", table_name(dataset))
        for start in range(0, len(fragments), BATCH):
            values = {"origins": list(origins), "fragments": list(fragments[start : start + BATCH]), "since": since}
            self.take_out(dataset, statement, values)

    def hide(self, dataset: str, documents: Sequence[str], run: Ended) -> None:
        """
        Take out of the search what a run has said of documents that it has done again, where it did not come to be
        indexed since the run began; the store stays as it is. What came to be indexed with another document, or may
        have, stays findable. Safe to repeat.
        """
        statement = for_table("said_about", table_name(dataset))
        for start in range(0, len(documents), BATCH):
            values = {"origins": [*run.origins], "fragments": [*documents[start : start + BATCH]]}
            said = {id for (id,) in self.rows(dataset, statement, values)}.union(values["fragments"])
            # Nearly all came again. Who else has said something of an entity is asked of the rest only.
            left = self._older(dataset, said, run)
            for first in range(0, len(left), BATCH):
                self._sift(dataset, left[first : first + BATCH], frozenset(left), run)

    def hide_doubtful(self, dataset: str, run: Ended) -> None:
        """
        Take out of the search what nothing that is still there has brought to be indexed, of all that something was
        taken out of. Safe to repeat.
        """
        after: str | None = ""
        while after is not None:
            some = self._search.run(dataset, "search", lambda c, after=after: search.doubtful(c, dataset, after, BATCH))
            if some:
                self._sift(dataset, some, frozenset(self._older(dataset, some, run)), run)
            after = some[-1] if some else None

    def _older(self, dataset: str, entities: Collection[str], run: Ended) -> list[str]:
        return self._search.run(dataset, "search", lambda c: search.older(c, dataset, entities, run.begun))

    def _sift(self, dataset: str, some: Sequence[str], older: Collection[str], run: Ended) -> None:
        kept = self._held(dataset, some, older, run)
        gone = [id for id in some if id not in kept]
        self._search.run(dataset, "index", lambda c: search.expire(c, dataset, gone, run.begun))
        self._search.run(dataset, "index", lambda c: search.be_certain(c, dataset, kept))

    def _held(self, dataset: str, some: Sequence[str], older: Collection[str], run: Ended) -> set[str]:
        """
        Which of some entities are to stay findable: what brought them to be indexed is there, or may be.
        """
        kept: set[str] = set()
        open: list[tuple[str, str, str, bool]] = []
        # Nearly all were brought by one of the first who say something of them.
        for most in (_FEW, _OTHERS):
            rest = [id for id in some if id not in kept]
            open = []
            for start in range(0, len(rest), size := _ROWS // most):
                values = {"ids": rest[start : start + size], "most": most}
                around = self.rows(dataset, for_table("around", table_name(dataset)), values)
                asked = [(id, origin, fragment) for id, origin, fragment, document in around if document]
                came = dict(zip(asked, run.brought(asked), strict=True))
                kept.update(id for (id, *_), yes in came.items() if yes)
                # Of these not all was read.
                kept.update(id for id, times in Counter(id for id, *_ in around).items() if times >= _OTHERS)
                open += [row for row in around if row[0] not in kept and came.get(row[:3]) is None]
        done = set(run.done(sorted({part for id, _, fragment, _ in open for part in (id, fragment)})))
        others = {fragment for *_, fragment, document in open if document}.difference(done)
        if not run.sifted:
            others = self._findable(dataset, others)
        return kept | {
            id
            for id, origin, fragment, document in open
            if origin not in run.origins
            or id not in older
            # A document that was done again did not come itself, whatever else is said of it.
            or (id not in done and (fragment in others or (fragment and not document)))
        }

    def take_out(self, dataset: str, statement: bytes, values: Mapping[str, Any], *, unreadable: bool = False) -> None:
        """
        Delete fragments, and take out of the search what nobody says anything of any more; of the rest, what is left.
        """

        def work(connection: Connection[Any]) -> None:
            # One transaction, as far as it is one database: a second attempt would not know any more what was deleted.
            with connection.transaction():
                self._forget(dataset, [id for (id,) in connection.execute(statement, values).fetchall()], unreadable)

        with suppress(UndefinedTable):
            self.run(dataset, "write to", work)

    def _forget(self, dataset: str, ids: list[str], unreadable: bool) -> None:
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            known = self._findable(dataset, part)
            asked = [id for id in part if id in known]
            left, unread = self._readable(dataset, asked) if unreadable else ([*self.load(dataset, asked)], [])
            gone = known.difference(unread, (entity.id or "" for entity in left))
            self._remove(dataset, gone)
            self._search.run(dataset, "index", lambda c, left=left: search.refresh(c, dataset, left))

    def _readable(self, dataset: str, ids: Sequence[str]) -> "tuple[list[EntityProxy], list[str]]":
        """
        Entities, and those that cannot be read. They stay findable: what keeps them from being read is taken out one
        kind after the other, and must not wait for the next kind.
        """
        try:
            return list(self.load(dataset, ids)), []
        except UnreadableEntityError as error:
            if len(ids) == 1:
                return [], [error.id]
        half = len(ids) // 2
        (one, unread), (other, too) = self._readable(dataset, ids[:half]), self._readable(dataset, ids[half:])
        return one + other, unread + too

    def _findable(self, dataset: str, ids: Collection[str]) -> set[str]:
        return self._search.run(dataset, "search", lambda connection: search.known(connection, dataset, ids))

    def _remove(self, dataset: str, ids: Collection[str]) -> None:
        self._search.run(dataset, "index", lambda connection: search.remove(connection, dataset, ids))

    def schemata(self, dataset: str) -> dict[str, int]:
        """
        How many findable entities of each schema there are, the most frequent first.
        """
        values = {"dataset": dataset}
        return dict(self._search.run(dataset, "count", lambda c: c.execute(text("schemata"), values).fetchall()))

    def languages(self, dataset: str) -> dict[str, int]:
        """
        In how many entities each language was detected, the most frequent first. Reads the whole dataset.
        """
        statement = for_table("languages", table_name(dataset))

        def read(connection: Connection[Any]) -> list[tuple[Any, ...]]:
            with connection.transaction():
                connection.execute("SET LOCAL enable_seqscan = on")  # here all of it is wanted, in whatever order
                return connection.execute(statement).fetchall()

        try:
            return dict(self.run(dataset, "count", read))
        except UndefinedTable:
            return {}

    def _prune(
        self, connection: Connection[Any], dataset: str, documents: list[str], fresh: "list[EntityProxy]"
    ) -> None:
        parts: dict[str, set[str]] = {}
        for document, part in connection.execute(
            text("search_parts"), {"dataset": dataset, "documents": documents}
        ).fetchall():
            parts.setdefault(document, set()).add(part)
        rest = {part for found in parts.values() for part in found}.difference(entity.id or "" for entity in fresh)
        # What came in this job need not be all of a document: an edge may have let only a part of it through.
        gone = rest.difference(entity.id or "" for entity in self.load(dataset, sorted(rest)))
        for document, found in parts.items():
            if not gone.isdisjoint(found):
                search.prune(connection, dataset, document, found - gone)
