"""
Stages in a service that does not change: the stock worker of the real openaleph-procrastinate, in an environment of its
own, in the database of a run.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import psycopg
import pytest

from oaflow.postgres import migrate
from tests.acceptance.conftest import Command, clean_environment, unbalanced
from tests.compat.conftest import ENVIRONMENT, HERE, _uri

__all__ = ["clean_environment"]

PATIENCE = 60.0


@pytest.fixture
def oaflow(tmp_path, database, clean_environment):
    migrate(database, capture=True)
    places = {"OAFLOW_DB_URI": database, "OAFLOW_HOME": str(tmp_path / "home")}
    return Command(tmp_path, clean_environment | places)


@pytest.fixture
def service(database, tmp_path):
    """
    Starts workers of the service, which listen on its queues.
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
        "PYTHONPATH": str(HERE / "sides"),
        "PROCRASTINATE_APP": "service.app",
        "SERVICE_LOG": str(tmp_path / "service.log"),
    }

    @contextmanager
    def start(*queues):
        command = [python, "-m", "procrastinate", "worker", "-q", ",".join(queues)]
        with (tmp_path / "worker.log").open("a") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)

    return start


def pipeline(oaflow, stages, **keys):
    (oaflow.folder / "p.yml").write_text(json.dumps({"pipeline": "p", **keys, "stages": stages}))
    return "p.yml"


def entities(oaflow, *names):
    lines = [{"id": name, "schema": "Document", "properties": {"fileName": [name]}} for name in names]
    (oaflow.folder / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "in.jsonl"


OURS = {"task": "stages_for_tests.end"}


def theirs(name, **keys):
    return {"task": f"service.{name}", "queue": name, "external": True, **keys}


def outcomes(database):
    query = "SELECT coalesce(stage, '-'), outcome FROM oaflow.hops"
    with psycopg.connect(database) as connection:
        return Counter(connection.execute(query).fetchall())


def test_what_a_service_hands_over_goes_on_and_its_end_is_counted(oaflow, service, database):
    stages = {"translate": theirs("translate", split=1, next={"index": "index"}), "index": OURS}

    with service("translate"):
        done = oaflow(
            "run", pipeline(oaflow, stages), "-d", "demo", "-i", entities(oaflow, "a", "b", "c"), "--workers", "1", "--json"
        )

    assert done.code == 0, done.err
    assert done.json["state"] == "finished"
    assert done.json["stages"]["translate"]["done"] == 3
    assert done.json["stages"]["index"]["done"] == 3
    assert outcomes(database)["translate", "answered"] == 3
    assert unbalanced(database) == []
