"""
A command that a test runs in a fork of a process with the program in it is as one that a new process runs.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import MODULE, PATIENCE, Command
from tests.chaos.test_kills import workers_of
from tests.warm import Warm

Until = Callable[[Callable[[], Any]], Any]
Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]

RIGHT = {"first": {"task": "stages_for_tests.passes", "next": "last"}, "last": {"task": "stages_for_tests.passes"}}
WRONG = RIGHT | {"first": {"task": "stages_for_tests.passes", "next": "lats"}}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("graph", "right.yml"), 0),
        (("route", "right.yml", "--at", "first", "--job", "-"), 0),
        (("check", "wrong.yml"), 1),
        (("cehck", "wrong.yml"), 2),
        (("status",), 3),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else str(one),
)
def test_it_says_and_ends_as_a_new_process_does(offline: Command, arguments: tuple[str, ...], code: int) -> None:
    for name, stages in (("right", RIGHT), ("wrong", WRONG)):
        (offline.folder / f"{name}.yml").write_text(json.dumps({"pipeline": name, "stages": stages}))

    forked, fresh = (
        offline(*arguments, stdin='{"entities": []}', program=program, env={"COLUMNS": "60"})
        for program in (None, MODULE)
    )

    assert forked == fresh
    assert forked.code == code
    assert forked.out + forked.err


def test_modules_are_looked_for_where_a_new_process_looks(offline: Command, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "beside.yml").write_text("pipeline: beside\nstages: {first: {task: beside.nothing}}\n")

    forked, fresh = (offline("check", "beside.yml", program=program) for program in (None, MODULE))

    assert forked == fresh
    assert "module 'beside' has no" in forked.out + forked.err


def test_what_only_a_new_interpreter_obeys_is_refused(offline: Command) -> None:
    result = offline("--version", env={"PYTHONUTF8": "0"})

    assert result.code == 1
    assert "only a new interpreter obeys" in result.err


def test_what_runs_on_is_as_a_child_process_is(cli: Command, until: Until, started: Started) -> None:
    forked = started(cli.start("worker", "--workers", "2"))

    workers = until(lambda: len(found := workers_of(forked.pid)) == 2 and found)
    assert "-m oaflow worker --workers 2" in " ".join(psutil.Process(forked.pid).cmdline())
    assert forked.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        forked.wait(0.1)
    forked.send_signal(signal.SIGTERM)
    assert forked.wait(PATIENCE) == 0
    assert forked.poll() == 0
    assert not [pid for pid in workers if psutil.pid_exists(pid)]

    killed = started(cli.start("worker"))
    killed.kill()
    out, err = killed.communicate(timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    wrong = cli.start("cehck")
    out, err = wrong.communicate(timeout=PATIENCE)
    assert (wrong.returncode, out) == (2, "")
    assert "cehck" in err


def test_what_runs_on_may_lead_a_session(offline: Command) -> None:
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for leads in (False, True):
        process = offline.with_streams(("lsp",), **streams | {"stdin": subprocess.PIPE}, start_new_session=leads)
        try:
            assert (os.getsid(process.pid) == process.pid) is leads
        finally:
            process.kill()
            process.wait(PATIENCE)
            process.stdin.close()


@pytest.mark.slow
def test_it_is_started_again_by_who_comes_when_all_have_left(tmp_path: Path) -> None:
    said: list[int] = []
    before = set(psutil.Process().children())
    with TemporaryDirectory() as short:
        for _ in range(2):
            warm = Warm(Path(short) / "socket")
            said.append(warm.run(("--version",), tmp_path, dict(os.environ))[0])
            assert set(psutil.Process().children()) <= before, "who counts what a test has started counts it too"
            warm.leave()
            while not gone(Path(short) / "socket"):
                time.sleep(0.02)

    assert said == [0, 0]


def gone(address: Path) -> bool:
    """
    Whether nobody listens there any more.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        return connection.connect_ex(str(address)) != 0
