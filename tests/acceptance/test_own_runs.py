"""
The workers of a command work on its own run; what a stage defers by hand is no job of the run.
"""

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import PATIENCE, Command
from tests.acceptance.test_commands import terminal

STAGES = """
from pathlib import Path
from oaflow import DatasetJob, stage

@stage
def begin(job: DatasetJob):
    return [job.with_entities([{"id": f"e{n}", "schema": "Thing", "properties": {}}], n=n) for n in range(20)]

@stage
def work(job: DatasetJob, *, out: str) -> None:
    with (Path(out) / f"{job.dataset}.txt").open("a") as file:
        file.write("WHO\\n")

@stage
def by_hand(job: DatasetJob):
    job.model_copy(update={"queue": "elsewhere", "task": "other.task"}).defer()
    return job
"""

PIPELINE = {
    "pipeline": "own",
    "params": {"out": {"type": "path", "required": True}},
    "stages": {
        "begin": {"task": "mine.begin", "next": "work"},
        "work": {"task": "mine.work", "with": {"out": "${params.out}"}},
    },
}


def folder(cli: Command, name: str, pipeline: dict[str, Any] = PIPELINE) -> Command:
    place = cli.folder / name
    place.mkdir()
    (place / "mine.py").write_text(STAGES.replace("WHO", name))
    (place / "own.yml").write_text(json.dumps(pipeline))
    return cli.at(place)


@pytest.mark.parametrize("prepared", [False, True])
def test_no_job_of_a_run_is_done_by_the_code_of_another_ones_folder(
    cli: Command, started: Callable[[Any], Any], tmp_path: Path, prepared: bool
) -> None:
    if prepared:  # where the data folder is there, workers are started before the run has an id, and hear it later
        (cli.folder / "home" / "logs").mkdir(parents=True)
    options = ["own.yml", "--workers", "1", "-p", f"out={tmp_path}", "-d"]
    both = [started(folder(cli, name).start("run", *options, name)) for name in ("one", "two")]

    for process in both:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
    for name in ("one", "two"):
        assert (tmp_path / f"{name}.txt").read_text().split() == [name] * 20


def test_a_job_that_a_stage_defers_by_hand_does_not_count_and_the_run_ends(cli: Command, database: str) -> None:
    stages = {"begin": {"task": "mine.begin", "next": "by_hand"}, "by_hand": {"task": "mine.by_hand"}}
    there = folder(cli, "one", {"pipeline": "own", "stages": stages})

    result = there("run", "own.yml", "-d", "x", "--workers", "1", "--json")

    assert result.code == 0, result.err
    assert result.json["stages"]["by_hand"]["done"] == 20
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT args FROM procrastinate_jobs WHERE queue_name = 'elsewhere'").fetchall()
    assert len(rows) == 20
    assert all("oaflow" not in json.dumps(args) and "batch" not in args for (args,) in rows)


ENTITY = json.dumps({"id": "e", "schema": "Thing", "properties": {}}) + "\n"


def runs(database: str) -> list[tuple[str, bool, str]]:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT id, sealed, state FROM oaflow.runs ORDER BY created_at").fetchall()


def test_what_a_cancelled_run_was_for_is_done_by_the_command_that_is_named_wherever_one_stands(cli: Command) -> None:
    declared = (
        "# what it is for\n'pipeline': fails  # a name that its file has not\nstages:\n  begin: {task: fails.begin}\n"
    )
    for place in ("a, b & c's", "elsewhere"):
        (cli.folder / place).mkdir()
    there, elsewhere = cli.at(cli.folder / "a, b & c's"), cli.at(cli.folder / "elsewhere")
    (there.folder / "other.yml").write_text("pipeline: fails-not\nstages: {begin: {task: fails.begin}}\n")
    (there.folder / "some.yml").write_text(declared)
    (there.folder / "fails.py").write_text(
        "from oaflow import Job, stage\n\n@stage(retry=0)\ndef begin(job: Job) -> None:\n    assert False\n"
    )
    ended = there("run", "some.yml", "-d", "x", "--workers", "1", "--stop-after", "1")
    run = there("status", "--json").json["run"]
    assert ended.code == 1
    assert "\n  oaflow run some.yml -d x\n" in ended.out
    (there.folder / "fails.py").write_text(
        "from oaflow import DatasetJob, stage\n\n@stage\ndef begin(job: DatasetJob) -> None: ...\n"
    )

    for command in (("retry",), ("resume",), ("rerun", "--yes", "--stage", "begin")):
        refused = elsewhere(*command, *(() if command[0] == "rerun" else (run,)))

        assert refused.code == 2
        words = shlex.split(refused.help.partition("   ")[0])
        assert words == ["oaflow", "run", str(there.folder / "some.yml"), "-d", "x"]
    assert elsewhere(*words[1:], "--workers", "1").code == 0


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_that_is_killed_while_it_reads_its_input_cannot_be_resumed_but_begun_anew(
    cli: Command, database: str, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any], asked: bool
) -> None:
    there = folder(cli, "one")
    given = ["-d", "x", "--workers", "1", "-p", f"out={cli.folder}"]
    running = started(
        there.with_streams(
            ("run", "own.yml", "-i", "-", *given),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    )
    running.stdin.write(ENTITY)
    running.stdin.flush()
    (cut,) = until(lambda: runs(database))
    # While it reads, the run continues, and is nobody else's.
    assert there("status", "--json").json["state"] == "running"
    other = there("resume", cut[0])
    assert (other.code, other.help) == (2, f"oaflow status {cut[0]}")
    assert "is still reading its input" in other.error
    running.kill()
    running.wait()
    until(lambda: there("status", "--json").json["state"] == "interrupted")  # when the server has seen that it is gone

    shown = there("status")
    assert "before it had read its input to the end" in shown.out
    assert "help:  oaflow run own.yml -d x -i FILE --new" in shown.out
    assert "resume" not in shown.out
    assert "interrupted" in there("status", "--all").out
    assert "help: oaflow run own.yml -d x -i FILE --new" in there("doctor").out
    for command in ("resume", "retry"):
        result = there(command, cut[0])

        assert result.code == 2
        assert "was not read to the end" in result.error
        assert result.help == "oaflow run own.yml -d x -i FILE --new"

    unsaid = there("run", "own.yml", "-i", "-", *given)
    assert unsaid.code == 2
    assert unsaid.help.startswith("add --new")
    assert "--resume" not in unsaid.help

    (there.folder / "entities.jsonl").write_text(ENTITY)
    anew = ["run", "own.yml", "-i", "entities.jsonl", *given]
    if asked:
        code, seen = terminal(there, *anew, answer="y", question=b"start a new run?")
    else:
        code, seen = (again := there(*anew, "--new")).code, again.err

    assert code == 0, seen
    assert [(sealed, state) for _, sealed, state in runs(database)] == [(False, "cancelled"), (True, "finished")]


def test_a_run_whose_connection_is_cut_with_its_first_jobs_leaves_nothing(cli: Command, database: str) -> None:
    there = folder(cli, "one")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
        connection.execute("CREATE TRIGGER cut BEFORE INSERT ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION cut()")

    result = there("run", "own.yml", "-d", "x", "--workers", "1", "-p", f"out={cli.folder}")

    assert result.code == 3
    assert "the connection was lost" in result.error
    assert result.help == "oaflow doctor"
    assert runs(database) == []
