"""
What the author of a stage sees who edits it beside a running worker.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import oaflow
from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import query

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

STAGES = """
import os
import time
from oaflow import Job, stage
from edited_near import WORD

def note(name, job, log):
    with open(log, "a") as out:
        print(f"{name} {job.dataset} {WORD}", file=out)

@stage
async def asks(job: Job, log: str) -> Job:
    note("asks", job, log)
    return job

@stage
def answers(job: Job, log: str, gate: str) -> None:
    note("answers", job, log)
    while not os.path.exists(gate):
        time.sleep(0.05)
"""

# Of another size: within one second Python takes what it has compiled of a file of the same size for that of this one.
NEW = "WORD = 'new'  # edited\n"


@pytest.fixture
def edited(cli: Command) -> Command:
    """
    Two stages, of which one is async, with a helper that can be edited; and a run that waits for a gate.
    """
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.5", "OAFLOW_EXECUTORS": "1"}
    (cli.folder / "edited_stages.py").write_text(STAGES)
    (cli.folder / "edited_near.py").write_text("WORD = 'old'\n")
    log = {"log": str(cli.folder / "noted")}
    stages = {
        "ask": {"task": "edited_stages.asks", "with": log, "next": "answer"},
        "answer": {"task": "edited_stages.answers", "with": log | {"gate": str(cli.folder / "gate")}},
    }
    (cli.folder / "edited.yml").write_text(json.dumps({"pipeline": "edited", "stages": stages}))
    (cli.folder / "in.json").write_text('{"id": "a", "schema": "Person", "properties": {"name": ["A"]}}\n')
    return cli


def noted(cli: Command) -> list[str]:
    path = cli.folder / "noted"
    return path.read_text().splitlines() if path.exists() else []


def runs(cli: Command, dataset: str) -> str:
    """
    A run that goes on until there is a gate.
    """
    said = cli("run", "edited.yml", "-d", dataset, "-i", "in.json", "--workers", "0", "--detach", "--json")
    assert said.code == 0, said.err
    return said.json["run"]


def test_whoever_looks_is_told_that_a_worker_has_old_code_and_what_is_to_be_typed_brings_the_new_one(
    edited: Command, started: Started, until: Until
) -> None:
    with (edited.folder / "err").open("w") as err:
        worker = started(
            edited.with_streams(("worker",), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, text=True)
        )
    run = runs(edited, "one")
    until(lambda: noted(edited) == ["asks one old", "answers one old"])
    assert edited("status", run, "--json").json["old_code"] == []
    near = edited.folder / "edited_near.py"
    near.write_text(NEW)

    status = until(lambda: found if (found := edited("status", run, "--json").json["old_code"]) else None)
    (one,) = status
    pid, tasks = one["pid"], ["edited_stages.answers", "edited_stages.asks"]
    says = f"runs the old code of {', '.join(tasks)}: {near} has changed since it loaded it"
    types = f"kill {pid}   # it ends what it has in hand, and another takes its place"
    assert one["text"] == f"worker {one['worker']} on {one['host']} (pid {pid}) {says}"
    assert one["help"] == types
    shown = " ".join(edited("status", run).out.split())
    assert f"{one['text']} help: {' '.join(types.split())}" in shown
    (found,) = [one for one in map(json.loads, edited("doctor", "--json").out.splitlines()) if one["what"] == "worker"]
    assert (found["level"], found["help"]) == ("note", types)
    assert found["text"].endswith(f"; it {says}")
    with edited.start("status", "--watch", "--json") as watching:
        assert watching.stdout is not None
        (known,) = json.loads(watching.stdout.readline())["workers"]
        watching.send_signal(signal.SIGTERM)
    assert (known["stale"], known["restart"]) == (dict.fromkeys(tasks, str(near)), types)
    terminal = (edited.folder / "err").read_text()
    text = f"{near} has changed since this worker loaded it: tasks {' and '.join(tasks)} go on with the old code"
    assert f"worker process {pid}: {text}\nhelp:  {types}\n" in terminal
    (log,) = (edited.folder / "home" / "logs").glob("worker-*.log")
    assert f"{text}; restart it: {types}" in log.read_text()

    query(edited, "UPDATE oaflow.workers SET program = 'oaflow 9.9', stale = '{}' RETURNING id")
    (found,) = [one for one in map(json.loads, edited("doctor", "--json").out.splitlines()) if one["what"] == "worker"]
    assert f"; it is oaflow 9.9, and this is oaflow {oaflow.__version__}" in found["text"]
    assert (found["level"], found["help"].partition("   # ")[0]) == ("note", f"kill {pid}")

    os.kill(pid, signal.SIGTERM)  # as it says
    (edited.folder / "gate").touch()
    until(lambda: query(edited, "SELECT 1 FROM oaflow.workers WHERE pid <> %s AND stale = '{}'", pid))
    until(lambda: edited("status", run, "--json").json["state"] == "finished")
    second = runs(edited, "two")
    until(lambda: edited("status", second, "--json").json["state"] == "finished")

    assert noted(edited) == ["asks one old", "answers one old", "asks two new", "answers two new"]
    assert query(edited, "SELECT count(*) FROM oaflow.charges") == [(0,)]
    assert worker.poll() is None
    assert (edited.folder / "err").read_text().count("has changed") == 1


def test_procrastinates_own_worker_says_it_in_its_log(edited: Command, started: Started, until: Until) -> None:
    edited.environment["PYTHONPATH"] += os.pathsep + str(edited.folder)
    edited.environment["PROCRASTINATE_APP"] = "oaflow.app"
    with (edited.folder / "err").open("w") as err:
        started(
            subprocess.Popen(
                [sys.executable, "-m", "procrastinate", "worker"],
                cwd=edited.folder, env=edited.environment, stdin=subprocess.DEVNULL, stderr=err, text=True,
            )
        )  # fmt: skip
    run = runs(edited, "one")
    until(lambda: len(noted(edited)) == 2)
    (edited.folder / "edited_near.py").write_text(NEW)

    until(lambda: edited("status", run, "--json").json["old_code"])

    log = until(lambda: said if "has changed" in (said := (edited.folder / "err").read_text()) else None)
    assert "go on with the old code; restart it: end this worker, and start it again" in log
    (edited.folder / "gate").touch()
    until(lambda: edited("status", run, "--json").json["state"] == "finished")


def test_what_follows_a_detached_run_says_it_in_its_log_and_another_worker_takes_over(
    edited: Command, until: Until
) -> None:
    said = edited("run", "edited.yml", "-d", "one", "-i", "in.json", "--workers", "1", "--detach", "--json").json
    until(lambda: len(noted(edited)) == 2)
    (edited.folder / "edited_near.py").write_text(NEW)

    log = Path(said["log"])
    found = until(
        lambda: re.search(r"worker process (\d+): .*go on with the old code\nhelp: +kill \1", log.read_text())
    )

    os.kill(int(found[1]), signal.SIGTERM)
    until(lambda: query(edited, "SELECT 1 FROM oaflow.workers WHERE pid <> %s", int(found[1])))
    (edited.folder / "gate").touch()
    until(lambda: edited("status", said["run"], "--json").json["state"] == "finished")


def test_a_module_that_is_mended_beside_a_worker_is_tried_again(
    edited: Command, started: Started, until: Until
) -> None:
    (edited.folder / "gate").touch()
    run = runs(edited, "one")
    (edited.folder / "edited_near.py").write_text("WORD = 'old\n")
    started(edited.start("worker"))
    lacks = "SELECT 1 FROM oaflow.workers WHERE lacks ->> 'edited_stages.asks' LIKE %s"
    until(lambda: query(edited, lacks, "%SyntaxError%"))

    (edited.folder / "edited_near.py").write_text("WORD = 'mended'\n")

    until(lambda: edited("status", run, "--json").json["state"] == "finished")
    assert noted(edited) == ["asks one mended", "answers one mended"]


@pytest.mark.parametrize("word", ["", "async "])
def test_a_function_that_is_written_into_a_module_that_a_worker_has_loaded_needs_a_restart_and_fails_no_job(
    edited: Command, started: Started, until: Until, word: str
) -> None:
    started(edited.start("worker"))
    (edited.folder / "gate").touch()
    first = runs(edited, "one")
    until(lambda: edited("status", first, "--json").json["state"] == "finished")
    new = f"\n@stage\n{word}def more(job: Job, log: str) -> None:\n    note('more', job, log)\n"
    (edited.folder / "edited_stages.py").write_text(STAGES + new)
    stages = json.loads((edited.folder / "edited.yml").read_text())
    stages["stages"]["more"] = {"task": "edited_stages.more", "with": {"log": str(edited.folder / "noted")}}
    stages["stages"]["ask"]["next"] = "more"
    del stages["stages"]["answer"]
    (edited.folder / "edited.yml").write_text(json.dumps(stages))
    ((pid,),) = query(edited, "SELECT pid FROM oaflow.workers")

    second = runs(edited, "two")

    lacks = "SELECT lacks ->> 'edited_stages.more' FROM oaflow.workers WHERE lacks ? 'edited_stages.more'"
    ((reason,),) = until(lambda: query(edited, lacks))
    assert "module 'edited_stages' has no function 'more'; this worker loaded the module before it changed" in reason
    assert f"kill {pid}" in reason
    os.kill(pid, signal.SIGTERM)
    until(lambda: edited("status", second, "--json").json["state"] == "finished")
    assert noted(edited)[-1] == "more two old"
    assert query(edited, "SELECT count(*) FROM oaflow.hops WHERE outcome = 'failed'") == [(0,)]


def test_a_function_that_is_written_into_a_module_of_async_stages_alone_needs_a_restart_and_fails_no_job(
    edited: Command, started: Started, until: Until
) -> None:
    started(edited.start("worker"))
    (edited.folder / "asking.py").write_text(STAGES.partition("@stage\ndef")[0])
    stages = {"ask": {"task": "asking.asks", "with": {"log": str(edited.folder / "noted")}}}
    (edited.folder / "edited.yml").write_text(json.dumps({"pipeline": "edited", "stages": stages}))
    first = runs(edited, "one")
    until(lambda: edited("status", first, "--json").json["state"] == "finished")
    # Of another size: Python takes a file of the same second and size for the one that it compiled.
    (edited.folder / "asking.py").write_text((edited.folder / "asking.py").read_text().replace("asks", "wonders"))
    stages["ask"]["task"] = "asking.wonders"
    (edited.folder / "edited.yml").write_text(json.dumps({"pipeline": "edited", "stages": stages}))
    ((pid,),) = query(edited, "SELECT pid FROM oaflow.workers")

    second = runs(edited, "two")

    lacks = "SELECT lacks ->> 'asking.wonders' FROM oaflow.workers WHERE lacks ? 'asking.wonders'"
    ((reason,),) = until(lambda: query(edited, lacks))
    assert "module 'asking' has no function 'wonders'; this worker loaded the module before it changed" in reason
    os.kill(pid, signal.SIGTERM)
    until(lambda: edited("status", second, "--json").json["state"] == "finished")
    assert noted(edited) == ["asks one old", "wonders two old"]


def worker_with(edited: Command, stages: str) -> subprocess.Popen[str]:
    """
    A worker with other code than that of the run.
    """
    new = edited.folder / "new"
    new.mkdir()
    (new / "edited_stages.py").write_text(stages)
    (new / "edited_near.py").write_text("WORD = 'new'\n")
    worker = ("-c", f"import os, sys; os.chdir({str(new)!r}); from oaflow.cli.main import main; sys.exit(main())")
    return subprocess.Popen(
        [sys.executable, *worker, "worker"], env=edited.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


NEEDS = ("def answers(job: Job, log: str, gate: str)", "def answers(job: Job, log: str, gate: str, lang: str)")


def test_jobs_of_a_plan_that_the_new_code_does_not_suit_are_left_to_workers_with_the_code_that_it_was_made_for(
    edited: Command, started: Started, until: Until
) -> None:
    run = runs(edited, "one")
    started(worker_with(edited, STAGES.replace(*NEEDS)))

    def waits() -> list[dict[str, Any]]:
        return [one for one in edited("status", run, "--json").json["waits"] if one["stage"] == "answer"]

    (one,) = until(waits)
    assert one["why"] == "unserved"
    assert one["reason"] == "its function needs the option 'lang', which the plan of the run does not have"
    assert one["help"].startswith("oaflow worker   # with the code that the run began with")
    assert query(edited, "SELECT status::text, attempts FROM procrastinate_jobs WHERE task_name LIKE '%answers'") == [
        ("todo", 0)
    ]
    assert noted(edited) == ["asks one new"]  # its other stage still suits the run
    (edited.folder / "gate").touch()

    started(edited.start("worker"))

    until(lambda: edited("status", run, "--json").json["state"] == "finished")
    assert noted(edited) == ["asks one new", "answers one old"]
    assert query(edited, "SELECT count(*) FROM oaflow.hops WHERE outcome IN ('failed', 'retried')") == [(0,)]


def test_jobs_of_a_stage_that_has_got_a_new_port_are_left_to_workers_with_the_code_that_the_plan_was_made_for(
    edited: Command, started: Started, until: Until
) -> None:
    run = runs(edited, "one")
    declares = '@stage(ports=("default", "asides"))'
    new = STAGES.replace("import Job, stage", "import Job, Out, stage").replace("@stage\nasync", f"{declares}\nasync")
    started(worker_with(edited, new.replace("return job\n", 'return Out("asides", job)\n').replace("-> Job", "-> Out")))

    def waits() -> list[dict[str, Any]]:
        return edited("status", run, "--json").json["waits"]

    (one,) = until(lambda: [one for one in waits() if one["reason"]])
    assert (one["why"], one["stage"]) == ("unserved", "ask")
    assert one["reason"] == "its function emits on port 'asides', which the plan of the run does not have"
    assert one["help"].startswith("oaflow worker   # with the code that the run began with, or cancel the run")
    found = [json.loads(line) for line in edited("doctor", "--json").out.splitlines()]
    (found,) = [one for one in found if one["what"] == "queue"]
    assert (found["level"], found["help"]) == ("problem", one["help"])
    assert one["reason"] in found["text"]
    assert noted(edited) == []
    (edited.folder / "gate").touch()

    started(edited.start("worker"))

    until(lambda: edited("status", run, "--json").json["state"] == "finished")
    assert sorted(noted(edited)) in (["answers one new", "asks one old"], ["answers one old", "asks one old"])
    assert query(edited, "SELECT count(*) FROM oaflow.hops WHERE outcome IN ('failed', 'retried')") == [(0,)]
