"""
What of a job travels, and what is left in the entity store.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from oaflow.jobs.bindings import Entities, current
from oaflow.jobs.models import AnyJob, DatasetJob, carrying
from oaflow.schemata import STUB, heavy, is_a


def stub(entity: dict[str, Any]) -> dict[str, Any]:
    """
    What is left of an entity that does not travel: enough to find it and its file.
    """
    properties = entity.get("properties") or {}
    kept = {key: entity[key] for key in ("id", "schema", "caption") if entity.get(key)}
    return kept | {"properties": {name: properties[name] for name in STUB if properties.get(name)}}


def light(entity: dict[str, Any]) -> dict[str, Any]:
    """
    An entity without its properties of FtM type text, html and json; the entity itself where it has none of these.
    """
    properties = entity.get("properties") or {}
    unwanted = heavy(entity["schema"])
    if unwanted.isdisjoint(properties):
        return entity
    return {**entity, "properties": {name: values for name, values in properties.items() if name not in unwanted}}


def pack(job: AnyJob, limit: int = 16_000) -> AnyJob:
    """
    The job as it is handed over. What does not travel is written to the store first, as by the job's own writer.

    Entities travel whole, but for long texts; where those of a job are together above the limit, all travel as stubs.

    Args:
        job: what a stage returned, after its edges were decided.
        limit: bytes of the entities as JSON; 0 for stubs in any case.
    """
    if not isinstance(job, DatasetJob) or not (whole := job.entities):
        return job
    travelling = [light(entity) for entity in whole]
    if len(orjson.dumps(travelling)) > limit:
        travelling = [stub(entity) for entity in whole]
    left = [entity for entity, what in zip(whole, travelling, strict=True) if what is not entity != what]
    if not left:
        return job
    with job.get_writer() as writer:
        for entity in left:
            writer.add(entity)
    return carrying(job, travelling)


def load_whole(job: AnyJob) -> list[dict[str, Any]]:
    """
    The entities of a job with all that the store knows of them, what this job itself has written included.
    """
    if not isinstance(job, DatasetJob) or not (travelled := job.entities):
        return []
    bindings = current()
    for writer in bindings.writers.values():
        writer.flush()
    return with_stored(bindings.entities, job.dataset, travelled)


def with_stored(store: Entities, dataset: str, travelled: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Entities with all that a store knows of them.
    """
    stored = {entity.id: entity.to_dict() for entity in store.load(dataset, [entity["id"] for entity in travelled])}
    return [_merged(stored[entity["id"]], entity) if entity["id"] in stored else entity for entity in travelled]


def _merged(stored: dict[str, Any], entity: dict[str, Any]) -> dict[str, Any]:
    """
    An entity with what is stored of it. The schema that says more counts, as where the store merges fragments.
    """
    properties = dict(stored["properties"])
    for name, values in (entity.get("properties") or {}).items():
        properties[name] = list(dict.fromkeys([*properties.get(name, ()), *values]))
    schema = stored["schema"] if is_a(stored["schema"], entity["schema"]) else entity["schema"]
    return {**stored, **entity, "schema": schema, "properties": properties}
