"""
The fragments of an entity, without long texts: which origin wrote them, and because of which document.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from oaflow.entities.datasets import table_name
from oaflow.entities.statements import for_table

if TYPE_CHECKING:
    from oaflow.entities.store import EntityStore


@dataclass(frozen=True, slots=True)
class Said:
    """
    What an origin wrote about an entity under a fragment: the id of the source document, or what the stage chose. `at`
    is in UTC; None in tables that other programs write without it.
    """

    entity: str
    origin: str
    fragment: str
    at: datetime | None
    schema: str | None
    caption: str | None


def said(
    store: "EntityStore", dataset: str, document: str, origins: Iterable[str] = (), *, limit: int = 10_000
) -> list[Said]:
    """
    What was written about an entity, and what these origins wrote because of it, oldest first.
    """
    statement = for_table("said", table_name(dataset))
    rows = store.rows(dataset, statement, {"id": document, "origins": list(origins), "limit": limit})
    return [Said(*row) for row in rows]


def of_hash(store: "EntityStore", dataset: str, content_hash: str, *, limit: int = 100) -> list[str]:
    """
    The entities whose file has this content hash.
    """
    statement = for_table("of_hash", table_name(dataset))
    return [id for (id,) in store.rows(dataset, statement, {"hash": content_hash, "limit": limit})]
