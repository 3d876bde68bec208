"""
What travels, and what is written to the store before.
"""

import orjson
import pytest
from followthemoney import model
from followthemoney.exc import InvalidData
from hypothesis import given
from hypothesis import strategies as st

from oaflow.jobs import Bindings, DatasetJob, Job, bind, load_whole, pack, settle, stub
from oaflow.schemata import heavy

PAGES = {
    "id": "doc-1",
    "schema": "Pages",
    "caption": "x.pdf",
    "properties": {
        "fileName": ["x.pdf"],
        "mimeType": ["application/pdf"],
        "contentHash": ["a" * 40],
        "language": ["eng"],
        "parent": ["folder"],
        "indexText": ["a long text"],
    },
}
PERSON = {"id": "p-1", "schema": "Person", "properties": {"name": ["Ada"]}}


class Recorder:
    """
    An entity store that remembers what was said to it, in order.
    """

    def __init__(self):
        self.said = []

    def writer(self, dataset, origin, fragment="default", replace=False):
        self.said.append(("writer", dataset, origin, fragment, replace))
        return RecordedWriter(self.said)

    def load(self, dataset, ids):
        self.said.append(("load", dataset, list(ids)))
        return iter(())


class RecordedWriter:
    def __init__(self, said):
        self.said = said

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.flush()

    def add(self, entity):
        self.said.append(("add", entity))

    def flush(self):
        self.said.append(("flush",))

    def settle(self, *, alone=False):
        self.said.append(("settle",))


@pytest.fixture
def store():
    recorder = Recorder()
    with bind(Bindings(entities=recorder, files=None, queue=None, origin="ingest/extract", document="doc-1")):
        yield recorder


def job_of(*entities, **context):
    return DatasetJob(dataset="d", queue="q", task="t", payload={"entities": list(entities), "context": context})


def test_a_small_job_without_long_texts_travels_as_it_is_and_writes_nothing(store):
    job = job_of(PERSON)

    assert pack(job) is job
    assert store.said == []


def test_long_texts_stay_behind_in_the_store_under_the_stages_origin(store):
    packed = pack(job_of(PAGES, PERSON, ocr=True))

    assert store.said == [("writer", "d", "ingest/extract", "doc-1", True), ("add", PAGES), ("flush",)]
    assert packed.entities[0]["properties"] == {k: v for k, v in PAGES["properties"].items() if k != "indexText"}
    assert packed.entities[1] == PERSON
    assert packed.context == {"ocr": True}


def test_above_the_limit_all_travel_as_stubs_and_all_are_written_whole(store):
    packed = pack(job_of(PAGES, PERSON), limit=100)

    assert [said[1] for said in store.said if said[0] == "add"] == [PAGES, PERSON]
    assert packed.entities == [
        {
            "id": "doc-1",
            "schema": "Pages",
            "caption": "x.pdf",
            "properties": {
                "contentHash": ["a" * 40],
                "fileName": ["x.pdf"],
                "mimeType": ["application/pdf"],
                "parent": ["folder"],
            },
        },
        {"id": "p-1", "schema": "Person", "properties": {}},
    ]


def test_a_stub_packed_again_is_not_written_again(store):
    once = job_of(stub(PAGES), stub(PERSON))

    assert pack(once, limit=0) is once
    assert store.said == []


@given(st.integers(0, 400))
def test_what_travels_whole_is_never_above_the_limit_and_never_holds_a_long_text(limit):
    recorder = Recorder()
    with bind(Bindings(entities=recorder, files=None, queue=None)):
        packed = pack(job_of(PAGES, PERSON), limit=limit)

    entities = packed.entities
    assert all(heavy(entity["schema"]).isdisjoint(entity["properties"]) for entity in entities)
    assert len(orjson.dumps(entities)) <= limit or entities == [stub(PAGES), stub(PERSON)]


def test_a_job_without_entities_is_not_packed(store):
    job = Job(queue="q", task="t", payload={"text": "x" * 100_000})

    assert pack(job, limit=0) is job


def test_one_attempt_has_one_writer_for_each_origin_and_settles_them_all(store):
    job = job_of(PAGES)
    with job.get_writer() as one, job.get_writer() as same, job.get_writer("other") as other:
        assert one is same
        assert one is not other
    store.said.clear()

    settle(job)

    assert store.said == [("settle",), ("settle",)]


def test_a_job_of_one_document_that_wrote_nothing_is_settled_too(store):
    settle(job_of(PAGES))

    assert store.said == [("writer", "d", "ingest/extract", "doc-1", True), ("settle",)]


def test_without_exactly_one_document_the_fragment_is_default_and_nothing_is_replaced():
    recorder = Recorder()
    with bind(Bindings(entities=recorder, files=None, queue=None, origin="o")):
        job = job_of(PAGES, {**PAGES, "id": "doc-2"})
        with job.get_writer():
            pass
        settle(job_of(PERSON))

    assert recorder.said[0] == ("writer", "d", "o", "default", False)
    assert len([said for said in recorder.said if said[0] == "writer"]) == 1


class Stored(Recorder):
    """
    An entity store that has something.
    """

    def __init__(self, *entities: dict):
        super().__init__()
        self.entities = entities

    def load(self, dataset, ids):
        super().load(dataset, ids)
        return iter([model.get_proxy(entity) for entity in self.entities])


def whole(store: Recorder, *entities: dict) -> list[dict]:
    with bind(Bindings(entities=store, files=None, queue=None)):
        return load_whole(DatasetJob(dataset="d", queue="q", task="t", payload={"entities": list(entities)}))


_texts = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)
_properties = st.dictionaries(st.sampled_from(["fileName", "bodyText", "language"]), _texts)
_schemata = st.sampled_from(["Document", "PlainText", "Pages"])


@given(_schemata, _properties, _schemata, _properties)
def test_what_is_stored_is_merged_with_what_travelled_as_followthemoney_does(schema, stored, travelled_as, travelled):
    one = model.get_proxy({"id": "doc-1", "schema": schema, "properties": stored}, cleaned=False)
    other = model.get_proxy({"id": "doc-1", "schema": travelled_as, "properties": travelled}, cleaned=False)
    (found,) = whole(Stored(one.to_dict()), other.to_dict())
    try:
        expected = one.merge(other).to_dict()
    except InvalidData:
        # Not one entity, then; what is in hand is what it is.
        assert found["schema"] == travelled_as
        return

    assert found["schema"] == expected["schema"]
    assert {name: set(values) for name, values in found["properties"].items()} == {
        name: set(values) for name, values in expected["properties"].items()
    }


def test_entities_are_read_in_their_order_with_what_this_job_has_written():
    store = Stored({"id": "p-1", "schema": "Person", "properties": {"name": ["Ada L."]}})
    with bind(Bindings(entities=store, files=None, queue=None)):
        job = DatasetJob(dataset="d", queue="q", task="t", payload={"entities": [PAGES, PERSON]})
        job.get_writer().add(PERSON)
        found = load_whole(job)

    assert [entity["id"] for entity in found] == ["doc-1", "p-1"]
    assert found[0] == PAGES
    assert found[1]["properties"]["name"] == ["Ada L.", "Ada"]
    assert store.said[-2:] == [("flush",), ("load", "d", ["doc-1", "p-1"])]


def test_a_job_without_entities_reads_nothing():
    store = Recorder()

    assert whole(store) == []
    assert load_whole(Job(queue="q", task="t")) == []
    assert store.said == []
