"""
`run --detach`: who follows the run is a process of its own, which can be killed as any other.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from oaflow.operations import detaching
from oaflow.operations.detaching import NotDetachedError, detach
from oaflow.postgres.server import Server
from oaflow.settings import Settings
from tests.acceptance.conftest import Command
from tests.chaos.test_kills import workers_of

Until = Callable[[Callable[[], Any]], Any]

JOBS = 8


@pytest.fixture
def followers() -> Iterator[list[int]]:
    """
    Processes that are gone afterwards, whatever the test finds.
    """
    pids: list[int] = []
    yield pids
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def slow(cli: Command, name: str) -> str:
    log = str(cli.folder / f"{name}.noted")
    stages = {"source": {"with": {"count": JOBS}, "next": "work"}, "work": {"with": {"log": log, "seconds": 0.5}}}
    return cli.pipeline(name, stages)


def held(cli: Command, name: str) -> tuple[str, Path]:
    """
    One that comes to its end only when there is a file.
    """
    log, go = cli.folder / f"{name}.noted", cli.folder / f"{name}.go"
    stages = {
        "source": {"with": {"count": JOBS}, "next": "work"},
        "work": {"with": {"log": str(log)}, "next": "waits"},
        "waits": {"with": {"file": str(go)}},
    }
    return cli.pipeline(name, stages), go


def left(cli: Command, followers: list[int], *arguments: str, command: str = "run") -> dict[str, Any]:
    result = cli(command, *arguments, "--detach", "--json")
    assert result.code == 0, result.err
    followers += [result.json["process"]] if result.json["process"] else []
    return result.json


def state(cli: Command, run: str) -> str:
    return cli("status", run, "--json").json["state"]


def alive(pid: int) -> bool:
    # A child of an interpreter that does not wait for it, where the command was a fork.
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_workers_end_where_what_follows_the_run_and_the_server_are_both_gone(
    private: Command, home: Path, until: Until, followers: list[int]
) -> None:
    run = left(private, followers, slow(private, "lone"), "-d", "one")
    until((private.folder / "lone.noted").exists)
    workers = workers_of(run["process"])
    assert workers
    postmaster = int((home / "postgres/data/postmaster.pid").read_text().split()[0])

    os.kill(run["process"], signal.SIGKILL)
    os.kill(postmaster, signal.SIGKILL)

    until(lambda: not any(map(alive, workers)))
    resumed = private("resume", run["run"], "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["stages"]["work"]["done"] == JOBS


@pytest.mark.slow
def test_a_detached_run_goes_on_alone_is_held_and_ended_and_survives_the_kill_of_what_follows_it(
    private: Command, home: Path, until: Until, followers: list[int]
) -> None:
    name, go = held(private, "first")
    first = left(private, followers, name, "-d", "one")
    pid, log = first["process"], Path(first["log"])
    assert os.getsid(pid) == pid
    assert psutil.Process(pid).terminal() is None
    until((private.folder / "first.noted").exists)
    server = home / "postgres/data/postmaster.pid"
    assert server.exists()

    for worker in workers_of(pid):
        os.kill(worker, signal.SIGKILL)
    # Others take their place: it is not to be resumed by hand meanwhile.
    for _ in range(3):
        assert "oaflow resume" not in private("status", first["run"]).out
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    # Its workers end with it, and the server with the last that used it; the next command starts it again.
    until(lambda: not server.exists())
    assert private("status", first["run"]).code == 0
    with Server(home):  # each of these would start and stop it
        until(lambda: f"oaflow resume {first['run']}" in private("status", first["run"]).out)
        (found,) = [
            one for one in map(json.loads, private("doctor", "--json").out.splitlines()) if one["what"] == "run"
        ]
        assert (found["level"], found["text"]) == ("note", f"{first['run']}: no worker works on it")
        resumed = left(private, followers, first["run"], command="resume")
        assert (resumed["run"], resumed["log"], resumed["process"] != pid) == (first["run"], first["log"], True)
        go.touch()
        until(lambda: not alive(resumed["process"]))
        assert state(private, first["run"]) == "finished"
        assert private("status", first["run"], "--json").json["stages"]["work"]["done"] == JOBS
        assert private("receipt", first["run"], "--json").json["balanced"]

    name, go = held(private, "second")
    second = left(private, followers, name, "-d", "two")
    assert private("pause", second["run"]).code == 0
    assert state(private, second["run"]) == "paused"
    assert alive(second["process"])
    assert private("cancel", second["run"]).code == 0
    go.touch()
    until(lambda: not alive(second["process"]))
    until(lambda: not server.exists())
    assert state(private, second["run"]) == "cancelled"
    assert f"run {first['run']}" in log.read_text()
    assert "cancelled" in Path(second["log"]).read_text()


def test_with_a_server_elsewhere_it_has_workers_where_it_is_told_so_and_none_otherwise(
    cli: Command, until: Until, followers: list[int]
) -> None:
    said = cli("run", slow(cli, "alone"), "-d", "one", "--detach")
    (run,) = said.out.split()
    assert said.code == 0
    assert "its workers are elsewhere: oaflow worker" in said.err
    assert f"see:  oaflow status {run}" in said.err
    assert (state(cli, run), cli("cancel", run).code) == ("running", 0)

    with_workers = left(cli, followers, slow(cli, "helped"), "-d", "two", "--workers", "1")
    until(lambda: state(cli, with_workers["run"]) == "finished")
    until(lambda: not alive(with_workers["process"]))
    assert f"work {JOBS}" in " ".join(Path(with_workers["log"]).read_text().split())

    for option, value in (("--strict", []), ("--max-failed", ["3"])):
        refused = cli("run", "alone.yml", "-d", "three", "--detach", option, *value)
        assert refused.code == 2
        assert refused.error == f"{option} decides the exit code, and --detach does not wait for the end"


def test_a_retry_and_a_rerun_are_left_alone_too_and_a_worker_goes_on_with_what_nobody_follows(
    cli: Command, until: Until, followers: list[int]
) -> None:
    log = str(cli.folder / "noted")
    stages = {
        "source": {"with": {"count": 3}, "next": "once"},
        "once": {"task": "fails_once", "with": {"marker": str(cli.folder / "failed")}, "next": "work"},
        "work": {"with": {"log": log}},
    }
    assert cli("run", cli.pipeline("again", stages), "-d", "one", "--workers", "1").code == 1
    assert not Path(log).exists()

    retried = left(cli, followers, "--workers", "1", command="retry")
    until(lambda: not alive(retried["process"]))
    assert state(cli, retried["run"]) == "finished"
    assert len(Path(log).read_text().splitlines()) == 3

    rerun = left(cli, followers, "--stage", "work", "--yes", "--workers", "1", command="rerun")
    until(lambda: not alive(rerun["process"]))
    assert (rerun["run"] != retried["run"], state(cli, rerun["run"])) == (True, "finished")
    assert len(Path(log).read_text().splitlines()) == 6
    nothing = cli("rerun", "--stage", "work", "--dry-run", "--detach")
    assert (nothing.code, nothing.out) == (0, "")
    refused = cli("retry", "1", "--here", "--detach")
    assert (refused.code, refused.help) == (2, "leave out one of them")

    killed = left(cli, followers, slow(cli, "lone"), "-d", "two", "--workers", "1")
    until((cli.folder / "lone.noted").exists)
    os.kill(killed["process"], signal.SIGKILL)
    until(lambda: not alive(killed["process"]))
    worker = cli.start("worker")
    try:
        until(lambda: state(cli, killed["run"]) == "finished")
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    assert cli("receipt", killed["run"], "--json").json["balanced"]


def test_a_run_that_ended_before_somebody_could_follow_it_is_no_error(cli: Command, until: Until) -> None:
    assert cli("run", cli.pipeline("quick", {"source": {}}), "-d", "one", "--workers", "1").code == 0
    run = cli("status", "--json").json["run"]

    follower = detach(Settings(home=cli.folder / "home", db_uri=cli.environment["OAFLOW_DB_URI"]), run, 1)

    until(lambda: not alive(follower.pid))
    assert follower.log.read_text() == f"run '{run}' has ended: it is finished\n"
    # Who types it later has made a mistake.
    assert cli("resume", run, "--detach").error == f"run '{run}' has ended: it is finished"


def test_what_is_to_be_typed_next_can_be_typed_where_the_program_was_called_by_its_path(cli: Command) -> None:
    program = str(Path(sys.executable).with_name("oaflow"))

    def said(*arguments: str) -> str:
        called = [program, *arguments]
        known = cli.environment | {"PATH": os.defpath}
        return subprocess.run(called, env=known, cwd=cli.folder, check=True, capture_output=True, text=True).stderr

    file = cli.pipeline("quick", {"source": {}})
    left = said("run", file, "-d", "one", "--detach")
    assert f"its workers are elsewhere: {program} worker\nsee:  {program} status quick-" in left
    added = said("schedule", "add", file, "-d", "one", "--cron", "0 3 * * *")
    assert added.endswith(f"a worker starts it: {program} worker\n")
    failing = cli.pipeline("failing", {"source": {"with": {"count": 1}, "next": "fails"}, "fails": {}})
    assert cli("run", failing, "-d", "one", "--workers", "1").code == 1
    assert f"again: {program} retry failing-" in (failures := said("failures"))
    assert f"look at one of them: {program} retry " in failures
    assert f"look at it: {program} retry " in said("trace", "file0.txt")


def test_what_does_not_follow_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detaching, "_MODULE", "oaflow.no_such_module")

    with pytest.raises(NotDetachedError, match=r"'some-abc234' does not start: .*No module named") as caught:
        detach(Settings(home=tmp_path, db_uri=None), "some-abc234", 1)

    assert caught.value.help == "oaflow resume some-abc234"
