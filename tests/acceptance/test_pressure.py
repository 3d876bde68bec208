"""
A stream rests while too much is open in what follows it, and keeps nobody from what it waits for.
"""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from oaflow.runtime.attempt import CHUNK_JOBS
from oaflow.runtime.executor import MOST_UNACKNOWLEDGED
from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import Started
from tests.acceptance.test_workers import program
from tests.waiting import waited

DEEP = 1000

# What is on its way when it is found out, of each stream.
OVER = CHUNK_JOBS * (MOST_UNACKNOWLEDGED + 1)

OPEN = "SELECT coalesce(sum(open), 0)::int FROM oaflow.counters WHERE stage = %s"
DONE = "SELECT coalesce(sum(done), 0)::int FROM oaflow.counters WHERE stage = %s"


def pouring(cli: Command, name: str, stages: dict[str, Any]) -> str:
    path = cli.folder / f"{name}.yml"
    whole = {stage: {**keys, "task": f"pouring_stages.{keys.get('task', stage)}"} for stage, keys in stages.items()}
    path.write_text(json.dumps({"pipeline": name, "stages": whole}))
    return path.name


class Watch:
    """
    How much is open in a stage, looked at from outside.
    """

    def __init__(self, cli: Command, stage: str) -> None:
        self.connection = psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True)
        self.stage = stage
        self.most = 0

    def open(self) -> int:
        found = self.one(OPEN, self.stage)
        self.most = max(self.most, found)
        return found

    def one(self, query: Any, *values: Any) -> Any:
        row = self.connection.execute(query, values).fetchone()
        return row[0] if row else None

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, "it never happened"
            self.open()
            time.sleep(0.02)

    def rests(self) -> bool:
        """
        Whether no more came for a second, though not all has come.
        """
        return self.stays("SELECT count(*) FROM oaflow.chunks") and self.open() > DEEP // 2

    def stays(self, query: str) -> bool:
        """
        Whether something is for a second as it is.
        """
        before = self.one(query)
        time.sleep(1.0)
        return self.one(query) == before


@pytest.mark.parametrize(("source", "sink", "seconds"), [("pours", "sips", 0.001), ("pours_async", "sips_async", 0.1)])
def test_no_more_than_that_waits_and_one_executor_is_enough(
    cli: Command, started: Started, source: str, sink: str, seconds: float
) -> None:
    count = 8000
    stages = {
        "source": {"task": source, "with": {"count": count}, "next": "sink"},
        "sink": {"task": sink, "with": {"seconds": seconds}},
    }
    pipeline = pouring(cli, "pouring", stages)
    cli.environment |= {"OAFLOW_EXECUTORS": "1", "OAFLOW_DEEP": str(DEEP)}
    watch = Watch(cli, "sink")

    running = started(cli.start("run", pipeline, "-d", "demo", "--workers", "1"))
    watch.until(lambda: running.poll() is not None, 100)

    assert running.returncode == 0
    assert watch.one(DONE, "sink") == count
    assert DEEP < watch.most <= DEEP + OVER
    assert watch.one("SELECT count(DISTINCT args #>> '{payload,entities,0,id}') FROM procrastinate_jobs") == count


def test_many_streams_are_begun_one_after_the_other_where_what_follows_is_deep(cli: Command, started: Started) -> None:
    streams, count = 20, 1000
    pipeline = pouring(
        cli,
        "many",
        {
            "names": {"with": {"count": streams}, "next": "pours"},
            "pours": {"with": {"count": count, "begun": str(cli.folder / "begun")}, "next": "sips"},
            "sips": {"with": {"seconds": 0.0005}},
        },
    )
    cli.environment |= {"OAFLOW_EXECUTORS": "2", "OAFLOW_DEEP": str(DEEP)}
    watch = Watch(cli, "sips")

    running = started(cli.start("run", pipeline, "-d", "demo", "--workers", "1"))
    watch.until(lambda: running.poll() is not None, 100)

    assert running.returncode == 0
    assert watch.one(DONE, "sips") == streams * count
    # Two may be at it when it is found out, and as many rest; two more where the machine stands still.
    assert DEEP < watch.most <= DEEP + 6 * OVER < streams * count


