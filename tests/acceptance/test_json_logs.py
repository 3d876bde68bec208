"""
Logs as JSON, of a worker, of a run, and of stage functions: each line an object, whatever is printed.
"""

import json
import signal
import subprocess
from typing import Any

from tests.acceptance.conftest import Command

STAGES = """
import sys
from oaflow import DatasetJob, stage

@stage
def says(job: DatasetJob) -> DatasetJob:
    print('quotes " and \\\\ and {"a": 1}', "\\x1b[31mred\\x00", "\\u2028", flush=True)
    sys.stdout.buffer.write(b"\\xff\\xfe no utf-8\\n")
    sys.stdout.buffer.flush()
    print("x" * 50_000, "the end")
    print("to stderr", file=sys.stderr)
    return job

@stage(retry=0)
def fails(job: DatasetJob) -> None:
    raise ValueError("several\\nlines")
"""

PIPELINE = {
    "source": {"with": {"count": 3}, "next": "says"},
    "says": {"next": "fails"},
    "fails": {},
}


def test_each_line_of_a_worker_and_of_a_run_is_an_object(cli: Command) -> None:
    (cli.folder / "talkative.py").write_text(STAGES)
    path = cli.folder / cli.pipeline("talks", PIPELINE)
    text = path.read_text()
    for stage in ("says", "fails"):
        text = text.replace(f"stages_for_tests.{stage}", f"talkative.{stage}")
    path.write_text(text)
    cli.environment["OAFLOW_WEBHOOK_SECRET"] = "canary-secret"

    run = cli("run", path.name, "-d", "one", "--workers", "1", "--log-format", "json", "--json")
    assert run.code == 1
    json.loads(run.out)
    check(run.err)

    cli.environment["OAFLOW_LOG_FORMAT"] = "json"
    with open(cli.folder / "err", "wb") as err:
        worker = cli.with_streams(("worker",), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        assert cli("run", path.name, "-d", "two", "--workers", "0").code == 1
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    lines = check((cli.folder / "err").read_text())
    assert any("is ready" in line["message"] for line in lines if line["logger"] == "oaflow")
    (cli.folder / "wrong.yml").write_text(path.read_text().replace('"fails"', '"fials"', 1))
    mistakes = [json.loads(line) for line in cli("run", "wrong.yml", "-d", "two").err.splitlines()]
    assert any("wrong.yml:" in line["message"] and line["level"] == "error" for line in mistakes)
    wrong = cli("run", "nothing.yml", "-d", "two").err
    (error,) = [json.loads(line) for line in wrong.splitlines()]
    assert error["level"] == "error"
    assert error["help"]


def check(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    assert "canary" not in text
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line)
    printed = [line for line in lines if line["logger"] == "stage"]
    for name in ("doc-0", "doc-1", "doc-2"):
        mine = [line for line in printed if line["document"] == name]
        assert {line["run"].partition("-")[0] for line in mine} == {"talks"}
        said = [line["message"] for line in mine if line["stage"] == "says" and line["level"] == "info"]
        assert said[0] == 'quotes " and \\ and {"a": 1} \x1b[31mred\x00 \u2028'
        assert said[1] == "\ufffd\ufffd no utf-8"
        assert any(message.endswith("x the end") for message in said)
        assert "to stderr" in said
        (error,) = [line for line in mine if line["level"] == "error"]
        assert error["stage"] == "fails"
        assert error["message"].endswith("several\nlines\n")
        assert isinstance(error["job"], int)
    return lines


LOGGING = """
import asyncio
import logging
from oaflow import DatasetJob, stage

log = logging.getLogger(__name__)
other = logging.getLogger("of_others")

@stage
def sync(job: DatasetJob) -> DatasetJob:
    log.debug("nobody sees this")
    log.info("page %d", 7)
    other.info("each step")
    other.warning("of a library")
    return job

@stage
async def waits(job: DatasetJob) -> None:
    try:
        job.nothing
    except AttributeError:
        log.exception("no such thing")
    await asyncio.to_thread(log.warning, "in a thread")
    await asyncio.to_thread(print, "two\\nlines and", "a half", end="")
"""


def test_what_stage_functions_log_has_its_level_and_its_job(cli: Command) -> None:
    (cli.folder / "logging_stages.py").write_text(LOGGING)
    path = cli.folder / cli.pipeline("logs", {"source": {"with": {"count": 1}, "next": "sync"}})
    whole = json.loads(path.read_text())
    whole["stages"]["sync"] = {"task": "logging_stages.sync", "next": "waits"}
    whole["stages"]["waits"] = {"task": "logging_stages.waits"}
    path.write_text(json.dumps(whole))

    run = cli("run", path.name, "-d", "one", "--workers", "1", "--log-format", "json", "--json")
    assert run.code == 0, run.err
    on_stderr = [line for line in map(json.loads, run.err.splitlines()) if line.get("stage")]
    kept = [json.loads(line) for line in cli("logs", "--json").out.splitlines()]

    expected = [
        ("sync", "info", "logging_stages", "page 7"),
        ("sync", "warning", "of_others", "of a library"),
        ("waits", "error", "logging_stages", "no such thing"),
        ("waits", "warning", "logging_stages", "in a thread"),
        ("waits", "info", "stage", "two"),
        ("waits", "info", "stage", "lines and a half"),
    ]
    said = [(line["stage"], line["level"], line["logger"], line["message"].split("\n")[0]) for line in on_stderr]
    assert said == expected
    assert all(line["document"] == "doc-0" and line["job"] for line in on_stderr)
    assert "AttributeError" in on_stderr[2]["message"].splitlines()[-1]
    assert [(line.get("level", "info"), line.get("logger", "stage")) for line in kept] == [one[1:3] for one in expected]
    told = cli("logs").out.splitlines()
    assert told[0].endswith(": INFO logging_stages: page 7")
    assert told[-3].endswith(": WARNING logging_stages: in a thread")
    assert told[-1].endswith(": lines and a half")
