"""
`resume` and `retry`, typed in another folder than the one that the run was started in.
"""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import INSTALLED, PATIENCE, Command

Started = Callable[[Any], Any]
Until = Callable[[Callable[[], Any]], Any]

# Beside the pipeline file, in a folder that nothing else names; `helps` lies in the folder that the run is started in.
STAGES = """
import time
from pathlib import Path
from helps import entity
from oaflow import DatasetJob, stage

@stage
def begin(job: DatasetJob):
    return [job.with_entities([entity(n)], n=n) for n in range(12)]

@stage
def work(job: DatasetJob, *, out: str) -> None:
    time.sleep(1.0 if (Path(out) / "slow").exists() else 0.0)
    with (Path(out) / "log").open("a") as file:
        file.write(f"{job.context['n']}\\n")

@stage
def fails(job: DatasetJob, *, out: str) -> None:
    if not (Path(out) / "mended").exists():
        raise ValueError("not yet")
"""

HELPS = """
def entity(n):
    return {"id": f"e{n}", "schema": "Thing", "properties": {}}
"""


@pytest.fixture
def project(cli: Command) -> Command:
    """
    A folder with a pipeline in a folder below it.
    """
    place = cli.folder / "project"
    (place / "wiring").mkdir(parents=True)
    (place / "wiring" / "beside.py").write_text(STAGES)
    (place / "helps.py").write_text(HELPS)
    return cli.at(place)


@pytest.fixture
def elsewhere(cli: Command) -> Command:
    place = cli.folder / "elsewhere"
    place.mkdir()
    return cli.at(place)


def pipeline(project: Command, last: dict[str, Any]) -> str:
    stages = {"begin": {"task": "beside.begin", "next": "last"}, "last": last}
    (project.folder / "wiring" / "far.yml").write_text(
        json.dumps({"pipeline": "far", "params": {"out": {"type": "path", "required": True}}, "stages": stages})
    )
    return "wiring/far.yml"


def interrupted(project: Command, started: Started, until: Until) -> tuple[str, Path]:
    """
    A run that SIGTERM interrupted while it worked; the second is the file that its jobs write to.
    """
    name = pipeline(project, {"task": "beside.work", "with": {"out": "${params.out}"}})
    log, slow = project.folder / "log", project.folder / "slow"
    slow.touch()
    process = started(project.start("run", name, "-d", "x", "--workers", "1", "-p", "out=."))
    until(lambda: log.exists() and len(log.read_text().splitlines()) >= 2)

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130, err
    run = project("status", "--json").json
    assert run["state"] == "interrupted"
    assert f"continue: oaflow resume {run['run']}" in err
    assert len(log.read_text().splitlines()) < 12
    slow.unlink()
    return run["run"], log


def test_a_run_is_resumed_from_any_folder(project: Command, elsewhere: Command, started: Started, until: Until) -> None:
    run, log = interrupted(project, started, until)

    result = elsewhere("resume", run, "--workers", "1", "--json", program=INSTALLED)

    assert result.code == 0, result.err
    assert result.json["state"] == "finished"
    assert sorted(map(int, log.read_text().split())) == list(range(12))


def test_run_goes_on_with_a_run_that_was_started_in_another_folder(
    project: Command, elsewhere: Command, started: Started, until: Until
) -> None:
    _, log = interrupted(project, started, until)
    # What the pipeline has become meanwhile, elsewhere: the run keeps its plan, whose modules are not here.
    (elsewhere.folder / "newer.py").write_text(STAGES.replace("from helps import entity", "entity = None"))
    (elsewhere.folder / "far.yml").write_text(
        (project.folder / "wiring" / "far.yml").read_text().replace("beside.", "newer.")
    )

    result = elsewhere("run", "far.yml", "-d", "x", "--resume", "--workers", "1", "-p", "out=.", program=INSTALLED)

    assert result.code == 0, result.err
    assert sorted(map(int, log.read_text().split())) == list(range(12))


def test_what_failed_is_sent_again_from_any_folder(project: Command, elsewhere: Command) -> None:
    name = pipeline(project, {"task": "beside.fails", "retry": {"max": 0}, "with": {"out": "${params.out}"}})
    failed = project("run", name, "-d", "x", "--workers", "1", "-p", "out=.", "--json")
    assert failed.json["stages"]["last"]["failed"] == 12, failed.err
    (project.folder / "mended").touch()

    result = elsewhere("retry", failed.json["run"], "--workers", "1", "--json", program=INSTALLED)

    assert result.code == 0, result.err
    assert result.json["stages"]["last"]["done"] == 12


def test_a_run_whose_folders_are_gone_says_that_nobody_can_run_its_task(
    project: Command, elsewhere: Command, started: Started, until: Until
) -> None:
    run, log = interrupted(project, started, until)
    before = log.read_text()
    shutil.move(project.folder, elsewhere.folder.parent / "moved")

    process = started(elsewhere.start("resume", run, "--workers", "1"))
    line = next(line for line in iter(process.stderr.readline, "") if "no live worker" in line)

    assert "beside.work" in line
    assert elsewhere("status", run, "--json").json["state"] == "running"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)

    moved = project.at(elsewhere.folder.parent / "moved" / "wiring")
    (moved.folder / "helps.py").write_text(HELPS)
    (project.folder).mkdir()  # where the jobs write, by the param of the run
    (project.folder / "log").write_text(before)

    assert moved("resume", run, "--workers", "1").code == 0
    assert sorted(map(int, log.read_text().split())) == list(range(12))


def test_the_folders_of_a_run_are_kept_with_it(project: Command, database: str) -> None:
    name = pipeline(project, {"task": "beside.work", "with": {"out": "${params.out}"}})

    assert project("run", name, "-d", "x", "--workers", "1", "-p", "out=.").code == 0

    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT folders FROM oaflow.runs").fetchall()
    assert rows == [([str(project.folder), str(project.folder / "wiring")],)]


def test_status_shows_that_a_stage_met_two_versions_of_its_code(
    project: Command, started: Started, until: Until, database: str
) -> None:
    run, log = interrupted(project, started, until)
    before = len(log.read_text().splitlines())
    assert "of its code" not in project("status", run).out
    with (project.folder / "wiring" / "beside.py").open("a") as module:
        module.write("# edited between the two\n")

    result = project("resume", run, "--workers", "1", "--json")

    assert result.code == 0, result.err
    with psycopg.connect(database) as connection:
        met = connection.execute(
            "SELECT stage, version, count(*) FROM oaflow.hops WHERE run = %s AND outcome = 'done'"
            " GROUP BY stage, version ORDER BY min(at)",
            (run,),
        ).fetchall()
    ((begin, first, _), (one, old, some), (other, new, rest)) = met
    assert (begin, one, other) == ("begin", "last", "last")
    assert (first, some, rest) == (old, before, 12 - before)  # begin stands in the same file
    assert old != new
    said = [line for line in " ".join(project("status", run).out.split()).split("stage ") if "of its code" in line]
    assert said == [f"last ran 2 versions of its code: {old} ({some} attempts), {new} ({rest} attempts)"]