def test_a_stream_that_rests_is_not_out_of_time_and_others_go_on_beside_it(cli: Command, started: Started) -> None:
    log = cli.folder / "log"
    pipeline = pouring(
        cli,
        "patient",
        {
            "pours": {"with": {"count": 5000}, "timeout": "3s", "retry": 0, "next": "sips"},
            "sips": {"with": {"seconds": 0.004}},
        },
    )
    stages = {"names": {"with": {"count": 1}, "next": "sips"}, "sips": {"with": {"log": str(log)}}}
    other = pouring(cli, "other", stages)
    cli.environment |= {"OAFLOW_EXECUTORS": "1", "OAFLOW_DEEP": str(DEEP)}
    watch = Watch(cli, "sips")

    worker = started(cli.start("worker"))
    running = started(cli.start("run", pipeline, "-d", "demo"))
    said: list[dict[str, Any]] = []

    def says_that_it_rests() -> bool:
        asked = cli("status", "--json")
        said[:] = asked.json["waits"] if asked.code == 0 else []  # there may be no run yet
        return [wait["why"] for wait in said] == ["rests"]

    assert waited(says_that_it_rests, 60.0, 0.1), "it never happened"
    (wait,) = said
    assert (wait["stage"], wait["most"]) == ("pours", DEEP)
    assert DEEP // 2 < wait["open"] == wait["after"]["sips"] <= DEEP + OVER
    beside = cli("run", other, "-d", "beside")
    watch.until(lambda: running.poll() is not None, 100)

    assert beside.code == 0, beside.err
    assert log.read_text() == "doc-0\n"
    assert (running.returncode, worker.poll()) == (0, None)
    (seconds,) = watch.connection.execute(
        "SELECT extract(epoch FROM ended - started)::float8 FROM oaflow.hops WHERE stage = 'pours' AND outcome = 'done'"
    ).fetchone() or (0.0,)
    assert seconds > 6.0
    assert watch.one("SELECT count(*) FROM oaflow.failures") == 0


@pytest.mark.parametrize("source", ["pours", "pours_async"])
def test_a_cancelled_run_ends_a_stream_that_rests(cli: Command, started: Started, source: str) -> None:
    stages = {
        "pours": {"task": source, "with": {"count": 1_000_000}, "next": "sips"},
        "sips": {"with": {"seconds": 0.05}},
    }
    pipeline = pouring(cli, "cut", stages)
    cli.environment |= {"OAFLOW_EXECUTORS": "1", "OAFLOW_DEEP": str(DEEP)}
    watch = Watch(cli, "sips")
    worker = started(cli.start("worker"))
    running = started(cli.start("run", pipeline, "-d", "demo"))
    watch.until(watch.rests)

    assert cli("cancel").code == 0
    watch.until(lambda: watch.one("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')") == 0, 60)

    assert running.wait(60) == 1
    assert worker.poll() is None
    assert watch.one("SELECT count(*) FROM oaflow.hops WHERE stage = 'pours' AND outcome = 'cancelled'") == 1
    small = pouring(cli, "small", {"names": {"with": {"count": 3}, "next": "sips"}, "sips": {}})
    assert cli("run", small, "-d", "after").code == 0  # and the worker is fit for more


def test_a_paused_run_lets_its_streams_rest_and_they_go_on_with_it(cli: Command, started: Started) -> None:
    count = 6000
    stages = {"pours": {"with": {"count": count, "seconds": 0.002}, "next": "sips"}, "sips": {"with": {"seconds": 0.0}}}
    pipeline = pouring(cli, "held", stages)
    cli.environment |= {"OAFLOW_EXECUTORS": "2"}
    watch = Watch(cli, "sips")
    started(cli.start("worker"))
    running = started(cli.start("run", pipeline, "-d", "demo"))
    handed = "SELECT coalesce(sum(size), 0)::int FROM oaflow.chunks"
    watch.until(lambda: watch.one(handed) > 0)

    assert cli("pause").code == 0
    watch.until(lambda: watch.stays(handed))
    assert watch.one(handed) < count
    assert cli("resume").code == 0
    watch.until(lambda: running.poll() is not None, 100)

    assert running.returncode == 0
    assert watch.one(DONE, "sips") == count


def test_a_stream_that_rests_survives_a_kill_and_a_stop(cli: Command, started: Started) -> None:
    count = 6000
    pipeline = pouring(
        cli, "killed", {"pours": {"with": {"count": count}, "next": "sips"}, "sips": {"with": {"seconds": 0.002}}}
    )
    cli.environment |= {"OAFLOW_EXECUTORS": "1", "OAFLOW_DEEP": str(DEEP)}
    watch = Watch(cli, "sips")
    running = started(cli.start("run", pipeline, "-d", "demo"))

    # It would wait for longer than this test does, for what does not rest.
    worker = ("-m", "oaflow.runtime.worker", "--executors", "1", "--grace", "1000")
    first = started(program(cli, *worker))
    watch.until(watch.rests)
    first.kill()
    second = started(program(cli, *worker))
    watch.until(lambda: watch.one("SELECT count(*) FROM oaflow.hops WHERE stage = 'pours' AND outcome = 'orphaned'"))
    watch.until(watch.rests)
    second.send_signal(signal.SIGTERM)
    assert second.wait(100) == 0
    started(cli.start("worker"))
    watch.until(lambda: running.poll() is not None, 100)

    assert running.returncode == 0
    assert watch.one(DONE, "sips") == count
    assert watch.most <= DEEP + 2 * OVER
