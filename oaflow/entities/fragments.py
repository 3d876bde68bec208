"""
What one origin says about an entity, as plain data: made of it, and merged. Pure: no database.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oaflow.entities.errors import (
    ConflictingSchemaError,
    EntityStoreError,
    MissingIdError,
    StrangeEntityError,
    UnknownSchemaError,
)
from oaflow.jobs.values import refuse_forbidden
from oaflow.schemata import SCHEMATA

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

# Entity, origin, fragment: what is said again under these takes the place of what was.
Key = tuple[str, str, str]


def row_of(entity: "EntityProxy | Mapping[str, Any]", origin: str, fragment: str) -> tuple[Key, dict[str, Any]]:
    """
    What is said about an entity, without its id, and under which key.

    Raises:
        MissingIdError: the entity has no id.
        UnknownSchemaError: there is no such schema.
        ForbiddenValueError: a value that Postgres cannot hold, with its place.
    """
    data = dict(entity) if isinstance(entity, Mapping) else entity.to_dict()
    id = data.pop("id", None)
    schema = data.get("schema")
    if not id:
        raise MissingIdError(str(schema))
    if not _is_known(schema):
        raise UnknownSchemaError(str(id), schema)
    refuse_forbidden((id, origin, fragment), f"the key of entity {id!r}")
    refuse_forbidden(data, f"entity {id}")
    return (str(id), origin, str(fragment)), data


def _is_known(schema: object) -> bool:
    """
    Whether there is such a schema, also one that followthemoney has from elsewhere (FTM_MODEL_PATH).
    """
    return isinstance(schema, str) and (schema in SCHEMATA or schema in known_schemata())


def known_schemata() -> list[str]:
    """
    All schemata that an entity can have.
    """
    from followthemoney import model

    return list(model.schemata)


def not_merged_with(schema: str) -> list[str]:
    """
    The schemata of which nothing can be that is of this one, too.
    """
    from followthemoney import model

    asked = model.schemata[schema]
    return [name for name, one in model.schemata.items() if not (one.is_a(asked) or asked.is_a(one))]


def proxy_of(dataset: str, id: str, origin: str, data: Mapping[str, Any] | None) -> "EntityProxy":
    """
    What an origin says about an entity.

    Raises:
        StrangeEntityError: there is no such schema.
        EntityStoreError: it is no entity.
    """
    from followthemoney.exc import InvalidData
    from followthemoney.proxy import EntityProxy

    try:
        return EntityProxy.from_dict({"datasets": [dataset], **(data or {}), "id": id}, cleaned=True)
    except InvalidData as error:
        if not _is_known(schema := (data or {}).get("schema")):
            raise StrangeEntityError(dataset, id, origin, schema) from error
        raise EntityStoreError(dataset, "read", f"entity {id!r} of origin {origin!r}: {error}") from error


def merged_entity(dataset: str, one: "EntityProxy", other: "EntityProxy", doing: str = "read") -> "EntityProxy":
    """
    An entity with what else is said about it; a caption that was given is kept.

    Raises:
        ConflictingSchemaError: their schemata do not go together.
    """
    from followthemoney.exc import InvalidData

    caption = one.context.get("caption") or other.context.get("caption")
    try:
        merged = one.merge(other)
    except InvalidData as error:
        schemata = one.schema.name, other.schema.name
        raise ConflictingSchemaError(dataset, str(one.id), schemata, doing) from error
    if caption:
        merged.context["caption"] = caption
    return merged


def merged_data(dataset: str, id: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """
    The same as plain data without the id, as a fragment holds it.
    """
    merged = merged_entity(
        dataset, proxy_of(dataset, id, "", one), proxy_of(dataset, id, "", other), "write to"
    ).to_dict()
    del merged["id"]
    if "datasets" not in one and "datasets" not in other:
        del merged["datasets"]
    return merged
