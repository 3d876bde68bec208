"""
pgbouncer in transaction mode before the database: workers' statements go through it, and what keeps a session past it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.chaos.crew import WORKER, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import begin, ended
from tests.chaos.test_kills import workers_of
from tests.chaos.test_statements import wait
from tests.warm import Warm

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# It looks by itself once an hour: whatever it does sooner, a notification told it to.
PATIENT = (sys.executable, "-m", "tests.acceptance.patient_worker")

SETTINGS = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = options, extra_float_digits
"""


class Pooler:
    """
    A pgbouncer, as the account that the server takes for its owner.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        known = conninfo_to_dict(uri)
        owner = Path(str(known["host"])).owner()
        self._file = folder / "pgbouncer.ini"
        self._file.write_text(SETTINGS.format(folder=folder, **{key: known[key] for key in ("host", "port", "user")}))
        shutil.chown(folder, owner)
        self._account = ["-u", owner] if os.geteuid() == 0 else []
        self.address = make_conninfo(uri, host=str(folder))
        self.start()

    def start(self) -> None:
        command = [str(PROGRAM), "-q", *self._account, str(self._file)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait(self.answers, lambda: "it never answered")

    def answers(self) -> bool:
        try:
            psycopg.connect(self.address).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture
def pooler(database: str, shared_folder: Path) -> Iterator[Pooler]:
    if PROGRAM is None:
        pytest.skip("there is no pgbouncer here: apt-get install pgbouncer")
    folder = shared_folder / f"pgbouncer-{os.getpid()}"
    folder.mkdir(mode=0o711)
    made = Pooler(database, folder)
    yield made
    made.process.kill()
    made.process.wait()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_workers_go_through_a_pooler_and_hear_past_it(
    pooler: Pooler, database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    post = Post(database, database, tmp_path, clean_environment | {"OAFLOW_POOL_URI": pooler.address}, warm)
    with crew(post, *PATIENT, count=2), psycopg.connect(database, autocommit=True) as connection:

        def one(statement: str) -> int:
            row = connection.execute(statement).fetchone()  # pyright: ignore[reportArgumentType]
            return row[0] if row else 0

        wait(lambda: one("SELECT count(*) FROM oaflow.workers") == 2, lambda: "two workers")
        time.sleep(1.5)  # past their first looks: what comes now is heard, or not found for an hour
        passage = begin(database, tmp_path, seconds=0.02, fails_every=5)
        passage.enter(30)
        passage.seal()
        wait(lambda: one("SELECT count(*) FROM oaflow.hops WHERE outcome = 'done'") > 100, lambda: "it goes on")
        pooler.process.kill()
        pooler.process.wait()
        pooler.start()

        assert ended(database, passage.id, 60.0) == "finished"
    assert findings(read(passage)) == []


@pytest.mark.slow
def test_workers_and_the_pooler_are_killed_time_and_again_and_nothing_is_lost_or_doubled(
    pooler: Pooler, database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    hasty = {"OAFLOW_POOL_URI": pooler.address, "OAFLOW_HEARTBEAT": "0.5", "OAFLOW_DEAD_AFTER": "3"}
    post = Post(database, database, tmp_path, clean_environment | hasty, warm)
    with crew(post, *WORKER, count=2) as supervisors, psycopg.connect(database, autocommit=True) as connection:

        def one(statement: str) -> int:
            row = connection.execute(statement).fetchone()  # pyright: ignore[reportArgumentType]
            return row[0] if row else 0

        passage = begin(database, tmp_path, seconds=0.01, fails_every=5)
        passage.enter(15)
        passage.seal()
        for number in range(4):
            done = 20 + 60 * number
            wait(
                lambda done=done: one("SELECT count(*) FROM oaflow.hops WHERE outcome = 'done'") > done,
                lambda: "it goes on",
            )
            # Where the pooler dies with it, what the worker had sent is in nobody's hands.
            killed = workers_of(supervisors[number % 2].pid)
            assert killed
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            if number % 2:
                pooler.process.kill()
                pooler.process.wait()
                pooler.start()

        assert ended(database, passage.id, 60.0) == "finished"
        assert one("SELECT count(*) FROM oaflow.hops WHERE outcome = 'orphaned'") > 0
    assert findings(read(passage)) == []
