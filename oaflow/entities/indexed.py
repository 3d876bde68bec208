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


# How much about one entity is read to learn whether others need it: little at first, which is mostly enough.
_FEW = 4
_OTHERS = 1000
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """
    A run that has ended, as far as it determines what should be searchable.

    Attributes:
        origins: the origins of its pipeline.
        begun: when it started, by the clock of the search.
        done: tells which of some documents it has done.
        brought: tells whether entities were indexed with documents, given entity, origin and document; None: not known.
        sifted: whether entities may have been indexed without their document.
    """

    origins: Collection[str]
    begun: datetime
    done: Callable[[Collection[str]], Collection[str]]
    brought: Callable[[Sequence[tuple[str, str, str]]], Sequence[bool | None]]
    sifted: bool


class IndexedStore(EntityStore):
    """
    An entity store that can make its content searchable.
    """

    def __init__(self, conninfo: str | Callable[[], str], *, searched: str | Callable[[], str] | None = None) -> None:
        """
        Args:
            conninfo: the address of the store.
            searched: the address of the database with oaflow's tables, if it is a different one.
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
        Index entities, each replacing what was indexed of it before.

        Args:
            documents: remove what the store no longer holds of these (a page of a longer version).
        """
        # A list, because the statement may be sent again after a lost connection.
        found = [*entities]
        self._search.run(dataset, "index", lambda connection: search.index(connection, dataset, found))
        if wanted := list(documents):
            self._search.run(dataset, "index", lambda connection: self._prune(connection, dataset, wanted, found))

    def withdraw(
        self, dataset: str, origins: Collection[str], fragments: Sequence[str], since: datetime | None = None
    ) -> None:
        """
        Remove what some origins have written because of some documents, from the store and from the search index. What
        others have written about the same entities stays searchable. Safe to repeat.

        Args:
            fragments: the ids of the documents.
            since: only what is older than this, by the clock of the store.
        """
        statement = for_table("withdraw", table_name(dataset))
        for start in range(0, len(fragments), BATCH):
            values = {"origins": list(origins), "fragments": list(fragments[start : start + BATCH]), "since": since}
            self.take_out(dataset, statement, values)

    def hide(self, dataset: str, documents: Sequence[str], run: Ended) -> None:
        """
        Remove from the search index what a run has written about documents that it has processed again, unless it was
        indexed since the run started; the store stays as it is. What was, or may have been, indexed with another
        document stays searchable. Safe to repeat.
        """
        statement = for_table("said_about", table_name(dataset))
        for start in range(0, len(documents), BATCH):
            values = {"origins": [*run.origins], "fragments": [*documents[start : start + BATCH]]}
            said = {id for (id,) in self.rows(dataset, statement, values)}.union(values["fragments"])
            # Nearly all were indexed again. Only for the rest, find out which others have written about an entity.
            left = self._older(dataset, said, run)
            for first in range(0, len(left), BATCH):
                self._sift(dataset, left[first : first + BATCH], frozenset(left), run)

    def hide_doubtful(self, dataset: str, run: Ended) -> None:
        """
        Remove from the search index those doubtful entities that no remaining document has brought there. Safe to
        repeat.
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
        Which of some entities should stay searchable: what brought them to be indexed still exists, or may.
        """
        kept: set[str] = set()
        open: list[tuple[str, str, str, bool]] = []
        # Nearly all were brought by one of the first that wrote about them.
        for most in (_FEW, _OTHERS):
            rest = [id for id in some if id not in kept]
            open = []
            for start in range(0, len(rest), size := _ROWS // most):
                values = {"ids": rest[start : start + size], "most": most}
                around = self.rows(dataset, for_table("around", table_name(dataset)), values)
                asked = [(id, origin, fragment) for id, origin, fragment, document in around if document]
                came = dict(zip(asked, run.brought(asked), strict=True))
                kept.update(id for (id, *_), yes in came.items() if yes)
                # Not everything about these was read.
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
            # A document that was processed again was not indexed itself, whatever else was written about it.
            or (id not in done and (fragment in others or (fragment and not document)))
        }

    def take_out(self, dataset: str, statement: bytes, values: Mapping[str, Any], *, unreadable: bool = False) -> None:
        """
        Delete fragments, and remove entities without any left from the search index; index the others again.
        """

        def work(connection: Connection[Any]) -> None:
            # One transaction, if it is one database: a second attempt would no longer know what was deleted.
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
        Entities, and those that cannot be read. These stay searchable: what makes them unreadable is removed one kind
        after the other, and that must not depend on the next kind.
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
        How many searchable entities of each schema there are, most frequent first.
        """
        values = {"dataset": dataset}
        return dict(self._search.run(dataset, "count", lambda c: c.execute(text("schemata"), values).fetchall()))

    def languages(self, dataset: str) -> dict[str, int]:
        """
        In how many entities each language was detected, most frequent first. Reads the whole dataset.
        """
        statement = for_table("languages", table_name(dataset))

        def read(connection: Connection[Any]) -> list[tuple[Any, ...]]:
            with connection.transaction():
                connection.execute("SET LOCAL enable_seqscan = on")  # reads everything, in any order
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
        # This job need not carry all of a document: an edge may have let only a part of it through.
        gone = rest.difference(entity.id or "" for entity in self.load(dataset, sorted(rest)))
        for document, found in parts.items():
            if not gone.isdisjoint(found):
                search.prune(connection, dataset, document, found - gone)
