"""
What a run with kills leaves in the store and the search is what a run without any leaves.

OAFLOW_SEED repeats one.
"""

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from oaflow.postgres import migrate
from tests.acceptance.conftest import ROOT, Command
from tests.acceptance.test_processes import executors_of
from tests.chaos.test_kills import SEED, Started, _wait, done, workers_of

SAMPLES = ROOT / "examples" / "documents"

# Mails with attachments, archives in archives, tables, several scripts: all that is read without OCR, which takes long.
FOLDERS = ("archives", "mail", "press")

SEARCHES = ("sextant", "peregrine", "northlight")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(SAMPLES / name, tmp_path / "source" / name)
    return tmp_path / "source"


@pytest.fixture
def other(cli: Command, empty_database: str) -> Command:
    """
    The command with another database and archive. A document's id has the dataset in it: it must be named alike.
    """
    migrate(empty_database, own=True)
    places = {"OAFLOW_DB_URI": empty_database, "OAFLOW_HOME": f"{cli.environment['OAFLOW_HOME']}-other"}
    return cli.at(**places)


def left(cli: Command) -> dict[str, list[str]]:
    """
    What is there after a run: the entities as they are printed, and the hits of the searches.
    """
    said = {"entities": cli("entities", "-d", "demo")}
    said |= {words: cli("search", words, "-d", "demo", "--json") for words in SEARCHES}
    for question, answer in said.items():
        assert (answer.code, bool(answer.out)) == (0, True), f"{question}: {answer.err}"
    return {question: sorted(answer.out.splitlines()) for question, answer in said.items()}


def test_kills_leave_the_store_and_the_search_as_a_quiet_run_does(
    cli: Command, other: Command, source: Path, started: Started
) -> None:
    print(f"OAFLOW_SEED={SEED}")
    chance = random.Random(SEED)
    run = ("run", "ingest", str(source), "-d", "demo", "--workers", "2", "--json")
    quiet = other(*run)
    assert quiet.code == 0, quiet.err
    whole = sum(stage["done"] for stage in quiet.json["stages"].values())
    # Every kill of an executor is the crash of a job that may be killed again: far more than three would be bad luck.
    hurried = {"OAFLOW_HEARTBEAT": "0.5", "OAFLOW_DEAD_AFTER": "2", "OAFLOW_CRASHES": "1000"}
    kinds = ["worker", "executor", "executor", "executor", "executor"]
    chance.shuffle(kinds)

    running = started(cli.at(**hurried).start(*run))
    killed: list[str] = []
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        for number, kind in enumerate(kinds):
            share = whole * (number + chance.random()) / (len(kinds) + 1)
            found = workers_of if kind == "worker" else executors_of

            def there(share: float = share, found: Callable[[int], list[int]] = found) -> bool:
                # The worker that takes the place of one that was killed has no executors at first.
                return running.poll() is not None or (done(connection) >= share and bool(found(running.pid)))

            _wait(there)
            if victims := found(running.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    killed.append(kind)
        out, err = running.communicate()
        crashed = connection.execute("SELECT count(*)::int FROM oaflow.hops WHERE outcome = 'crashed'").fetchone()

    assert running.returncode == 0, "".join([cli("failures").out, err, out])
    print(f"killed {killed}, {crashed} jobs of them while they ran")
    assert len(killed) >= 3
    assert left(cli) == left(other)
