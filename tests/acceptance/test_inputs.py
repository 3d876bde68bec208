"""
What a run works on: params from the file, the environment and the last run, several starts, and the sample documents.
"""

import json
import subprocess
import zipfile
from collections.abc import Callable

from oaflow.operations.programs import package_pipelines
from tests.acceptance.conftest import PATIENCE, Command

WORKER = ("--workers", "1")


def test_a_run_has_several_starts_a_path_beside_its_file_and_a_param_from_the_environment(cli: Command) -> None:
    place = cli.folder / "below"
    place.mkdir()
    options = {"out": "${params.out}", "text": "${params.word}"}
    stages = {name: {"task": "stages_for_tests.writes", "with": options} for name in ("one", "two")}
    params = {"out": {"type": "path", "default": "noted.txt"}, "word": {"env": "THE_WORD", "default": "none"}}
    pipeline = {"pipeline": "starts", "params": params, "start": ["one", "two"], "stages": stages}
    (place / "starts.yml").write_text(json.dumps(pipeline))

    result = cli("run", "below/starts.yml", "-d", "demo", *WORKER, "--json", env={"THE_WORD": "heard"})

    assert result.code == 0, result.err
    assert [stage["done"] for stage in result.json["stages"].values()] == [1, 1]
    assert (place / "noted.txt").read_text() == "heard\nheard\n"
    assert not (cli.folder / "noted.txt").exists()


def test_ingest_takes_the_folders_of_the_last_run_and_the_samples_for_a_new_dataset_only(cli: Command) -> None:
    place = cli.folder / "papers"
    place.mkdir()
    (place / "note.txt").write_text("a heron stood in the shallows")
    assert cli("run", "ingest", "-d", "papers", str(place), *WORKER).code == 0

    again = cli("run", "ingest", "-d", "papers", *WORKER)
    receipt = cli("receipt", "--json").json
    fresh = cli("run", "ingest", "-d", "fresh", "--first", "1", *WORKER)

    assert again.code == 0, again.err
    assert f"source: {place}, as in the dataset's last run" in again.err
    assert "sample documents" not in again.err
    assert receipt["found"] == 1
    assert fresh.code == 0, fresh.err
    assert "no source was given: using oaflow's own sample documents" in fresh.err
    assert "examples/documents" in fresh.err or "samples" in fresh.err


def test_a_folder_that_was_moved_is_told_and_what_lay_in_the_former_place_can_be_taken_out(cli: Command) -> None:
    before, after = cli.folder / "the papers", cli.folder / "papers of 2024"
    before.mkdir()
    (before / "note.txt").write_text("a heron stood in the shallows")
    assert cli("run", "ingest", "-d", "papers", str(before), *WORKER).code == 0
    before.rename(after)

    forgotten = cli("run", "ingest", "-d", "papers", *WORKER)
    moved = cli("run", "ingest", "-d", "papers", str(after), *WORKER)
    twice = cli("search", "heron", "-d", "papers", "--json").out.splitlines()
    before.mkdir()
    emptied = cli("run", "ingest", "-d", "papers", str(before), "--prune", *WORKER)
    once = cli("search", "heron", "-d", "papers", "--json").out.splitlines()

    assert forgotten.code == 2
    assert forgotten.error == f"source: {before}, which the dataset's last run had, no longer exists"
    assert forgotten.help.endswith("oaflow run ingest -d papers SOURCE...")
    assert f"{before}, which the dataset's last run had, is not there any more; its documents stay" in moved.err
    assert "make an empty folder there and run with --prune" in moved.err
    assert "not there any more" not in emptied.err
    assert (moved.code, emptied.code, len(twice), len(once)) == (0, 0, 2, 1)


def test_the_reasons_for_which_documents_ran_add_up_to_those_that_ran(cli: Command) -> None:
    place = cli.folder / "papers"
    place.mkdir()
    (place / "note.txt").write_text("a heron")
    (place / "kept.txt").write_text("a stork")
    (place / "link.txt").symlink_to("/etc/hostname")
    with zipfile.ZipFile(place / "papers.zip", "w") as papers:
        papers.writestr("one.txt", "an egret")
    assert cli("run", "ingest", "-d", "papers", str(place), *WORKER).code == 0
    with zipfile.ZipFile(place / "papers.zip", "a") as papers:
        papers.writestr("two.txt", "a bittern")
    (place / "note.txt").write_text("a crane")

    again = cli("run", "ingest", "-d", "papers", *WORKER)

    lines = [line.strip() for line in again.out.splitlines()]
    assert "6 documents: 4 indexed, 1 unchanged, 1 skipped  ✓ balanced" in lines
    assert [line for line in lines if " ran: " in line] == [
        "2 ran: content changed",
        "2 ran: inside archives and mails that ran",
    ]


