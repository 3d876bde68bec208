"""
Stages in a service that does not change: the stock worker of the real openaleph-procrastinate, in an environment of its
own, in the database of a run.
"""

import json
import os
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager

import psycopg
import pytest

from oaflow.postgres import migrate
from tests.acceptance.conftest import Command, clean_environment, unbalanced, until
from tests.compat.conftest import ENVIRONMENT, HERE, _uri

__all__ = ["clean_environment", "until"]


@pytest.fixture
def oaflow(tmp_path, database, clean_environment, warm):
    migrate(database, own=True, capture=True)
    places = {"OAFLOW_DB_URI": database, "OAFLOW_HOME": str(tmp_path / "home")}
    return Command(tmp_path, clean_environment | places, warm)


@pytest.fixture
def uncaptured(oaflow, database):
    migrate(database, own=True, capture=False)
    return oaflow


@pytest.fixture
def service(database, tmp_path):
    """
    Starts a worker of the service, which listens on the given queues.
    """
    python = ENVIRONMENT["python"]("oap")
    if python is None:
        pytest.skip("the environment 'oap' was not made: make compat-env")
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR")}
    uri = f"{_uri(database)}&options=-csearch_path%3Dpublic"
    environment |= {
        "PROCRASTINATE_DB_URI": uri,
        "OPENALEPH_DB_URI": uri,
        "FTM_FRAGMENTS_URI": uri,
        "PYTHONPATH": os.pathsep.join([str(HERE / "sides"), str(HERE.parent.parent)]),
        "PROCRASTINATE_APP": "service.app",
        "SERVICE_LOG": str(tmp_path / "service.log"),
    }

    @contextmanager
    def start(*queues, program=("procrastinate", "worker")):
        command = [python, "-m", *program, "-q", ",".join(queues)]
        with (tmp_path / "worker.log").open("a") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)

    return start


OURS = {"task": "stages_for_tests.end"}


def theirs(name, **keys):
    return {"task": f"service.{name}", "queue": name, "external": True, **keys}


def pipeline(oaflow, name, **stages):
    (oaflow.folder / f"{name}.yml").write_text(json.dumps({"pipeline": name, "stages": stages}))
    return f"{name}.yml"


