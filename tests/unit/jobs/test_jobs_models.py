"""
Jobs: what is refused where they are built, and what their helpers give.
"""

import math
import subprocess
import sys
from copy import deepcopy

import pytest
from followthemoney import model
from pydantic import BaseModel

from oaflow.jobs import AnyJob, DatasetJob, ForbiddenValueError, InvalidJobError, Job, ReservedKeyError, read_job
from oaflow.jobs.errors import UnknownFieldError

DOCUMENT = {"id": "doc-1", "schema": "Pages", "properties": {"fileName": ["x.pdf"], "contentHash": ["a" * 40]}}
PERSON = {"id": "p-1", "schema": "Person", "properties": {"name": ["Ada"]}}


def job_with(*entities, **context):
    return DatasetJob(dataset="d", queue="q", task="t", payload={"entities": list(entities), "context": context})


def test_importing_jobs_loads_no_followthemoney_no_procrastinate_and_no_psycopg():
    code = (
        "import sys, oaflow.jobs as j\n"
        "job = j.DatasetJob(dataset='d', queue='q', task='t', payload={'entities': [{'id': 'a', 'schema': 'Pages'}]})\n"
        "j.read_job(job.to_wire()).documents, j.pack(job)\n"
        "heavy = ('followthemoney', 'procrastinate', 'psycopg', 'servicelayer')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("field", ["queue", "task", "dataset"])
def test_a_missing_field_is_named(field):
    data = {"queue": "q", "task": "t", "dataset": "d"}
    del data[field]

    with pytest.raises(InvalidJobError) as caught:
        DatasetJob(**data)

    assert str(caught.value) == f"DatasetJob: field '{field}' is required"
    assert caught.value.fields == (field,)


def test_a_job_that_is_made_from_nothing_is_told_to_be_made_from_the_one_that_came_in():
    with pytest.raises(InvalidJobError) as caught:
        Job(payload={"n": 1})

    assert 'job.model_copy(update={"payload": ...})' in (caught.value.help or "")

    with pytest.raises(InvalidJobError) as caught:
        read_job({"payload": {}})

    assert caught.value.help is None


@pytest.mark.parametrize(
    ("field", "help"),
    [
        ("context", '"context": {**job.context,'),
        ("entities", "job.with_entities(entities)"),
        ("n", "its fields are queue, task, payload, dataset, batch"),
    ],
)
def test_a_copy_with_a_field_that_jobs_do_not_have_is_refused_as_it_would_be_lost(field, help):
    with pytest.raises(UnknownFieldError) as caught:
        job_with().model_copy(update={field: {"n": 1}})

    assert str(caught.value) == f"DatasetJob has no field '{field}'"
    assert help in caught.value.help


def test_a_job_that_is_made_with_what_stands_in_its_payload_is_refused_and_one_from_the_wire_is_read():
    data = {"queue": "q", "task": "t", "dataset": "d", "context": {"n": 1}}

    with pytest.raises(UnknownFieldError, match="DatasetJob has no field 'context'"):
        DatasetJob(**data)

    assert read_job(data).context == {}


def test_a_copy_with_entities_that_are_no_plain_data_is_refused_with_what_they_must_be():
    for entity, said in ((model.get_proxy(PERSON), "it must be a mapping, as to_dict() gives"), ({}, "is required")):
        with pytest.raises(InvalidJobError) as caught:
            job_with().model_copy(update={"payload": {"entities": [entity]}})
        assert said in str(caught.value)


def test_a_single_entity_where_several_are_taken_is_told_as_such():
    with pytest.raises(InvalidJobError, match="field 'entities' is a single one: it must be a list of entities"):
        job_with().with_entities(PERSON)


def test_a_copy_takes_the_fields_of_a_subclass_and_what_a_subclass_allows():
    class Page(DatasetJob):
        number: int = 0

    class Open(Job, extra="allow"):
        pass

    assert Page(dataset="d", queue="q", task="t").model_copy(update={"number": 2}).number == 2
    assert Open(queue="q", task="t").model_copy(update={"n": 1}).n == 1


def test_an_object_in_a_payload_is_told_as_what_does_not_travel():
    with pytest.raises(ForbiddenValueError, match=r"payload\.context\.lock holds a value of type") as caught:
        job_with(lock=object()).to_wire()

    assert "it travels as JSON" in caught.value.help


def test_every_wrong_field_is_named_at_once():
    with pytest.raises(InvalidJobError) as caught:
        DatasetJob(queue=3, payload=[], dataset="d")

    assert caught.value.fields == ("queue", "task", "payload")
    assert "field 'queue' is int: input should be a valid string" in str(caught.value)


def test_payload_null_on_the_wire_is_an_error_that_names_the_field():
    with pytest.raises(InvalidJobError, match="field 'payload' is NoneType"):
        read_job({"queue": "q", "task": "t", "payload": None})


@pytest.mark.parametrize(
    ("value", "place", "what"),
    [
        ({"a": [{"b": "x\0y"}]}, "payload.a[0].b", "a NUL character"),
        ({"a": {"b\0": 1}}, "a key of payload.a", "a NUL character"),
        ({"a": ["ok", "\udce4.txt"]}, "payload.a[1]", "a lone surrogate (U+DCE4)"),
        ({"a": {"b": math.nan}}, "payload.a.b", "NaN"),
        ({"a": [math.inf]}, "payload.a[0]", "an infinite number"),
        ({"a": 2**64}, "payload.a", "an integer of more than 64 bits"),
    ],
)
def test_what_postgres_cannot_hold_is_refused_where_the_job_is_built_with_its_place(value, place, what):
    with pytest.raises(ForbiddenValueError) as caught:
        Job(queue="q", task="t", payload=value)

    assert (caught.value.place, caught.value.what) == (place, what)
    assert place in str(caught.value)


@pytest.mark.parametrize("value", ["null", "\\u0000", "a\\\\u0000", "nullable", "😀", 0, 2**64 - 1, -(2**63), None, ""])
def test_what_only_looks_like_it_is_taken(value):
    assert Job(queue="q", task="t", payload={"a": [value]}).payload == {"a": [value]}


@pytest.mark.parametrize("field", ["queue", "task", "dataset", "batch"])
def test_a_nul_in_a_field_is_refused_with_its_name(field):
    with pytest.raises(ForbiddenValueError) as caught:
        DatasetJob(**({"queue": "q", "task": "t", "dataset": "d"} | {field: "a\0"}))

    assert caught.value.place == field


def test_a_nul_in_an_entity_is_refused_with_the_entity_and_the_property():
    with pytest.raises(ForbiddenValueError) as caught:
        job_with(DOCUMENT, {"id": "b", "schema": "Person", "properties": {"name": ["Ada", "Bo\0b"]}})

    assert caught.value.place == "payload.entities[1].properties.name[1]"


def test_what_was_put_into_the_payload_afterwards_is_refused_when_it_is_written():
    job = job_with(deepcopy(PERSON))
    job.payload["entities"][0]["properties"]["name"].append("\0")

    with pytest.raises(ForbiddenValueError, match=r"payload\.entities\[0\]\.properties\.name\[1\]"):
        job.to_wire()


def test_a_value_that_is_no_json_is_refused_when_it_is_written():
    payload = {"context": {"fine": 1, "sizes": [{"kb": 2}, {"kb": object()}]}}

    with pytest.raises(ForbiddenValueError, match=r"^payload\.context\.sizes\[1\]\.kb holds a value of type object,"):
        Job(queue="q", task="t", payload=payload).to_wire()


@pytest.mark.parametrize("key", ["batch", "queue", "task", "dataset", "entities", "app", "cls"])
def test_a_reserved_context_key_is_refused_in_what_is_written_and_taken_in_what_is_read(key):
    payload = {"entities": [PERSON], "context": {key: "x"}}

    with pytest.raises(ReservedKeyError, match=f"payload.context.{key} is reserved"):
        DatasetJob(dataset="d", queue="q", task="t", payload=payload)

    read = read_job({"dataset": "d", "queue": "q", "task": "t", "payload": payload})
    assert read.context == {key: "x"}
    assert isinstance(read, DatasetJob)
    assert read.with_entities([PERSON]).context == {}


@pytest.mark.parametrize("missing", ["id", "schema"])
def test_an_entity_without_id_or_schema_is_refused_always(missing):
    entity = {key: value for key, value in PERSON.items() if key != missing}
    payload = {"entities": [DOCUMENT, entity]}

    with pytest.raises(InvalidJobError, match=rf"payload\.entities\[1\]\.{missing}"):
        DatasetJob(dataset="d", queue="q", task="t", payload=payload)
    with pytest.raises(InvalidJobError, match=rf"payload\.entities\[1\]\.{missing}"):
        read_job({"dataset": "d", "queue": "q", "task": "t", "payload": payload})


def test_entities_that_are_no_list_of_mappings_are_refused_with_their_place():
    with pytest.raises(InvalidJobError, match=r"payload\.entities' is dict"):
        DatasetJob(dataset="d", queue="q", task="t", payload={"entities": {}})
    with pytest.raises(InvalidJobError, match=r"payload.entities\[0\]' is str"):
        DatasetJob(dataset="d", queue="q", task="t", payload={"entities": ["doc-1"]})


def test_the_follow_up_keeps_queue_task_batch_and_context_and_replaces_the_entities():
    job = DatasetJob.from_entities("d", "q", "t", [model.get_proxy(PERSON)], batch="b", languages=["eng"], ocr=False)

    follow = job.with_entities([DOCUMENT], ocr=True)

    assert (follow.dataset, follow.queue, follow.task, follow.batch) == ("d", "q", "t", "b")
    assert follow.context == {"languages": ["eng"], "ocr": True}
    assert follow.documents == ("doc-1",)
    assert job.context == {"languages": ["eng"], "ocr": False}


def test_documents_are_what_descends_from_document_each_once():
    page = {"id": "page-1", "schema": "Page", "properties": {}}
    folder = {"id": "f", "schema": "Folder"}

    assert job_with(DOCUMENT, PERSON, page, folder, DOCUMENT).documents == ("doc-1", "f")
    assert Job(queue="q", task="t").documents == ()


def test_unknown_properties_disappear_in_the_entities():
    (entity,) = job_with(
        {"id": "p", "schema": "Person", "properties": {"name": ["A"], "nonsense": ["x"]}}
    ).get_entities()

    assert entity.to_dict()["properties"] == {"name": ["A"]}


def test_a_job_without_entities_has_none():
    job = DatasetJob(dataset="d", queue="q", task="t")

    assert (list(job.get_entities()), list(job.get_file_references()), job.entities) == ([], [], [])


def test_one_reference_for_each_content_hash():
    entity = {"id": "a", "schema": "Document", "properties": {"contentHash": ["1" * 40, "2" * 40]}}

    references = list(job_with(entity, PERSON).get_file_references())

    assert [reference.content_hash for reference in references] == ["1" * 40, "2" * 40]
    assert {reference.entity.id for reference in references} == {"a"}
    assert {reference.dataset for reference in references} == {"d"}


class Order(BaseModel):
    number: int
    context: dict[str, str] = {}


def test_nan_in_a_typed_payload_is_refused():
    class Reading(BaseModel):
        value: float

    class ReadingJob(Job):
        payload: Reading

    with pytest.raises(ForbiddenValueError, match=r"payload\.value holds NaN"):
        ReadingJob(queue="q", task="t", payload={"value": math.nan})


class OrderJob(Job):
    payload: Order  # pyright: ignore[reportIncompatibleVariableOverride]


def test_a_subclass_may_give_its_payload_a_model():
    job = OrderJob(queue="q", task="t", payload={"number": 3, "context": {"a": "b"}})

    assert job.payload.number == 3
    assert job.context == {"a": "b"}
    assert read_job(job.to_wire(), OrderJob) == job
    with pytest.raises(InvalidJobError, match=r"OrderJob: field 'payload.number' is str"):
        OrderJob(queue="q", task="t", payload={"number": "x"})


def test_the_priority_is_what_the_context_asks_for():
    assert job_with(PERSON).priority == 50
    assert job_with(PERSON, priority=97).priority == 97


def test_any_job_is_an_annotation_for_both():
    def stage(job: AnyJob) -> AnyJob | None:
        return job

    job = job_with(PERSON)
    assert stage(job) is job


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", "\0"])
def test_what_was_put_in_afterwards_is_refused_whatever_it_is(value):
    job = Job(queue="q", task="t")
    job.payload["a"] = [value]

    with pytest.raises(ForbiddenValueError, match=r"payload\.a\[0\]"):
        job.to_wire()
