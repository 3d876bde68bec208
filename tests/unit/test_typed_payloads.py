"""
Payloads with a model of their own: what oaflow has to know of a job does not depend on what their authors put into it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from oaflow import DatasetJob, Out, Pipeline, recurse, stage, testing

LONG = {"id": "a", "schema": "Email", "properties": {"subject": ["hello"], "bodyText": ["long"]}}


class Count(BaseModel, extra="forbid"):
    number: int = 0


class CountJob(DatasetJob):
    payload: Count  # pyright: ignore[reportIncompatibleVariableOverride]


class Letters(BaseModel):
    entities: list[dict[str, Any]]
    at: datetime
    context: dict[str, str]


class LettersJob(DatasetJob):
    payload: Letters  # pyright: ignore[reportIncompatibleVariableOverride]


@stage
def begin(job: DatasetJob) -> CountJob:
    return CountJob(dataset=job.dataset, queue=job.queue, task=job.task, payload=Count())


@stage(ports=("default", "again"))
def count(job: CountJob) -> Iterator[CountJob | Out[CountJob]]:
    number = job.payload.number + 1
    yield Out("again", job.model_copy(update={"payload": Count(number=number)})) if number < 9 else job


@stage
def write(job: DatasetJob) -> LettersJob:
    letters = Letters(entities=[LONG], at=datetime(2020, 1, 2), context={"language": "eng"})
    return LettersJob(dataset=job.dataset, queue=job.queue, task=job.task, payload=letters)


@stage
def read(job: LettersJob) -> LettersJob:
    assert job.payload.at.year == 2020
    return job


class Named(BaseModel):
    context: dict[str, Any]


class NamedJob(DatasetJob):
    payload: Named  # pyright: ignore[reportIncompatibleVariableOverride]


@stage
def name(job: NamedJob) -> None:
    with job.get_writer() as writer:
        writer.add({"id": "anna", "schema": "Person", "properties": {"name": [job.payload.context["name"]]}})


@stage
def end(job: DatasetJob) -> None: ...


def test_a_circle_ends_where_the_payload_has_no_field_for_the_context():
    circle = count.stage(next={"default": "end", "again": recurse("count", 4)})
    stages = {"begin": begin.stage(next="count"), "count": circle, "end": end.stage()}

    ran = testing.run(Pipeline("counts", stages=stages))

    assert [failed.type for failed in ran.failures] == ["TooDeep"]
    assert ran.stages["count"]["done"] == 5


@stage
def either(job: CountJob | NamedJob) -> None:
    with job.get_writer() as writer:
        said = job.payload.number if isinstance(job, CountJob) else job.payload.context["name"]
        writer.add({"id": type(job).__name__, "schema": "Person", "properties": {"name": [str(said)]}})


def test_of_several_classes_the_first_that_takes_the_job_is_meant():
    pipeline = Pipeline("letters", stages={"either": either.stage()})
    counted = CountJob(dataset="example", queue="q", task="t", payload=Count(number=7))

    ran = testing.run(pipeline, jobs=[counted, {"context": {"name": "anna"}}])

    assert not ran.failures
    assert ran.entities["CountJob"].get("name") == ["7"]
    assert ran.entities["NamedJob"].get("name") == ["anna"]
    assert [type(job) for job in ran.received("either")] == [CountJob, NamedJob]


def test_long_texts_stay_behind_where_the_payload_has_a_model():
    stages = {
        "write": write.stage(next="read"),
        "read": read.stage(next=[{"to": "end", "when": "job.context.language == 'eng'"}]),
        "end": end.stage(),
    }

    ran = testing.run(Pipeline("letters", stages=stages))

    assert not ran.failures
    [job] = ran.received("end")
    assert isinstance(job, DatasetJob)
    assert job.entities == [{"id": "a", "schema": "Email", "properties": {"subject": ["hello"]}}]
    assert job.payload["at"] == "2020-01-02T00:00:00"
    assert ran.entities["a"].first("bodyText") == "long"


def test_what_is_written_is_of_its_document_where_the_payload_has_no_field_for_entities():
    jobs = [
        {"entities": [{"id": id, "schema": "Document", "properties": {}}], "context": {"name": id}} for id in ("a", "b")
    ]

    ran = testing.run(Pipeline("names", stages={"name": name.stage()}), jobs=jobs)

    assert ran.entities["anna"].get("name") == ["a", "b"]
