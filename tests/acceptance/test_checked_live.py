"""
`oaflow check --db` beside real workers, limits and runs.
"""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

import psycopg

from tests.acceptance.conftest import Command, Result

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

TYPED = """
from oaflow import Job, stage

class Letter(Job): ...
class OldLetter(Job): ...

@stage
def read(job: {}) -> None: ...
"""

# What the worker cannot import: a run of it stays in flight.
FAR = "from oaflow import Job, stage\n@stage\ndef go(job: Job) -> None: ...\n@stage\ndef come(job: Job) -> None: ...\n"


def check(cli: Command, *pipelines: str) -> tuple[Result, list[tuple[str, str]]]:
    """
    `check --db`, and the code and message of each thing that it says.
    """
    result = cli("check", *pipelines, "--db", "--json")
    return result, [(one["code"], one["message"]) for one in result.json]


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    process.terminate()  # another one: two of the same may come as one
    process.communicate(timeout=60)


def test_check_asks_live_workers_and_what_is_in_flight(cli: Command, started: Started, until: Until) -> None:
    good = cli.pipeline("good", {"source": {"next": "work"}, "work": {"concurrency": 4}})
    (cli.folder / "typed.yml").write_text("pipeline: typed\nstages: {read: {task: typed.read}}\n")
    (cli.folder / "typed.py").write_text(TYPED.format("OldLetter"))
    (cli.folder / "elsewhere").mkdir()
    (cli.folder / "elsewhere" / "far.py").write_text(FAR)
    (cli.folder / "far.yml").write_text("pipeline: far\nstages: {go: {task: far.go}}\n")
    here = Command(cli.folder, dict(cli.environment))
    cli.environment["PYTHONPATH"] += f":{cli.folder / 'elsewhere'}"

    # What a run has brought along works on nothing else.
    lasting = cli.pipeline("own", {"source": {"next": "never_returns"}, "never_returns": {}})
    own = started(cli.start("run", lasting, "-d", "demo", "--workers", "1"))
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        until(lambda: connection.execute("SELECT FROM oaflow.workers WHERE tasks <> '{}'").fetchall())
        result, said = check(cli, good)
        assert (result.code, said) == (1, [("OAF501", "no worker is running there: a run would wait for one")])
        stop(own)

        # No run has told the worker of these tasks: for each it finds out what it can when it is asked.
        worker = started(here.start("worker"))
        until(lambda: "ready" in (worker.stderr.readline() if worker.stderr else ""))
        result, said = check(cli, good, "typed.yml", "far.yml")
        assert (result.code, said) == (1, [("OAF502", "no live worker can run task 'far.go' of queue 'go'")])
        (note,) = result.json[0]["notes"]
        assert note["message"].startswith("worker ")
        assert "No module named 'far'" in note["message"]
        assert "good.yml: 2 stages, no mistakes; 1 live worker in " in result.err

        (cli.folder / "typed.py").write_text(TYPED.format("Letter"))  # the worker has imported it as it was
        assert cli("limit", "work/stages_for_tests.work", "--concurrency", "2").code == 0
        waits = started(cli.start("run", "far.yml", "-d", "demo", "--workers", "0", "--json"))
        until(lambda: connection.execute("SELECT FROM oaflow.runs WHERE pipeline = 'far'").fetchall())
        (cli.folder / "far.yml").write_text("pipeline: far\nstages: {go: {task: far.go, priority: 80}}\n")

        result, said = check(cli, good, "typed.yml", "far.yml")

        assert result.code == 1
        assert said[0] == ("OAF505", "stage 'work' may run 4 jobs at once, and an operator allows 2")
        assert said[1][0] == "OAF504"
        assert said[1][1].startswith("'typed.read' takes typed.Letter here, and typed.OldLetter at worker ")
        assert [code for code, _ in said[2:]] == ["OAF506", "OAF502"]
        assert said[2][1].endswith(" continues with an older plan, and may move to this one")
        ((run,),) = connection.execute("SELECT id FROM oaflow.runs WHERE pipeline = 'far'").fetchall()
        (cli.folder / "far.yml").write_text("pipeline: far\nstages: {go: {task: far.come}}\n")

        shown = cli("check", "far.yml", "--db").out

        assert f"run {run} continues with an older plan, and may not move to this one" in shown
        assert "note: stage 'go' is another task, but jobs may wait on queue 'go' for far.go" in shown
        assert f"help: oaflow plan --diff {run} far.yml" in shown
        stop(waits)


def test_what_check_cannot_ask_is_a_sentence(offline: Command, cli: Command) -> None:
    name = offline.pipeline("good", {"source": {}})

    refused = offline("check", name, "--db", "--no-import")
    away = offline("check", name, "--db")

    assert (refused.code, refused.error) == (
        2,
        "--db asks workers about the functions, but --no-import skips the functions",
    )
    assert away.code == 3
    assert "cannot be reached" in away.error or "refused" in away.error, away.err
