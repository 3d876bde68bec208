"""
What can be asked about runs: their logs as they come, lists of runs and failures, and entities for other programs.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import PATIENCE, Command
from tests.acceptance.test_commands import people

RUN = ("-d", "demo", "--workers", "1")

Keep = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]


def test_logs_are_followed_through_a_retry_and_failures_are_listed_by_stage(cli: Command, started: Keep) -> None:
    stages = {
        "source": {"with": {"count": 2}, "next": ["speaks", "fails"]},
        "speaks": {"with": {"marker": str(cli.folder / "marker")}, "next": "end"},
        "fails": {"next": "end"},
        "end": {},
    }
    assert cli("run", cli.pipeline("told", stages), *RUN).code == 1
    run = cli("status", "--json").json["run"]
    lines = [json.loads(line) for line in cli("logs", "-n", "0", "--json").out.splitlines()]
    spoken = [line for line in lines if line["stage"] == "speaks" and "Traceback" not in line["text"]]
    assert {(line["run"], line["document"], line["text"]) for line in spoken} == {
        (run, "doc-0", "first doc-0"),
        (run, "doc-1", "first doc-1"),
    }
    failed = [json.loads(line) for line in cli("failures", "--json").out.splitlines()]
    # Only what is wanted, and the last of it.
    one = next(line for line in spoken if line["document"] == "doc-1")
    for wanted in (
        ("--job", str(one["job"])),
        ("--stage", "speaks", "--document", "doc-1"),
        ("--document", "file1.txt"),
    ):
        chosen = [json.loads(line) for line in cli("logs", "-n", "0", "--json", *wanted).out.splitlines()]
        assert one in chosen
        assert {line["document"] for line in chosen} == {"doc-1"}
        assert [json.loads(cli("logs", "-n", "1", "--json", *wanted).out)] == chosen[-1:]
    assert {line["stage"] for line in chosen} == {"speaks", "fails"}
    none, unknown = cli("logs", "--document", "doc-9"), cli("logs", "--stage", "speak")
    assert none.err.startswith(f"the stages of run {run} printed nothing that matches (")
    assert (unknown.code, unknown.help) == (2, "did you mean 'speaks'?")
    assert {line["job"] for line in spoken} == {job["job"] for job in failed if job["stage"] == "speaks"}

    at_stage = cli("failures", "--stage", "fails", "--json"), cli("failures", "--stage", "fails")
    assert [json.loads(line)["stage"] for line in at_stage[0].out.splitlines()] == ["fails", "fails"]
    assert "failed at fails" in at_stage[1].out
    assert "speaks" not in at_stage[1].out

    follower = started(cli.start("logs", "-f", "-n", "1", "--stage", "speaks"))
    assert follower.stdout is not None
    assert follower.stdout.readline()  # what there was; the rest comes later
    cli("retry", "--stage", "speaks", "--workers", "1")
    spoken_later = (line.split(": ", 1)[1] for line in follower.stdout if ": again" in line)
    assert {next(spoken_later), next(spoken_later)} == {"again doc-0\n", "again doc-1\n"}
    assert follower.poll() is None
    # Who rotates logs empties the file, or puts another in its place; what is half written is not lost.
    file = Path(cli.environment["OAFLOW_HOME"]) / "logs" / f"{run}.jsonl"
    line = json.dumps({"stage": "speaks", "text": "again after"}) + "\n"
    file.write_text("")
    time.sleep(1)
    file.write_text(line)
    assert next(spoken_later) == "again after\n"
    file.rename(file.with_suffix(".1"))
    file.write_text(line[:20])
    halves = started(cli.start("logs", "-f", "--stage", "speaks"))
    time.sleep(1)
    with file.open("a") as handle:
        handle.write(line[20:])
    assert next(spoken_later) == "again after\n"
    assert halves.stdout is not None
    assert halves.stdout.readline().endswith(": again after\n")
    # Nobody reads any more, and nothing comes.
    halves.stdout.close()
    assert halves.wait(30) == 0

    (listed,) = [json.loads(line) for line in cli("status", "--all", "--json").out.splitlines()]
    assert listed == {"run": run, "pipeline": "told", "dataset": "demo", "state": "finished"}
    assert run in cli("status", "--all").out


def test_what_came_on_a_port_that_the_plan_does_not_wire_is_not_told_to_be_sent_again(cli: Command) -> None:
    (cli.folder / "wires.py").write_text(
        "from oaflow import DatasetJob, Out, stage\n\n@stage\n"
        "def astray(job: DatasetJob):\n    return Out('adrift', job)\n"
    )
    stages = {
        "source": {"with": {"count": 1}, "next": ["astray", "rejects"]},
        "astray": {"task": "wires.astray", "next": "end"},
        "rejects": {},
        "end": {},
    }
    file = cli.folder / cli.pipeline("ports", stages)
    file.write_text(file.read_text().replace("stages_for_tests.wires", "wires"))
    ran = cli("run", file.name, *RUN)
    assert ran.code == 1
    run = cli("status", "--json").json["run"]
    astray = next(
        one for one in map(json.loads, cli("failures", "--json").out.splitlines()) if one["stage"] == "astray"
    )

    all, one = cli("failures"), cli("failures", "--stage", "astray")

    assert "  anew: oaflow run ports.yml -d demo\n" in all.out
    assert all.out.count("  again: oaflow retry ") == 1
    assert "send all of them again" not in all.err
    look = f"look at one of them: oaflow retry {astray['job']} --here\n"
    assert one.err == f"start again, once the pipeline is fixed: oaflow run ports.yml -d demo\n{look}"
    assert f"  oaflow failures {run}\n  oaflow retry {run}\n  oaflow run ports.yml -d demo\n" in ran.out


def test_failures_are_told_by_cause_and_each_cause_is_sent_again_by_itself(cli: Command) -> None:
    stages = {
        "source": {"with": {"count": 2}, "next": ["speaks", "rejects"]},
        "speaks": {"with": {"marker": str(cli.folder / "marker")}, "next": "end"},
        "rejects": {},
        "end": {},
    }
    assert cli("run", cli.pipeline("causes", stages), *RUN).code == 1
    failed = [json.loads(line) for line in cli("failures", "--json").out.splitlines()]
    causes = {job["stage"]: job["fingerprint"] for job in failed}
    run = failed[0]["run"]

    shown, only = cli("failures"), cli("failures", "--cause", causes["speaks"])

    for stage, cause in causes.items():
        assert f"  cause {cause}, " in shown.out
        assert f", in stages_for_tests:{stage}\n" in shown.out
        assert f"  again: oaflow retry {run} --cause {cause}\n" in shown.out
    jobs = {job["stage"]: str(job["job"]) for job in reversed(failed)}
    look = f"look at one of them: oaflow retry {jobs['speaks']} --here\n"
    assert shown.err.startswith(f"send all of them again: oaflow retry {run}\nlook at one of them: oaflow retry ")
    assert only.out.count("cause ") == 1
    assert "2 failed at speaks: ValueError: not yet" in only.out
    assert only.err == f"send them again: oaflow retry {run}\n{look}"
    for command in ("failures", "retry"):
        refused = cli(command, "--cause", causes["speaks"][:-1])
        assert (refused.code, refused.help) == (2, f"did you mean {causes['speaks']!r}?")
    again = cli("retry", "--cause", causes["speaks"], "--workers", "1", "--json")
    assert (again.code, again.json["stages"]["end"]["done"]) == (1, 2)
    assert [json.loads(line)["stage"] for line in cli("failures", "--json").out.splitlines()] == ["rejects"] * 2


def test_a_stage_that_names_other_queues_is_warned_of_once_in_a_run(cli: Command) -> None:
    stages = {"source": {"with": {"count": 4}, "next": "strays"}, "strays": {"next": "end"}, "end": {}}
    name = cli.pipeline("strays", stages)

    for dataset in ("one", "two"):
        result = cli("run", name, "-d", dataset, "--workers", "1", "--json")

        assert result.code == 0, result.err
        assert result.json["stages"]["end"]["done"] == 4  # the plan decides
        lines = [json.loads(line) for line in cli("logs", "-n", "0", "--json").out.splitlines()]
        (warning,) = [line for line in lines if line["stream"] == "warning"]
        assert warning["stage"] == "strays"
        assert "returned a job for queue 'for-doc-" in warning["text"]
        assert "in a pipeline the plan decides" in warning["text"]


@pytest.mark.parametrize(("most", "carried"), [("0", ""), ("16000", "name")])
def test_entities_above_the_size_that_is_set_travel_as_stubs_from_the_first_job_on(
    cli: Command, most: str, carried: str
) -> None:
    out = cli.folder / "seen"
    stages = {"one": {"task": "sees", "with": {"out": str(out)}, "next": "two"}, "two": {"task": "sees"}}
    stages["two"]["with"] = {"out": str(out)}

    result = cli("run", cli.pipeline("sizes", stages), *RUN, "-i", people(cli, 1), env={"OAFLOW_JOB_BYTES": most})

    assert result.code == 0, result.err
    assert out.read_text() == f"p0 {carried}\n" * 2
    if most == "0":
        valid(cli, 1)


def valid(cli: Command, number: int) -> None:
    """
    followthemoney's own program reads what `entities` writes, and finds nothing wrong.
    """
    written = cli("entities", "-d", "demo")
    assert written.code == 0, written.err
    ftm = Path(sys.executable).parent / "ftm"
    read = subprocess.run(
        [ftm, "validate"], input=written.out, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert read.returncode == 0, read.stderr
    entities = [json.loads(line) for line in read.stdout.splitlines()]
    assert len(entities) == number
    assert {entity["properties"]["name"][0] for entity in entities} == {f"Person {n}" for n in range(number)}