def entities(oaflow, *names):
    lines = [{"id": name, "schema": "Document", "properties": {"fileName": [name], "title": ["T"]}} for name in names]
    (oaflow.folder / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "in.jsonl"


def counted(result):
    return {
        stage: {name: number for name, number in counts.items() if number}
        for stage, counts in result.json["stages"].items()
    }


def outcomes(database, run):
    query = "SELECT stage, outcome FROM oaflow.hops WHERE run = %s AND stage IS NOT NULL"
    with psycopg.connect(database) as connection:
        return Counter(connection.execute(query, [run]).fetchall())


def arrived(database, run, queue):
    """
    The jobs that a run sent to a queue, as they are in their rows.
    """
    query = (
        "SELECT args FROM procrastinate_jobs WHERE queue_name = %s"
        " AND args #>> '{payload,context,oaflow,run}' = %s ORDER BY id"
    )
    with psycopg.connect(database) as connection:
        return [args for (args,) in connection.execute(query, [queue, run])]


@pytest.mark.slow
def test_what_a_service_hands_over_goes_on_by_the_pipeline_and_is_counted(oaflow, service, database):
    ingest = theirs(
        "ingest",
        split=1,
        **{"with": {"children": 2, "fails": ["bad"], "seconds": 0}},
        emit="always",
        next={"ingest": {"to": "ingest", "recurse": 4}, "analyze": "translate", "index": "index"},
    )
    chain = pipeline(oaflow, "chain", ingest=ingest, translate=theirs("translate", next="index"), index=OURS)
    # The service listens on `translate`, and would take a job that is none of its tasks.
    edges = {**ingest["next"], "analyze": "read"}
    failing = {**ingest, "next": edges, "emit": "success", "on_error": "lost"}
    strict = pipeline(oaflow, "strict", ingest=failing, read=OURS, index=OURS, lost=OURS)
    empty = pipeline(oaflow, "empty", geocode=theirs("geocode", next={"index": "index"}), index=OURS)
    names = ("good", "bad")

    with service("ingest", "translate", "geocode"):
        always = oaflow("run", chain, "-d", "one", "-i", entities(oaflow, *names), "--workers", "1", "--json")
        success = oaflow("run", strict, "-d", "two", "-i", entities(oaflow, *names), "--workers", "1", "--json")
        nothing = oaflow("run", empty, "-d", "three", "-i", entities(oaflow, "a"), "--workers", "1", "--json")

    # Six attempts at the bad one, and each of them handed over two children, one to analyze and one to index.
    assert (always.code, always.json["state"]) == (1, "finished"), always.err
    assert counted(always) == {
        "ingest": {"done": 1 + 4, "failed": 1},
        "translate": {"done": 6},
        "index": {"done": 12},
    }
    assert (success.code, success.json["state"]) == (0, "finished"), success.err
    assert counted(success) == {
        "ingest": {"done": 1 + 2, "diverted": 1},
        "read": {"done": 3},
        "index": {"done": 3},
        "lost": {"done": 1},
    }
    # It handed over a job without entities.
    assert counted(nothing) == {"geocode": {"done": 1}, "index": {}}
    attempts = Counter((oaflow.folder / "service.log").read_text().splitlines())
    assert attempts["service.ingest bad"] == 12

    (first, *_) = arrived(database, always.json["run"], "ingest")
    (stub,) = first["payload"]["entities"]
    assert stub == {"id": "good", "schema": "Document", "properties": {"fileName": ["good"]}}
    assert first["batch"] == always.json["run"]
    assert first["payload"]["context"]["children"] == 2
    for args in arrived(database, always.json["run"], "end"):
        assert args["payload"]["context"].keys() == {"oaflow"}
    assert unbalanced(database) == []


@pytest.mark.slow
def test_a_service_that_is_killed_runs_its_job_again_and_nothing_is_handed_on_twice(oaflow, service, database, until):
    ingest = theirs("ingest", next={"analyze": "end", "index": "end"}, **{"with": {"seconds": 2}})
    file = pipeline(oaflow, "p", ingest=ingest, end=OURS)
    run = oaflow.start("run", file, "-d", "demo", "-i", entities(oaflow, "a"), "--workers", "1", "--json")
    log = oaflow.folder / "service.log"

    with service("ingest") as killed:
        until(lambda: log.exists() and log.read_text())
        killed.kill()
        killed.wait()
    with service("ingest"):
        out, err = run.communicate(timeout=120)

    found = json.loads(out)
    assert (run.returncode, found["state"]) == (0, "finished"), err
    assert log.read_text() == "service.ingest a\n" * 2
    assert found["stages"]["end"]["done"] == 2
    assert outcomes(database, found["run"])["ingest", "answered"] == 1
    assert unbalanced(database) == []


@pytest.mark.slow
def test_a_worker_that_collects_takes_the_place_of_capture(uncaptured, service, database, until):
    ingest = theirs("ingest", split=1, next={"analyze": "end", "index": "end"}, **{"with": {"fails": ["bad"]}})
    arguments = (
        pipeline(uncaptured, "p", ingest=ingest, end=OURS),
        "-d",
        "demo",
        "-i",
        entities(uncaptured, "a", "bad"),
    )
    refused = uncaptured("run", *arguments)
    assert (refused.code, "does not see what it hands over" in refused.err) == (2, True)

    with service("ingest", program=("oaflow.shim",)) as collecting:
        until(lambda: has_begun(database) or collecting.poll() is not None)
        done = uncaptured("run", *arguments, "--workers", "1", "--json")

    assert (done.code, done.json["state"]) == (1, "finished"), done.err
    assert counted(done) == {"ingest": {"done": 1, "failed": 1}, "end": {"done": 2}}
    assert (uncaptured.folder / "service.log").read_text().count("service.ingest bad") == 6
    assert "its service gave it up after 6 attempts: RuntimeError: cannot be done" in uncaptured("failures").out
    assert unbalanced(database) == []


def has_begun(database):
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT 1 FROM oaflow.shims WHERE 'service.ingest' = ANY (tasks)").fetchone()
