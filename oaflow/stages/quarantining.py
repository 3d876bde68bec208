"""
`quarantine`: a document that a stage could not work on stays findable, with the reason.
"""

from collections.abc import Iterator
from typing import Any

from oaflow.dsl import stage
from oaflow.jobs import DatasetJob, current
from oaflow.stages.texts import cleaned

_LONGEST = 500


@stage(queue="ingest")
def quarantine(job: DatasetJob) -> Iterator[DatasetJob]:
    """
    Write on a document why it could not be processed, and send it on.
    """
    error: dict[str, Any] = job.context.get("error") or {}
    reason = _reason(error)
    entities = list(job.get_entities())
    # Signed by the stage that failed: when that stage succeeds in a later run, the mark is replaced.
    with job.get_writer(_origin(current().origin, error.get("stage"))) as writer:
        for entity in entities:
            if not entity.schema.is_a("Document") or entity.id is None:
                continue
            job.unreadable(entity.id, entity.first("fileName", quiet=True) or entity.caption, reason)
            entity.add("processingStatus", "failure")
            entity.add("processingError", reason)
            writer.put(entity, fragment=entity.id)
    yield job.with_entities(entities)


def _reason(error: dict[str, Any]) -> str:
    said = " ".join(str(error.get("message") or error.get("type") or "no reason was given").split())
    place = f"{error['stage']} failed" if error.get("stage") else "failed"
    attempts = error.get("attempts")
    times = f" after {attempts} attempts" if isinstance(attempts, int) and attempts > 1 else ""
    return cleaned(f"{place}{times}: {said}")[:_LONGEST]


def _origin(own: str, stage_name: Any) -> str | None:
    pipeline, slash, _ = own.rpartition("/")
    return f"{pipeline}/{stage_name}" if slash and stage_name else None
