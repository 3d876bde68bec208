"""
A database that is out of reach is waited for, whatever else happens meanwhile.
"""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from tests.chaos.crew import WORKER, Post, crew
from tests.chaos.proxy import Proxy
from tests.chaos.test_kills import workers_of
from tests.chaos.test_statements import wait
from tests.warm import Warm


def test_workers_wait_for_the_database_at_the_beginning_and_when_one_dies_while_it_is_away(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    def registered() -> list[int]:
        with psycopg.connect(database, autocommit=True) as connection:
            return [pid for (pid,) in connection.execute("SELECT pid FROM oaflow.workers").fetchall()]

    patient = clean_environment | {"OAFLOW_DEAD_AFTER": "600"}
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(database))
        proxy.leave()
        (supervisor,) = stack.enter_context(crew(Post(proxy.address, database, tmp_path, patient, warm), *WORKER))
        said = tmp_path / "workers.log"
        wait(
            lambda: "; waiting for it\nhelp:  check that it runs, and check OAFLOW_DB_URI" in said.read_text(),
            said.read_text,
        )
        proxy.away = False
        wait(registered, registered)
        (killed,) = registered()
        wait(
            lambda: f"is ready (pid {killed})" in said.read_text(), said.read_text
        )  # who has started it knows its number
        proxy.leave()
        # Whoever looks at the output of the command learns of it: the worker logs it to a file of its own.
        wait(lambda: f"worker process {killed}: " in said.read_text(), said.read_text)
        os.kill(killed, signal.SIGKILL)
        wait(lambda: workers_of(supervisor.pid) not in ([], [killed]), lambda: supervisor.poll())
        time.sleep(1.5)  # it has asked more than once
        proxy.away = False

        # Not after its time of silence: who had started it has seen it die.
        wait(lambda: registered() and killed not in registered(), registered)
        assert supervisor.poll() is None


def test_workers_wait_for_a_database_that_stops_its_first_statements(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    impatient = f"{database} options='-c statement_timeout=2000'"
    with ExitStack() as stack:
        holder = stack.enter_context(psycopg.connect(database))
        holder.execute("LOCK TABLE oaflow.migrations IN ACCESS EXCLUSIVE MODE")
        (supervisor,) = stack.enter_context(crew(Post(impatient, database, tmp_path, clean_environment, warm), *WORKER))
        said = tmp_path / "workers.log"
        wait(lambda: "statement timeout); waiting for it" in said.read_text(), said.read_text)
        holder.rollback()
        wait(lambda: "is ready" in said.read_text(), said.read_text)
        assert supervisor.poll() is None
