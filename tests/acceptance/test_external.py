"""
A stage in a service of others, which is late.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import query

SERVICE = (sys.executable, "-m", "procrastinate", "worker", "-q", "translate")

PIPELINE = """
pipeline: p
stages:
  source: {task: stages_for_tests.source, with: {count: 3}, next: translate}
  translate:
    task: service.translate
    queue: translate
    external: true
    next: {index: end}
  end: {task: stages_for_tests.end}
"""


def told(cli: Command) -> set[str]:
    """
    What `check --db` says of the service.
    """
    return {one["code"] for one in cli("check", "p.yml", "--db", "--json").json} - {"OAF501"}


def test_a_run_waits_for_a_service_says_so_and_goes_on_when_it_comes(
    cli: Command, database: str, tmp_path: Path, until: Callable[[Callable[[], Any]], Any]
) -> None:
    (tmp_path / "p.yml").write_text(PIPELINE)
    refused = cli("run", "p.yml", "-d", "demo")
    assert refused.code == 2
    assert told(cli) == {"OAF508", "OAF510"}
    assert cli("db", "migrate", "--capture", "--dry-run").out == "capture: triggers on procrastinate_jobs\n"
    assert cli("db", "migrate", "--capture").code == 0

    run = cli.start("run", "p.yml", "-d", "demo", "--workers", "1", "--json")
    waits = "no worker of its service takes task service.translate of queue translate"
    status = until(lambda: waits in (found := cli("status").out) and found)
    assert "help:  start a worker of that service, on queue translate of this database" in status
    doctor = cli("doctor")
    assert (doctor.code, waits in doctor.out) == (3, True)

    assert run.stderr is not None
    err = ""
    while waits not in err:
        line = run.stderr.readline()
        assert line, err
        err += line

    environment = cli.environment | {"PROCRASTINATE_APP": "service_for_tests.app", "SERVICE_DB": database}
    service = subprocess.Popen(SERVICE, env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: told(cli) == {"OAF509"} or run.poll() is not None)  # it lives, and has not had a job
        _, rest = run.communicate(timeout=100)
        assert told(cli) == set()
    finally:
        service.terminate()
        service.wait()

    assert run.returncode == 0, err + rest
    found = cli("status", "--json").json
    assert (found["state"], found["stages"]["end"]["done"]) == ("finished", 3)
    receipt = cli("receipt")
    assert receipt.code == 0


def test_a_job_that_a_service_gave_up_is_not_run_here_and_it_is_said_what_asks_the_service_again(
    cli: Command, database: str, tmp_path: Path
) -> None:
    (tmp_path / "p.yml").write_text(PIPELINE.replace("service.translate", "service.unable"))
    assert cli("db", "migrate", "--capture").code == 0
    environment = cli.environment | {"PROCRASTINATE_APP": "service_for_tests.app", "SERVICE_DB": database}
    service = subprocess.Popen(SERVICE, env=environment, stderr=subprocess.DEVNULL)
    try:
        assert cli("run", "p.yml", "-d", "demo", "--workers", "1").code == 1
    finally:
        service.terminate()
        service.wait()
    failed = [json.loads(line) for line in cli("failures", "--json").out.splitlines()]
    assert len(failed) == 3

    here = cli("retry", str(failed[0]["job"]), "--here")

    assert here.code == 2
    run = failed[0]["run"]
    told = cli("failures").err
    traced = cli("trace", failed[0]["documents"][0]).err

    assert told == f"send them again: oaflow retry {run}\n"
    assert traced == f"ask its service again: oaflow retry {run} --stage translate\n"
    assert "error: stage 'translate' lives in another service, whose code is not run here" in here.err
    assert f"oaflow retry {run} --stage translate" in here.err
    number = cli("retry", str(failed[0]["job"]))
    assert number.error == f"'{failed[0]['job']}' is the id of a job, but retry takes the id of a run"
    assert number.help == f"oaflow retry {run} --stage translate   # asks the service again"
    assert cli("retry", "99999").error == "job 99999 is not among the failures"


@pytest.mark.slow
def test_what_a_service_hands_over_while_capture_is_away_goes_on_once_and_the_run_ends(
    cli: Command, database: str, tmp_path: Path, until: Callable[[Callable[[], Any]], Any]
) -> None:
    gate = tmp_path / "gate"
    gated = PIPELINE.replace("service.translate", "service.gated")
    (tmp_path / "p.yml").write_text(gated.replace("external: true", f"external: true\n    with: {{gate: {gate}}}"))
    assert cli("db", "migrate", "--capture").code == 0
    run = cli.start("run", "p.yml", "-d", "demo", "--workers", "1", "--json")
    environment = cli.environment | {"PROCRASTINATE_APP": "service_for_tests.app", "SERVICE_DB": database}
    service = subprocess.Popen(SERVICE, env=environment, stderr=subprocess.DEVNULL)
    rows = "SELECT status::text, count(*)::int FROM procrastinate_jobs WHERE queue_name = %s GROUP BY 1"
    try:
        until(lambda: query(cli, "SELECT 1 FROM oaflow.emitted"))  # the first has handed over, and is in work

        assert cli("db", "migrate", "--no-capture").code == 0
        gate.touch()
        until(lambda: query(cli, rows, "translate") == [("succeeded", 3)])

        _, err = run.communicate(timeout=150)
    finally:
        run.kill()
        service.terminate()
        service.wait()

    assert run.returncode == 0, err
    found = cli("status", "--json").json
    assert (found["state"], found["stages"]["end"]["done"]) == ("finished", 6)
    assert query(cli, rows, "index") == []
    assert query(cli, "SELECT count(DISTINCT job)::int, count(*)::int FROM oaflow.hops WHERE outcome = 'answered'") == [
        (3, 3)
    ]
