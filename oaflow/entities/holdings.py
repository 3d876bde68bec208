"""
What a dataset holds in the entity store: how much, of which origins, and which files; and the deletion of all of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.errors import InsufficientPrivilege, UndefinedTable

from oaflow.entities.datasets import table_name
from oaflow.entities.fragments import known_schemata, not_merged_with
from oaflow.entities.statements import for_table
from oaflow.entities.store import EntityStore
from oaflow.schemata import SCHEMATA, is_a

# A folder only contains documents, and is not one.
_DOCUMENTS = sorted(schema for schema in SCHEMATA if is_a(schema, "Document") and schema != "Folder")


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    How much a dataset holds. `bytes` is the size of its files, each counted once.
    """

    entities: int = 0
    documents: int = 0
    files: int = 0
    bytes: int = 0


def sizes(store: EntityStore, dataset: str, files: Mapping[str, int | None]) -> Sizes:
    """
    How much a dataset holds. Reads all of it.

    Args:
        files: other files of it, which may not be recorded in the store: bytes by content hash, None if unknown.
    """
    values = {"documents": _DOCUMENTS, "hashes": list(files), "sizes": list(files.values())}
    rows = _read(store, dataset, "sizes", values)
    return Sizes(*rows[0]) if rows else Sizes(files=len(files), bytes=sum(size or 0 for size in files.values()))


def origins(store: EntityStore, dataset: str) -> list[str]:
    """
    The origins that have written to a dataset, sorted.
    """
    return [origin for (origin,) in store.rows(dataset, for_table("origins", table_name(dataset)), {})]


def spoken(store: EntityStore, dataset: str) -> dict[str, int]:
    """
    About how many entities of a dataset each origin has written. Reads all of it.
    """
    return dict(_read(store, dataset, "spoken", {}))


def hashes(store: EntityStore, dataset: str, of: Iterable[str] | None = None) -> list[str]:
    """
    The content hashes of a dataset's files. Reads all of it.

    Args:
        of: only those among these.
    """
    wanted = None if of is None else list(of)
    return [hash for (hash,) in _read(store, dataset, "hashes", {"of": wanted})]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """
    How many fragments an origin has written in a schema (`""`: in none) that make their entities unreadable.
    """

    schema: str
    origin: str
    fragments: int


def unreadable(
    store: EntityStore, dataset: str, conflicting: str | None = None, origin: str | None = None
) -> list[Unreadable]:
    """
    The fragments that make entities unreadable, most frequent first. Reads all of the dataset.

    Args:
        conflicting: fragments of this schema whose entity has another that cannot be merged with it; None: fragments of
            an unknown schema.
        origin: only fragments of this origin.
    """
    name, values = _unreadable(conflicting, origin)
    return [Unreadable(*row) for row in _read(store, dataset, name, values)]


def take_out_unreadable(
    store: EntityStore, dataset: str, conflicting: str | None = None, origin: str | None = None
) -> None:
    """
    Delete these fragments. Other fragments of the same entities stay.
    """
    name, values = _unreadable(conflicting, origin)
    store.take_out(dataset, for_table(f"{name}_take", table_name(dataset)), values, unreadable=True)


def _unreadable(conflicting: str | None, origin: str | None) -> tuple[str, dict[str, Any]]:
    if conflicting is None:
        return "strange", {"known": known_schemata(), "origin": origin}
    return "conflicting", {"schema": conflicting, "others": not_merged_with(conflicting), "origin": origin}


def drop(store: EntityStore, dataset: str) -> None:
    """
    Delete everything about a dataset's entities. A table that belongs to another program stays, but is emptied.
    """
    table = table_name(dataset)

    def take_out(connection: Connection[Any]) -> None:
        try:
            connection.execute(for_table("drop_table", table))
        except InsufficientPrivilege:
            connection.execute(for_table("empty_table", table))

    store.run(dataset, "delete", take_out)


def _read(store: EntityStore, dataset: str, name: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    statement = for_table(name, table_name(dataset))

    def read(connection: Connection[Any]) -> list[tuple[Any, ...]]:
        with connection.transaction():
            connection.execute("SET LOCAL enable_seqscan = on")  # reads everything, in any order
            return connection.execute(statement, values).fetchall()

    try:
        return store.run(dataset, "count", read)
    except UndefinedTable:
        return []
