"""
Every code sample of the Job model's document, run: only the import is `oaflow` instead.

The names that the samples leave open (`do_something`, `some_function`, the `[...]` of entities) are filled in.
"""

import subprocess

import psycopg
import pytest
from followthemoney import model
from procrastinate import App, PsycopgConnector

from oaflow import AnyJob, DatasetJob, EntityFileReference, Job, task
from oaflow.entities.store import EntityStore
from oaflow.files import Archive, ArchiveOptions
from oaflow.jobs import Bindings, bind

FILE = b"the bytes of a file"


@pytest.fixture
def app(database):
    return App(connector=PsycopgConnector(conninfo=database))


@pytest.fixture
def rows(database):
    def read():
        with psycopg.connect(database) as connection:
            query = "SELECT queue_name, task_name, status::text, args FROM procrastinate_jobs ORDER BY id"
            return connection.execute(query).fetchall()

    return read


@pytest.fixture
def archive(tmp_path):
    return Archive(ArchiveOptions(path=tmp_path / "archive"))


@pytest.fixture
def store(database, archive, tmp_path):
    (tmp_path / "temp").mkdir()
    with EntityStore(database) as opened:
        # What a program has from its settings; here, those of the test.
        program = Bindings(entities=opened, files=archive, queue=None, temp=tmp_path / "temp", lasting=True)
        with bind(program):
            yield opened


@pytest.fixture
def entity():
    return model.get_proxy({"id": "doc-1", "schema": "Pages", "properties": {"fileName": ["x.pdf"]}})


@pytest.fixture
def entities(entity):
    return [entity, model.get_proxy({"id": "p-1", "schema": "Person", "properties": {"name": ["Ada"]}})]


def work(app, job):
    """
    Queue a job, and let a stock worker do what there is.
    """
    with app.open():
        job.defer(app)
    app.run_worker(queues=[job.queue], wait=False, install_signal_handlers=False, listen_notify=False)


# --- the front door


def test_a_task_receives_the_job_and_what_it_returns_is_deferred(app, rows):
    next_job = Job(queue="next", task="another_module.tasks.process")
    received = []

    @task(app=app)
    def my_task(job: AnyJob) -> AnyJob | None:
        # process things
        received.append(job)
        # if defer to a next stage, return an updated job:
        return next_job

    job = Job(queue="default", task=my_task.name, payload={"a": 1})
    work(app, job)

    assert received == [job]
    assert [row[:3] for row in rows()] == [
        ("default", my_task.name, "succeeded"),
        ("next", "another_module.tasks.process", "todo"),
    ]


def test_all_jobs_need_the_required_data():
    job = Job(
        queue="<queue-name>",
        task="<service>.tasks.<task_name>",
        payload={},  # actual job payload
    )

    assert job.to_wire() == {"queue": "<queue-name>", "task": "<service>.tasks.<task_name>"}


def test_a_job_for_processing_one_or_more_entities(entities):
    ctx = {"languages": ["eng"]}
    job = DatasetJob(
        dataset="my_dataset",
        queue="index",
        task="aleph.tasks.index_proxy",
        payload={"entities": [entity.to_dict() for entity in entities], "context": {**ctx}},
    )

    assert job.dataset == "my_dataset"
    assert job.context == ctx
    assert len(job.payload["entities"]) == 2


def test_a_job_from_an_entity(entity):
    job = DatasetJob.from_entity(
        dataset="my_dataset",
        queue="index",
        task="aleph.tasks.index_proxy",
        entity=entity,  # instance of `followthemoney.model.EntityProxy`
    )

    assert job.payload["entities"] == [entity.to_dict()]


def test_a_job_from_entities(entities):
    job = DatasetJob.from_entities(
        dataset="my_dataset",
        queue="index",
        task="aleph.tasks.index_proxy",
        entities=entities,  # instances of `followthemoney.model.EntityProxy`
    )

    assert [entity.id for entity in job.get_entities()] == ["doc-1", "p-1"]


# --- entities


def test_getting_the_entities_of_the_payload(app, entities):
    done = []
    do_something = done.append

    @task(app=app)
    def process_entities(job: DatasetJob):
        for entity in job.get_entities():
            do_something(entity)

    work(app, DatasetJob.from_entities("my_dataset", "default", process_entities.name, entities))

    assert [entity.to_dict() for entity in done] == [entity.to_dict() for entity in entities]


