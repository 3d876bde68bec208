"""
A disk that is full under the data of Postgres, with a run in flight: when there is room again it goes on.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oaflow.errors import EnvironmentProblem
from oaflow.operations.databases import database
from oaflow.settings import Settings
from tests.acceptance.conftest import PATIENCE, Command
from tests.chaos.crew import WORKER, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import begin, ended, state
from tests.chaos.small_disk import SmallDisk, small_disk
from tests.chaos.test_kills import nothing_lost_or_doubled, pipeline, workers_of
from tests.warm import Warm

Until = Callable[[Callable[[], Any]], Any]

JOBS = 200


@pytest.fixture
def disk(home: Path) -> Iterator[SmallDisk]:
    with small_disk(home) as disk:
        yield disk


def done(uri: str) -> int:
    """
    How many jobs have ended; -1 while nobody answers.
    """
    try:
        with psycopg.connect(uri, autocommit=True, connect_timeout=5) as connection:
            row = connection.execute("SELECT coalesce(sum(done), 0)::int FROM oaflow.counters").fetchone()
    except psycopg.OperationalError:
        return -1
    return row[0] if row else 0


def test_a_run_on_the_private_server_says_that_its_disk_is_full_and_goes_on_when_there_is_room(
    disk: SmallDisk, private: Command, until: Until
) -> None:
    name, said = pipeline(private, JOBS, 0.02), private.folder / "said"
    oaflow = (sys.executable, "-m", "oaflow")
    with said.open("wb") as output:
        running = subprocess.Popen(
            disk.inside(private.folder, *oaflow, "run", name, "-d", "demo", "--json"),
            env=private.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
    try:
        until(lambda: done(disk.uri) > JOBS / 4)
        disk.fill()
        disk.exhaust()
        until(lambda: f"the database does not answer (the disk of {disk.home} is full" in said.read_text())
        asked = subprocess.run(
            disk.inside(private.folder, *oaflow, "status"), env=private.environment, capture_output=True, text=True
        )
        assert asked.returncode == 3
        assert f"cannot start: the disk of {disk.home}/postgres is full" in asked.stderr
        disk.free()

        assert running.wait(PATIENCE) == 0, said.read_text()
    finally:
        running.kill()
    nothing_lost_or_doubled(disk.uri, JOBS)


def test_workers_of_a_server_whose_disk_is_full_wait_and_go_on(
    disk: SmallDisk, tmp_path: Path, clean_environment: dict[str, str], until: Until, warm: Warm
) -> None:
    post = Post(disk.uri, disk.uri, tmp_path, clean_environment, warm)
    passage = begin(disk.uri, tmp_path, seconds=0.05, fails_every=5)
    passage.enter(40)
    passage.seal()
    with crew(post, *WORKER, count=2) as (killed, _):
        until(lambda: done(disk.uri) > 50)
        disk.fill()  # it cannot lengthen a table, and lives
        until(lambda: "No space left on device" in said(tmp_path))
        os.kill(workers_of(killed.pid)[0], signal.SIGKILL)
        with pytest.raises(EnvironmentProblem, match="has no room: "), database(Settings(db_uri=disk.uri)) as opened:
            opened.connect().execute("CREATE TABLE large AS SELECT generate_series(1, 1000000)")
        disk.free()
        before = done(disk.uri)
        until(lambda: done(disk.uri) > before + 50)
        disk.fill()
        disk.exhaust()  # it ends, and cannot start
        until(lambda: state(disk.uri, passage.id) is None)
        os.kill(workers_of(killed.pid)[0], signal.SIGKILL)
        disk.free()

        assert ended(disk.uri, passage.id, PATIENCE) == "finished"
    assert findings(read(passage)) == []


def said(folder: Path) -> str:
    """
    What the workers wrote into their logs.
    """
    return "".join(log.read_text() for log in (folder / "home" / "logs").glob("worker-*.log"))
