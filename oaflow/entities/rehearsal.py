"""
A store for `oaflow retry --here`: reads come from the real store; writes are kept in memory and compared with it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from oaflow.entities.datasets import table_name
from oaflow.entities.fragments import Key, merged_data
from oaflow.entities.statements import for_table
from oaflow.entities.store import EntityStore, FragmentWriter
from oaflow.jobs.bindings import DEFAULT_FRAGMENT

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy


@dataclass(frozen=True, slots=True)
class Change:
    """
    How a row would change: the properties are those whose values would differ.
    """

    kind: Literal["new", "changed", "removed"]
    entity: str
    schema: str
    caption: str | None
    origin: str
    properties: tuple[str, ...] = ()


class RehearsedStore:
    """
    What a job gets in place of the entity store.

    Attributes:
        indexed: how many entities would have been made searchable.
    """

    def __init__(self, store: EntityStore) -> None:
        self._store = store
        self._writers: list[_KeptWriter] = []
        self.indexed = 0

    def writer(
        self, dataset: str, origin: str, fragment: str = DEFAULT_FRAGMENT, replace: bool = False
    ) -> FragmentWriter:
        """
        A writer that keeps what it is given.
        """
        writer = _KeptWriter(self._store, dataset, origin, fragment, replace)
        self._writers.append(writer)
        return writer

    def spoke(self, dataset: str, origin: str, run: str) -> bool:
        """
        Always true, so that fragments to be removed are looked for.
        """
        return True

    def load(self, dataset: str, ids: Iterable[str]) -> "Iterator[EntityProxy]":
        """
        The entities as they are in the store, without what the job has written.
        """
        return self._store.load(dataset, ids)

    def index(self, dataset: str, entities: "Iterable[EntityProxy]", documents: Iterable[str] = ()) -> None:
        """
        Count them.
        """
        self.indexed += len(list(entities))

    def schemata(self, dataset: str) -> dict[str, int]:
        """
        None are known.
        """
        return {}

    def languages(self, dataset: str) -> dict[str, int]:
        """
        None are known.
        """
        return {}

    def changes(self) -> list[Change]:
        """
        What would change if everything were written.
        """
        return [change for writer in self._writers for change in writer.changes()]


class _KeptWriter(FragmentWriter):
    """
    Keeps what it would write.
    """

    def __init__(self, store: EntityStore, dataset: str, origin: str, fragment: str, replace: bool) -> None:
        super().__init__(store, dataset, origin, fragment, replace)
        self._kept: dict[Key, dict[str, Any]] = {}
        self._settled = False

    def flush(self) -> None:
        for key, data in self._buffer.items():
            known = self._kept.get(key)
            self._kept[key] = data if known is None else merged_data(self.dataset, key[0], known, data)
        self._buffer, self._bytes = {}, 0

    def settle(self, *, alone: bool = False) -> None:
        self.flush()
        self._settled = self.replace

    def changes(self) -> Iterator[Change]:
        """
        The differences between what is kept and the rows under its keys, and under its origin and fragment if it
        replaces these.
        """
        self.flush()
        ids, origins, fragments = zip(*self._kept, strict=True) if self._kept else ((), (), ())
        replaced = (self.origin, self.fragment) if self._settled else (None, None)
        values = {"ids": list(ids), "origins": list(origins), "fragments": list(fragments)}
        values |= {"origin": replaced[0], "fragment": replaced[1]}
        rows = self.store.rows(self.dataset, for_table("rows_of", table_name(self.dataset)), values)
        stands: dict[Key, dict[str, Any]] = {(id, origin, fragment): data for id, origin, fragment, data in rows}
        for key, data in self._kept.items():
            if (before := stands.pop(key, None)) is None:
                yield _change("new", key, data)
            elif other := _differences(before, data):
                yield _change("changed", key, data, other)
        for key, data in stands.items():
            yield _change("removed", key, data)


def _change(
    kind: Literal["new", "changed", "removed"], key: Key, data: Mapping[str, Any], properties: tuple[str, ...] = ()
) -> Change:
    said: Mapping[str, list[str]] = data.get("properties") or {}
    names = said.get("name") or said.get("fileName") or said.get("title") or [None]
    return Change(kind, key[0], str(data.get("schema")), data.get("caption") or names[0], key[1], properties)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    one: Mapping[str, list[str]] = before.get("properties") or {}
    other: Mapping[str, list[str]] = after.get("properties") or {}
    names = sorted({*one, *other})
    changed = tuple(name for name in names if sorted(one.get(name, [])) != sorted(other.get(name, [])))
    return changed if before.get("schema") == after.get("schema") else ("schema", *changed)