def test_loading_the_entities_in_their_most_recent_version(app, store, entities):
    with store.writer("my_dataset", "another_task") as writer:
        writer.add(model.get_proxy({"id": "p-1", "schema": "Person", "properties": {"name": ["Ada", "Countess"]}}))
    done = []
    do_something = done.append

    @task(app=app)
    def process_entities(job: DatasetJob):
        for entity in job.load_entities():
            do_something(entity)

    work(app, DatasetJob.from_entities("my_dataset", "default", process_entities.name, entities))

    assert [(entity.id, entity.get("name")) for entity in done] == [("p-1", ["Ada", "Countess"])]


def test_writing_entities_to_the_dataset_they_are_from(app, store, entities):
    with store.writer("my_dataset", "another_task") as writer:
        for entity in entities:
            writer.add(entity)

    def extract_something(entity):
        fragment = model.get_proxy({"id": entity.id, "schema": entity.schema.name, "properties": {}})
        fragment.add("country", "gb")
        return fragment

    @task(app=app)
    def process_entities(job: DatasetJob):
        with job.get_writer() as bulk:
            for entity in job.load_entities():
                fragment = extract_something(entity)
                bulk.add(fragment)

    work(app, DatasetJob.from_entities("my_dataset", "default", process_entities.name, entities))

    loaded = {entity.id: entity for entity in store.load("my_dataset", ["doc-1", "p-1"])}
    assert loaded["p-1"].get("country") == ["gb"]
    assert loaded["p-1"].get("name") == ["Ada"]
    assert loaded["doc-1"].get("fileName") == ["x.pdf"]


# --- files


@pytest.fixture
def file_job(archive, store, entity, tmp_path):
    (tmp_path / "x.pdf").write_bytes(FILE)
    entity.add("contentHash", archive.archive(tmp_path / "x.pdf"))

    def made(task):
        return DatasetJob(
            dataset="my_dataset",
            queue="ingest",
            task=task,
            payload={"entities": [entity.to_dict()]},
        )

    return made


def test_a_handle_for_each_file(app, file_job, tmp_path):
    seen = []

    def some_function(fh, entity):
        seen.append((fh.read(), entity.id))

    @task(app=app)
    def process_file(job: DatasetJob):
        for reference in job.get_file_references():
            with reference.open() as fh:
                some_function(fh, entity=reference.entity)

    work(app, file_job(process_file.name))

    assert seen == [(FILE, "doc-1")]
    assert list((tmp_path / "temp").iterdir()) == []


def test_a_path_for_each_file(app, file_job, tmp_path):
    said = []

    @task(app=app)
    def process_file(job: DatasetJob):
        for reference in job.get_file_references():
            assert isinstance(reference, EntityFileReference)
            with reference.get_localpath() as path:
                said.append((path, subprocess.run(f"cat {path}", shell=True, capture_output=True).stdout))

    work(app, file_job(process_file.name))

    assert [out for _, out in said] == [FILE]
    assert said[0][0].suffix == ".pdf"
    assert not said[0][0].exists()
    assert list((tmp_path / "temp").iterdir()) == []


# --- defer to next stage


def test_a_returned_job_is_deferred_to_the_next_stage(app, rows, store, entities):
    with store.writer("my_dataset", "another_task") as writer:
        for entity in entities:
            writer.add(entity)

    def do_something(entity):
        entity.add("country", "gb")
        return entity

    @task(app=app)
    def my_task(job: DatasetJob) -> DatasetJob:
        entities = []
        for entity in job.load_entities():
            result = do_something(entity)
            entities.append(entity)
            assert result is entity

        # return a new job to defer
        return DatasetJob.from_entities(
            dataset=job.dataset,
            queue=job.queue,  # use the same queue or another one
            task="another_module.tasks.process",  # reference a task
            entities=entities,
        )

    arrived = []

    @task(app=app, name="another_module.tasks.process")
    def process(job: DatasetJob):
        arrived.append(job)

    work(app, DatasetJob.from_entities("my_dataset", "default", my_task.name, entities))

    assert [row[:3] for row in rows()] == [
        ("default", my_task.name, "succeeded"),
        ("default", "another_module.tasks.process", "succeeded"),
    ]
    assert arrived[0].dataset == "my_dataset"
    assert [entity.get("country") for entity in arrived[0].get_entities()] == [["gb"], ["gb"]]
