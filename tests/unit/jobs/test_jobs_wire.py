"""
The wire format: what is written, and that what is read is the same.
"""

import json
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.jobs import DatasetJob, Job, read_job
from oaflow.jobs.wire import as_bytes, cleaned

SAMPLE = json.loads("""
{"queue":"ingest","task":"ingestors.tasks.ingest","dataset":"collection_1","batch":"b1",
 "payload":{"entities":[{"id":"doc-1","schema":"Document","caption":"x.pdf","datasets":["default"],"referents":[],
   "properties":{"contentHash":["aaaa"],"fileName":["x.pdf"]}}],
  "context":{"languages":["eng"],"ftmstore":"collection_1","namespace":"my_dataset"}}}
""")

leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["", " ", "x"]) | st.floats(0, 1)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


def test_the_example_of_the_services_is_read_and_written_unchanged():
    job = read_job(SAMPLE)

    assert isinstance(job, DatasetJob)
    assert (job.dataset, job.batch, job.context["languages"]) == ("collection_1", "b1", ["eng"])
    assert job.to_wire() == SAMPLE


def test_the_smallest_job_has_a_queue_and_a_task():
    assert Job(queue="q", task="t").to_wire() == {"queue": "q", "task": "t"}
    assert DatasetJob(dataset="d", queue="q", task="t", payload={"context": {}}).to_wire() == {
        "dataset": "d",
        "queue": "q",
        "task": "t",
    }


def test_a_dataset_key_makes_it_a_dataset_job():
    assert type(read_job({"queue": "q", "task": "t", "dataset": "d"})) is DatasetJob
    assert type(read_job({"queue": "q", "task": "t"})) is Job


def test_unknown_keys_are_accepted_and_not_passed_on():
    row = {"queue": "q", "task": "t", "dataset": "d", "tenant": "x", "id": 7, "status": "todo", "scheduled_at": "x"}

    assert read_job(row).to_wire() == {"queue": "q", "task": "t", "dataset": "d"}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"a": None, "b": "", "c": {}, "d": {"e": None}}, {}),
        ({"a": [], "b": 0, "c": False, "d": 0.0, "e": " "}, {"a": [], "b": 0, "c": False, "d": 0.0, "e": " "}),
        ({"a": [1, None]}, {"a": [1]}),
        ({"a": ["", {}, None, [None, ""]]}, {"a": ["", {}, [""]]}),
        ({"a": [{"b": None, "c": "", "d": {}, "e": {"f": None}}]}, {"a": [{"c": "", "d": {}, "e": {}}]}),
    ],
)
def test_what_is_empty_is_left_out_as_the_services_do(given, written):
    assert cleaned(given) == written


@given(st.dictionaries(st.sampled_from("abc"), values, max_size=3))
def test_reading_what_was_written_and_writing_it_again_changes_nothing(payload):
    written = Job(queue="q", task="t", payload=payload).to_wire()

    assert read_job(written).to_wire() == written
    assert json.loads(json.dumps(written)) == written


@given(st.dictionaries(st.sampled_from("abc"), values, max_size=3))
def test_the_short_way_writes_what_the_long_way_writes(payload):
    data = {"queue": "q", "payload": payload}

    short = as_bytes(data)
    assert short is None or json.loads(short) == cleaned(data)


def test_a_value_that_pydantic_turns_into_json_is_plain_when_it_is_written():
    day, unique = date(2026, 11, 24), UUID(int=1)

    assert Job(queue="q", task="t", payload={"day": day, "id": unique, "of": (1, 2)}).to_wire()["payload"] == {
        "day": "2026-11-24",
        "id": str(unique),
        "of": [1, 2],
    }
