"""
The entity store together with the search over it, as a job reaches them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import Connection
from psycopg.errors import UndefinedTable

from oaflow.entities import search
from oaflow.entities.datasets import table_name
from oaflow.entities.statements import for_table, text
from oaflow.entities.store import BATCH, EntityStore
from oaflow.schemata import is_a

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy


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

    def hide(self, dataset: str, origins: Collection[str], documents: Sequence[str]) -> None:
        """
        Take documents out of the search, and what some origins have said because of them alone; the store stays as it
        is. One about which others have said something stays findable: they may have indexed it. Safe to repeat.

        Args:
            origins: of one pipeline.
        """
        statement = for_table("around", table_name(dataset))
        for start in range(0, len(documents), BATCH):
            some = [*documents[start : start + BATCH]]
            around = self.rows(dataset, statement, {"origins": list(origins), "fragments": some})
            shared = {id for id, _, origin, _, _ in around if origin is not None and origin not in origins}
            self._remove(dataset, set(some) - shared)
            # What was said because of others too stays, where these can be found or are no documents at all.
            found = self._findable(dataset, {fragment for *_, fragment, document in around if document})
            kept = {id for id, _, _, fragment, document in around if fragment in found or (fragment and not document)}
            # A document by itself is what lies in one of these.
            alone = {id for id, schema, *_ in around if schema and not is_a(schema, "Document")}
            self._remove(dataset, alone - shared - kept)

    def take_out(self, dataset: str, statement: bytes, values: Mapping[str, Any]) -> None:
        """
        Delete fragments, and take out of the search what nobody says anything of any more; of the rest, what is left.
        """

        def work(connection: Connection[Any]) -> None:
            # One transaction, as far as it is one database: a second attempt would not know any more what was deleted.
            with connection.transaction():
                self._forget(dataset, [id for (id,) in connection.execute(statement, values).fetchall()])

        with suppress(UndefinedTable):
            self.run(dataset, "write to", work)

    def _forget(self, dataset: str, ids: list[str]) -> None:
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            known = self._findable(dataset, part)
            left = [entity for entity in self.load(dataset, part) if entity.id in known]
            gone = known.difference(entity.id or "" for entity in left)
            self._remove(dataset, gone)
            self._search.run(dataset, "index", lambda c, left=left: search.index(c, dataset, left))

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
