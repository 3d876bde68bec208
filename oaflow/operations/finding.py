"""
`oaflow search` and `oaflow entities`: what is in a dataset.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oaflow.entities.search import Hit, Missing
from oaflow.errors import UsageError
from oaflow.operations.databases import database
from oaflow.operations.streams import Stop, Stream
from oaflow.settings import Settings, or_environment
from oaflow.spelling import did_you_mean

if TYPE_CHECKING:
    from psycopg import Connection

    from oaflow.entities.store import EntityStore
    from oaflow.ledger.runs import Run


@dataclass(frozen=True, slots=True)
class Found:
    """
    The result of a search.

    Attributes:
        hits: what was found, best first.
        missing: if nothing was found, the terms that no document contains, with similar words.
        empty: whether nothing of the dataset is indexed, so that no search finds anything.
    """

    hits: list[Hit]
    missing: list[Missing]
    empty: bool = False


class NoSuchDatasetError(UsageError):
    """
    There is no dataset of this name. `run` is the last run over it, if there was one that wrote nothing.
    """

    def __init__(self, dataset: str, known: list[str], run: "Run | None" = None) -> None:
        self.dataset, self.known = dataset, tuple(known)
        if run is not None:
            nothing = f"dataset {dataset!r} is empty: no stage has written an entity"
            super().__init__(nothing, help=f"oaflow status {run.id}")
            return
        first = f"there is none yet: oaflow run ingest -d {dataset} SOURCE..."
        there = f"there are: {', '.join(known[:10])}" if known else first
        super().__init__(f"there is no dataset {dataset!r}", help=did_you_mean(dataset, known) or there)


class NoWordError(UsageError):
    """
    There is no word in a query to search for.
    """

    def __init__(self, query: str) -> None:
        super().__init__(
            f"there is no word in {query!r} to search for", help="type a word, or the beginning of one: invoi*"
        )


def search(dataset: str, words: str, *, limit: int = 20, settings: Settings | None = None) -> Found:
    """
    The documents of a dataset that contain all of the words.

    Args:
        words: words, "quoted phrases" and beginnings of words*.
        limit: how many documents at most.

    Raises:
        NoSuchDatasetError: there is no such dataset.
        NoWordError: there is nothing to search for.
    """
    known = or_environment(settings)
    with database(known) as opened, opened.connect() as made, opened_store(known, opened.address.uri) as store:
        return search_in(made, store, dataset, words, limit)


def search_in(made: "Connection[Any]", store: "EntityStore", dataset: str, words: str, limit: int) -> Found:
    """
    The same over open connections.
    """
    from oaflow.entities.datasets import table_name
    from oaflow.entities.query import terms
    from oaflow.entities.search import is_empty, suggest
    from oaflow.entities.search import search as find
    from oaflow.entities.ways import Ways

    table_name(dataset)
    if not terms(words):
        raise NoWordError(words)
    hits = find(made, dataset, words, limit=limit)
    if hits:
        before = Ways(store, dataset).to(hit.entity for hit in hits)
        return Found([_placed(hit, before.get(hit.entity, "")) for hit in hits], [])
    _refuse_unwritten(made, store, dataset)
    if is_empty(made, dataset):
        return Found([], [], empty=True)
    return Found([], suggest(made, dataset, words))


def _refuse_unwritten(made: "Connection[Any]", store: "EntityStore", dataset: str) -> None:
    from oaflow.ledger.runs import latest_run

    known = store.datasets()
    if dataset not in known:
        raise NoSuchDatasetError(dataset, known, latest_run(made, dataset=dataset))


def entities(dataset: str, *, schema: str | None = None, settings: Settings | None = None) -> Stream[dict[str, Any]]:
    """
    The merged entities of a dataset as FollowTheMoney JSON, sorted by id. Properties and values are sorted too, so two
    exports can be compared.

    Args:
        schema: only entities of this schema or its descendants.

    Raises:
        UsageError: there is no such dataset or schema. Raised when the loop begins.
    """
    known = or_environment(settings)

    def read(_: Stop) -> Generator[dict[str, Any]]:
        yield from _entities(known, dataset, schema)

    return Stream(read)


def _entities(settings: Settings, dataset: str, schema: str | None) -> Generator[dict[str, Any]]:
    from oaflow.entities.datasets import table_name
    from oaflow.schemata import SCHEMATA

    table_name(dataset)
    if schema is not None and schema not in SCHEMATA:
        raise UsageError(
            f"FollowTheMoney has no schema {schema!r}",
            help=did_you_mean(schema, SCHEMATA) or "name one such as Document or Person",
        )
    with database(settings) as opened, opened_store(settings, opened.address.uri) as store:
        with opened.connect() as made:
            _refuse_unwritten(made, store, dataset)
        for entity in store.iterate(dataset, schema):
            yield _in_order(entity.to_dict())


def _in_order(entity: dict[str, Any]) -> dict[str, Any]:
    properties = {name: sorted(values) for name, values in sorted(entity["properties"].items())}
    return dict(sorted({**entity, "properties": properties}.items()))


def _placed(hit: Hit, before: str) -> Hit:
    """
    A hit whose file is shown with the folders and archives that contain it.
    """
    marks = tuple((start + len(before), end + len(before)) for start, end in hit.file_marks)
    return replace(hit, file=before + hit.file, file_marks=marks)


@contextmanager
def opened_store(settings: Settings, uri: str) -> "Generator[EntityStore]":
    """
    The entity store while the block runs, without the search over it, whose modules take longer to load than most
    queries to answer.
    """
    from oaflow.entities.store import EntityStore

    with EntityStore(settings.entities_uri or uri) as store:
        yield store
