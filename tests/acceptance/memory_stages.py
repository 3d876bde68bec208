"""
Stages of all kinds, for runs that are compared with runs in memory.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from oaflow import DatasetJob, Out, Reject, stage


def number_of(job: DatasetJob) -> int:
    return int(job.documents[0].partition("/")[0].rpartition("-")[2])


@stage(emit="stream")
def source(job: DatasetJob, *, count: int) -> Iterator[DatasetJob]:
    """Name so many documents, in two languages; each in a context of two."""
    for number in range(count):
        document = f"doc-{number}"
        job.found(document, document)
        languages = {"detectedLanguage": ["rus" if number % 3 == 0 else "eng"]}
        yield job.with_entities([{"id": document, "schema": "Document", "properties": languages}], way=number % 2)


@stage(ports=("default", "inner"), emit="stream")
async def unpack(job: DatasetJob) -> AsyncIterator[DatasetJob | Out]:
    """Hand on what arrives, and what is in every fourth document, without an end."""
    if number_of(job) % 4 == 0:
        inner = f"{job.documents[0]}/in"
        job.found(inner, inner)
        yield Out("inner", job.with_entities([{"id": inner, "schema": "Document"}]))
    yield job


@stage(retry={"max": 1, "base": "10ms"})
def shaky(job: DatasetJob, *, folder: str) -> DatasetJob:
    """Fail at one document once, at another always, and refuse a third; of each attempt one note stays."""
    marker, number = Path(folder) / job.documents[0].replace("/", "-"), number_of(job)
    first = not marker.exists()
    marker.touch()
    with job.get_writer() as writer:
        writer.add({"id": f"note-{number}-{first}", "schema": "Note", "properties": {"description": [marker.name]}})
    if number == 2 or (number == 1 and first):
        raise ValueError(f"cannot read {job.documents[0]}")
    if number == 3:
        raise Reject("not worth it")
    return job


@stage(emit="always", retry=0)
def half(job: DatasetJob) -> Iterator[DatasetJob]:
    """Hand on, and fail after that at some."""
    yield job
    if number_of(job) % 5 == 0:
        raise RuntimeError("half-way")


@stage(retry=0)
def gathered(job: DatasetJob) -> DatasetJob:
    """Fail where one document is among what was put together."""
    if "doc-7" in job.documents:
        raise ValueError("one of them is bad")
    return job


@stage
async def mixed(job: DatasetJob) -> DatasetJob:
    """Add a person, and a text that does not travel."""
    text = {"bodyText": [f"all of {job.documents[0]}"]}
    entities = [entity | {"properties": {**entity.get("properties", {}), **text}} for entity in job.entities]
    person = {"id": f"of-{job.documents[0]}", "schema": "Person", "properties": {"name": ["Ada"]}}
    return job.with_entities([*entities, person])


@stage
def keep(job: DatasetJob) -> DatasetJob:
    """Write what came, with what the store has of it."""
    with job.get_writer() as writer:
        for entity in job.load_entities():
            entity.add("summary", "kept", quiet=True)
            writer.add(entity)
    return job


@stage
def quarantine(job: DatasetJob) -> DatasetJob:
    """Write down what went wrong."""
    error = job.context["error"]
    with job.get_writer() as writer:
        for entity in job.entities:
            said = f"{error['stage']}: {error['message']} ({error['attempts']})"
            writer.add({**entity, "properties": {"processingError": [said]}})
    return job


@stage
def told(job: DatasetJob) -> DatasetJob:
    """Write down what a join was told."""
    run = job.context["run"]
    with job.get_writer() as writer:
        note = {"description": [f"round {run['round']}, {run['failed']} failed"]}
        writer.add({"id": "told", "schema": "Note", "properties": note})
    return job
