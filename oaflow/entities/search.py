"""
The search index: writes it, and answers searches. `words` cuts texts into words, `passages` into pieces, and `query`
reads what was typed.

A document is found if it contains every term, in its names or on any of its pages. It is shown once, with the page that
has most of them.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import Connection
from psycopg.rows import namedtuple_row

from oaflow.entities.passages import marks, passage, rows
from oaflow.entities.query import Term, terms, tsquery
from oaflow.entities.statements import text
from oaflow.entities.words import fold, words
from oaflow.printed.documents import Hit as HitJson

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

# How many entities are replaced in one transaction. Their rows are sent one by one, whatever the size of a text.
_GROUP = 200

_NEAR = 3


@dataclass(frozen=True)
class Hit:
    """
    A document that contains all that was searched for; or another entity, if that is in no document.

    Attributes:
        file: the file name, or the caption of an entity that is not a file.
        page: the page of the passage, from 1; None if the text has no pages.
        passage: a piece of the text, with white space as single blanks. If the words are in the name only, it is the
            beginning of the text.
        entity: the id of the document.
        schema: its FollowTheMoney schema.
        score: higher is better; comparable within one answer only.
        marks: where in `passage` the words are: (start, end) pairs in characters, in order.
        file_marks: the same for `file`.
    """

    file: str
    page: int | None
    passage: str
    entity: str
    schema: str
    score: float
    marks: tuple[tuple[int, int], ...] = ()
    file_marks: tuple[tuple[int, int], ...] = ()

    def as_json(self) -> HitJson:
        """
        The fields that `oaflow search --json` prints, one hit a line.
        """
        return {
            "file": self.file,
            "page": self.page,
            "passage": self.passage,
            "entity": self.entity,
            "schema": self.schema,
            "score": self.score,
        }


@dataclass(frozen=True)
class Missing:
    """
    A term that no document of the dataset contains, and similar words that some do.
    """

    term: str
    near: tuple[str, ...]


def index(connection: Connection[Any], dataset: str, entities: "Iterable[EntityProxy]") -> int:
    """
    Index entities, each replacing what was indexed under its id before.

    Entities are sent in groups, each in one transaction (or all in the caller's, if it has one open); two callers that
    index the same entity at once take turns. An entity without an id is refused.

    Returns:
        How many entities were indexed.
    """
    count = 0
    for group in _groups(entities):
        ids = sorted(group)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(text("search_lock"), {"dataset": dataset, "entities": ids})
            cursor.execute(text("search_replace"), {"dataset": dataset, "entities": ids})
            with cursor.copy(text("search_copy")) as copy:
                for entity_id in ids:
                    for row in rows(group[entity_id]):
                        copy.write_row((dataset, *row))
        count += len(ids)
    return count


def refresh(connection: Connection[Any], dataset: str, entities: "Iterable[EntityProxy]") -> None:
    """
    Index again those of some entities that are searchable, as they are now, because a part of them is being removed.
    The time when they were last indexed stays, and they are marked as doubtful: perhaps they should not be found any
    more.
    """
    for group in _groups(entities):
        values = {"dataset": dataset, "entities": sorted(group)}
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(text("search_lock"), values)
            came = dict(cursor.execute(text("search_take"), values).fetchall())
            with cursor.copy(text("search_copy_as_of")) as copy:
                for entity_id, at in came.items():
                    for row in rows(group[entity_id]):
                        copy.write_row((at, True, dataset, *row))


def remove(connection: Connection[Any], dataset: str, entities: Iterable[str]) -> int:
    """
    Remove entities from the search index, documents with their pages. Without entities, do nothing.

    Returns:
        How many entities were removed, including pages.
    """
    return _count(connection, "search_remove", {"dataset": dataset, "entities": sorted(set(entities))})


def known(connection: Connection[Any], dataset: str, entities: Iterable[str]) -> set[str]:
    """
    Which of some entities are searchable.
    """
    values = {"dataset": dataset, "entities": list(entities)}
    return {entity for (entity,) in connection.execute(text("search_known"), values)}


def older(connection: Connection[Any], dataset: str, entities: Iterable[str], begun: datetime) -> list[str]:
    """
    Which of some entities are searchable and were last indexed before a time, by the clock of the search.
    """
    values = {"dataset": dataset, "entities": list(entities), "begun": begun}
    return [entity for (entity,) in connection.execute(text("search_older"), values)]


def expire(connection: Connection[Any], dataset: str, entities: Iterable[str], begun: datetime) -> None:
    """
    Remove from the search index those of some entities that were last indexed before a time, or are doubtful.
    """
    connection.execute(text("search_expire"), {"dataset": dataset, "entities": list(entities), "begun": begun})


def doubtful(connection: Connection[Any], dataset: str, after: str, limit: int) -> list[str]:
    """
    The next doubtful entities after a given one: they may have been indexed because of something that was removed.
    """
    values = {"dataset": dataset, "after": after, "limit": limit}
    return [entity for (entity,) in connection.execute(text("search_doubtful"), values)]


def be_certain(connection: Connection[Any], dataset: str, entities: Iterable[str]) -> None:
    """
    Mark some entities as no longer doubtful.
    """
    connection.execute(text("search_certain"), {"dataset": dataset, "entities": list(entities)})


def prune(connection: Connection[Any], dataset: str, document: str, keep: Iterable[str]) -> int:
    """
    Remove what was indexed of a document but is no longer part of it, such as the last page of a longer version.

    Args:
        document: the id of the document.
        keep: the ids that are part of it now; the document itself always is.
    """
    return _count(
        connection, "search_prune", {"dataset": dataset, "document": document, "keep": sorted({document, *keep})}
    )


def drop(connection: Connection[Any], dataset: str) -> int:
    """
    Remove a whole dataset from the search index.
    """
    return _count(connection, "search_drop", {"dataset": dataset})


def search(connection: Connection[Any], dataset: str, query: str, *, limit: int = 20) -> list[Hit]:
    """
    The documents that have all of the words, best first.

    Args:
        query: words, "quoted phrases" and prefixes*, in any script; no query is an error. Without a word, nothing is
            found.
        limit: the most documents to return.
    """
    wanted = terms(query)
    if not wanted or limit < 1:
        return []
    parameters = {"dataset": dataset, "terms": [tsquery(term) for term in wanted], "limit": limit}
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        found = cursor.execute(text("search_find"), parameters).fetchall()
    return [_hit(row, wanted) for row in found]


def is_empty(connection: Connection[Any], dataset: str) -> bool:
    """
    Whether nothing of a dataset is searchable.
    """
    return _scalar(connection, "search_empty", {"dataset": dataset})


def suggest(connection: Connection[Any], dataset: str, query: str) -> list[Missing]:
    """
    For a search that found nothing: its terms that no document has, with similar words.

    Empty if each term is in some document, but not all in the same one.
    """
    missing: list[Missing] = []
    for term in terms(query):
        if not _scalar(connection, "search_any", {"dataset": dataset, "term": tsquery(term)}):
            missing.append(Missing(term.text, _near(connection, dataset, term)))
    return missing


def _hit(row: Any, wanted: Sequence[Term]) -> Hit:
    piece = passage(row.text, wanted)
    if not piece.marks and row.opening:
        piece = passage(row.opening, wanted)
    return Hit(
        file=row.file,
        page=row.page,
        passage=piece.text,
        entity=row.document,
        schema=row.schema,
        score=round(row.score, 6),
        marks=piece.marks,
        file_marks=marks(row.file, wanted),
    )


def _near(connection: Connection[Any], dataset: str, term: Term) -> tuple[str, ...]:
    near: list[str] = []
    for word in words(fold(term.text)):
        # Typing errors are rarely in the first letters, and a scan of the whole vocabulary would read every row.
        beginning = word.lexeme[: max(1, min(3, len(word.lexeme) // 2))]
        parameters = {"dataset": dataset, "beginning": f"'{beginning}':*", "pattern": f"{beginning}%"}
        with connection.cursor() as cursor:
            vocabulary = [lexeme for (lexeme,) in cursor.execute(text("search_near"), parameters)]
        near.extend(difflib.get_close_matches(word.lexeme, vocabulary, n=_NEAR, cutoff=0.7))
    return tuple(dict.fromkeys(near))


def _groups(entities: "Iterable[EntityProxy]") -> "Iterator[dict[str, EntityProxy]]":
    group: dict[str, EntityProxy] = {}
    for entity in entities:
        if entity.id is None:
            raise ValueError("an entity without an id cannot be indexed")
        group[entity.id] = entity
        if len(group) >= _GROUP:
            yield group
            group = {}
    if group:
        yield group


def _count(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> int:
    return int(_scalar(connection, name, parameters) or 0)


def _scalar(connection: Connection[Any], name: str, parameters: dict[str, Any]) -> Any:
    with connection.cursor() as cursor:
        row = cursor.execute(text(name), parameters).fetchone()
    return row[0] if row else None