def test_a_folder_that_is_not_there_suggests_its_neighbour_or_where_to_look(cli: Command) -> None:
    (cli.folder / "documents").mkdir()

    near = cli("run", "ingest", "-d", "papers", "document", *WORKER)
    deep = cli("run", "ingest", "-d", "papers", "documentz/of 2024/all", *WORKER)
    far = cli("run", "ingest", "-d", "papers", "xyz", *WORKER)

    assert (near.code, deep.code, far.code) == (2, 2, 2)
    assert near.help == deep.help == f"did you mean {str(cli.folder / 'documents')!r}?"
    assert far.help == f"ls {cli.folder}"


def test_a_pipeline_that_is_only_named_as_ingest_is_gets_no_samples(cli: Command) -> None:
    own = package_pipelines()
    assert own is not None
    place = cli.folder / "pipelines"
    place.mkdir()
    (place / "ingest.yml").write_text((own / "ingest.yml").read_text())

    for typed in ("ingest", "pipelines/ingest.yml"):
        result = cli("run", typed, "-d", "fresh", *WORKER)

        assert result.code == 2, result.err
        assert result.error == "pipeline 'ingest' has nothing to work on: no source was given"
        assert result.help == f"oaflow run {typed} -d fresh SOURCE..."
    assert cli("status").error == "there is no run yet"
    everything = cli("status", "--all")
    assert (everything.code, everything.out, everything.err) == (
        0,
        "",
        "there is no run yet: oaflow run PIPELINE -d DATASET\n",
    )


TAGS = """
from oaflow import DatasetJob, stage

@stage
def tag(job: DatasetJob) -> None:
    with job.get_writer() as writer:
        for entity in job.get_entities():
            writer.add({"id": entity.id, "schema": "Person", "properties": {"country": ["de"]}})
"""


def test_what_a_stage_named_input_says_of_entities_stands_beside_what_came_in(cli: Command) -> None:
    (cli.folder / "tags.py").write_text(TAGS)
    # With the mark that some programs begin a file with.
    (cli.folder / "in.json").write_text(
        json.dumps({"id": "a", "schema": "Person", "properties": {"name": ["Ada"]}}), encoding="utf-8-sig"
    )
    (cli.folder / "tags.yml").write_text("pipeline: tags\nstages: {input: {task: tags.tag}}\n")

    result = cli("run", "tags.yml", "-d", "demo", "-i", "in.json", *WORKER)

    assert result.code == 0, result.err
    (entity,) = map(json.loads, cli("entities", "-d", "demo").out.splitlines())
    assert entity["properties"] == {"country": ["de"], "name": ["Ada"]}


def test_of_a_pipe_no_more_is_waited_for_than_the_first_entities(
    cli: Command, started: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    name = cli.pipeline("one", {"end": {}})
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    arguments = ("run", name, "-d", "demo", "-i", "-", "--first", "2", "--json", *WORKER)
    running = started(cli.with_streams(arguments, **streams))
    assert running.stdin is not None
    assert running.stdout is not None

    running.stdin.writelines(f'{{"id": "{number}", "schema": "Person", "properties": {{}}}}\n' for number in range(2))
    running.stdin.flush()

    assert running.wait(PATIENCE) == 0
    assert json.loads(running.stdout.read())["state"] == "finished"


def test_what_is_to_be_typed_for_a_pipeline_or_a_folder_with_a_blank_in_its_name_is_quoted(cli: Command) -> None:
    (cli.folder / "two words").mkdir()
    stages = {"first": {"task": "stages_for_tests.end"}}
    params = {"source": {"type": "path", "positional": True, "remember": True}}
    (cli.folder / "my own.yml").write_text(json.dumps({"pipeline": "own", "params": params, "stages": stages}))

    nothing = cli("run", "my own.yml", "-d", "demo", *WORKER)
    assert cli("run", "my own.yml", "-d", "demo", "two words", *WORKER).code == 0
    (cli.folder / "two words").rmdir()
    gone = cli("run", "my own.yml", "-d", "demo", *WORKER)
    (cli.folder / "my own.yml").write_text(json.dumps({"pipeline": "own", "stages": stages, "nothing": 1}))
    wrong = cli("run", "my own.yml", "-d", "demo")

    assert nothing.help == "oaflow run 'my own.yml' -d demo SOURCE..."
    assert gone.help == "put it back, or name what to read: oaflow run 'my own.yml' -d demo SOURCE..."
    assert wrong.help == "oaflow check 'my own.yml'"
