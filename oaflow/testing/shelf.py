"""
The entity store of a run in memory: it merges and replaces as the real one does, and is gone with the run.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from oaflow.entities.datasets import table_name
from oaflow.entities.fragments import Key, merged_data, merged_entity, proxy_of, row_of
from oaflow.jobs.bindings import DEFAULT_FRAGMENT

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy


class Shelf:
    """
    What was said about entities, of one dataset or several, and which of them can be found.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, dict[str, Any]]] = {}
        self._found: dict[str, dict[str, EntityProxy]] = {}

    def writer(
        self, dataset: str, origin: str, fragment: str = DEFAULT_FRAGMENT, replace: bool = False
    ) -> "ShelfWriter":
        """
        A writer to a dataset. One writer serves one attempt of one job.

        Raises:
            DatasetNameError: the real store could not hold a dataset of this name.
        """
        table_name(dataset)
        return ShelfWriter(self, dataset, origin, fragment, replace)

    def spoke(self, dataset: str, origin: str, run: str) -> bool:
        """
        Whether an origin has said anything about a dataset.
        """
        return any(of == origin for _, of, _ in self.rows.get(dataset, ()))

    def load(self, dataset: str, ids: Iterable[str]) -> "Iterator[EntityProxy]":
        """
        The merged entities with these ids, in their order, each once; what is not in the store is left out.
        """
        said: dict[str, list[Key]] = {}
        rows = self.rows.get(dataset, {})
        for key in sorted(rows):
            said.setdefault(key[0], []).append(key)
        for id in dict.fromkeys(ids):
            if id in said:
                first, *others = (proxy_of(dataset, id, key[1], rows[key]) for key in said[id])
                for other in others:
                    first = merged_entity(dataset, first, other)
                yield first

    def index(self, dataset: str, entities: "Iterable[EntityProxy]", documents: Iterable[str] = ()) -> None:
        """
        Make entities findable. Of the documents named, what the store does not hold any more is taken out.
        """
        found = self._found.setdefault(dataset, {})
        found |= {entity.id: entity for entity in entities if entity.id}
        if list(documents):
            held = {id for id, _, _ in self.rows.get(dataset, ())}
            self._found[dataset] = {id: entity for id, entity in found.items() if id in held}

    def findable(self, dataset: str) -> tuple[str, ...]:
        """
        The ids of the entities that were made findable, in order.
        """
        return tuple(self._found.get(dataset, ()))

    def schemata(self, dataset: str) -> dict[str, int]:
        """
        How many findable entities of each schema there are, the most frequent first.
        """
        return _counted(entity.schema.name for entity in self._found.get(dataset, {}).values())

    def languages(self, dataset: str) -> dict[str, int]:
        """
        In how many entities each language was detected, the most frequent first.
        """
        return _counted(
            language
            for entity in self.load(dataset, [id for id, _, _ in self.rows.get(dataset, ())])
            for language in entity.get("detectedLanguage", quiet=True)
        )


class ShelfWriter:
    """
    What one attempt says about entities. What is said twice is merged; what earlier attempts said is replaced.
    """

    def __init__(self, shelf: Shelf, dataset: str, origin: str, fragment: str, replace: bool) -> None:
        self._shelf, self._dataset = shelf, dataset
        self._origin, self._fragment, self._replace = origin, fragment, replace
        self._said: dict[Key, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, entity: "EntityProxy | Mapping[str, Any]") -> None:
        """
        Write an entity under the writer's origin and fragment.

        Raises:
            MissingIdError: the entity has no id.
            ForbiddenValueError: a value that Postgres could not hold, with its place.
        """
        self.put(entity)

    def put(
        self, entity: "EntityProxy | Mapping[str, Any]", fragment: str | None = None, origin: str | None = None
    ) -> None:
        """
        Write an entity under a fragment or an origin of its own. Neither is touched by `settle`.
        """
        key, data = row_of(entity, origin or self._origin, fragment or self._fragment)
        known = self._said.get(key)
        self._said[key] = data if known is None else merged_data(self._dataset, key[0], known, data)

    def flush(self) -> None:
        """
        Write what was collected.
        """
        if self._said:
            self._shelf.rows.setdefault(self._dataset, {}).update(self._said)

    def settle(self, *, alone: bool = False) -> None:
        """
        Flush, and where the writer replaces, delete what was under its origin and fragment and was not written again.
        """
        self.flush()
        rows = self._shelf.rows.get(self._dataset, {})
        if self._replace:
            mine = (self._origin, self._fragment)
            for key in [key for key in rows if key[1:] == mine and key not in self._said]:
                del rows[key]


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))
