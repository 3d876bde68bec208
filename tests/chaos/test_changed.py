"""
A pipeline that is changed while a run of it is in flight: the run continues with the plan that it began with.
"""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import PATIENCE, Command
from tests.chaos.test_kills import workers_of

Started = Callable[[Any], Any]
Until = Callable[[Callable[[], Any]], Any]

COUNT = 40

MODULE = """
import time
from oaflow import DatasetJob, stage

@stage
def begin(job: DatasetJob):
    return [job.with_entities([{"id": f"e{n}", "schema": "Thing", "properties": {}}]) for n in range(%d)]

@stage
def work(job: DatasetJob) -> DatasetJob:
    time.sleep(0.1)
    return job
"""

LAST = """
@stage
def last(job: DatasetJob) -> None:
    pass
"""

BEFORE = {"begin": {"next": "work"}, "work": {"next": "last"}, "last": {}}
AFTER = {"begin": {"next": "work"}, "work": {"next": "added"}, "added": {"task": "work"}}


def write(cli: Command, stages: dict[str, dict[str, Any]], module: str) -> str:
    """
    The pipeline and its module, as somebody saves them.
    """
    (cli.folder / "changing.py").write_text(module % COUNT)
    named = {name: {**keys, "task": f"changing.{keys.get('task', name)}"} for name, keys in stages.items()}
    (cli.folder / "changing.yml").write_text(json.dumps({"pipeline": "changing", "stages": named}))
    return "changing.yml"


@pytest.fixture
def in_flight(cli: Command, started: Started, until: Until, database: str) -> Any:
    """
    A run of which some is done.
    """
    running = started(cli.start("run", write(cli, BEFORE, MODULE + LAST), "-d", "one", "--workers", "1", "--json"))
    with psycopg.connect(database, autocommit=True) as connection:
        done = "SELECT coalesce(sum(done), 0)::int > 10 FROM oaflow.counters"
        until(lambda: connection.execute(done).fetchone() == (True,))
    return running


def replace_workers(running: Any) -> None:
    """
    Have workers in place of those that are there, which know plan and code as they are now.
    """
    for pid in workers_of(running.pid):
        os.kill(pid, signal.SIGKILL)


def test_a_run_keeps_its_plan_and_the_next_one_takes_the_new_pipeline(cli: Command, in_flight: Any) -> None:
    write(cli, AFTER, MODULE + LAST)
    next_run = cli("run", "changing.yml", "-d", "two", "--workers", "1", "--json")
    replace_workers(in_flight)
    out, err = in_flight.communicate(timeout=PATIENCE)

    assert (in_flight.returncode, next_run.code) == (0, 0), err + next_run.err
    first, second = json.loads(out), next_run.json
    assert first["plan"] != second["plan"]
    assert {name: stage["done"] for name, stage in first["stages"].items()} == {
        "begin": 1,
        "work": COUNT,
        "last": COUNT,
    }
    assert {name: stage["done"] for name, stage in second["stages"].items()} == {
        "begin": 1,
        "work": COUNT,
        "added": COUNT,
    }


def test_jobs_of_a_stage_that_is_gone_from_the_code_wait_for_it_by_name(
    cli: Command, in_flight: Any, until: Until
) -> None:
    write(cli, AFTER, MODULE)
    replace_workers(in_flight)
    until(lambda: cli("status", "--json").json["stages"]["work"]["open"] == 0)  # the rest is done by the new one
    shown = cli("status").out
    assert "no live worker can run task changing.last of queue last: its jobs wait" in shown
    assert "module 'changing' has no function 'last'" in shown

    write(cli, BEFORE, MODULE + LAST)
    replace_workers(in_flight)
    out, err = in_flight.communicate(timeout=PATIENCE)

    assert in_flight.returncode == 0, err
    assert json.loads(out)["stages"]["last"]["done"] == COUNT
