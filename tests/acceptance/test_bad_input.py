"""
Bad input: one clear sentence with the name in it and the next thing to type, the exit code, and no traceback.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import MODULE, Command, Result


def refused(result: Result, code: int, *words: str) -> None:
    assert result.code == code, result.err
    assert "Traceback" not in result.err + result.out
    for word in words:
        assert word in result.err, result.err
    assert result.out == ""


def chain(cli: Command, name: str = "chain", **params: Any) -> str:
    return cli.pipeline(
        name,
        {"source": {"with": {"count": "${params.count}"}, "next": "end"}, "end": {}},
        params={
            "count": {"type": "int", "default": 2},
            "folder": {"type": "path", "positional": True},
            "mode": {"type": "choice", "choices": ["fast", "slow"], "default": "fast"},
            **params,
        },
    )


def test_a_pipeline_that_is_not_there_suggests_one_that_is(offline: Command) -> None:
    result = offline("run", "ingset", "-d", "demo")

    refused(result, 2)
    assert result.error == "no pipeline is named 'ingset'"
    assert result.help == "did you mean 'ingest'?"


def test_a_file_that_is_not_there_suggests_its_neighbour(offline: Command) -> None:
    chain(offline)

    result = offline("run", "chian.yml", "-d", "demo")

    refused(result, 2, "'chian.yml'")
    assert result.help == "did you mean 'chain.yml'?"


def test_a_module_without_a_pipeline_in_it_says_how_that_is_named(offline: Command) -> None:
    result = offline("check", "examples.words")

    refused(result, 2, "no pipeline is named 'examples.words'")
    assert result.help == "a pipeline in Python is named by its module: examples.words:NAME"


def test_a_name_that_lacks_the_ending_of_a_file_suggests_the_file(offline: Command) -> None:
    chain(offline)

    result = offline("check", "chain")

    refused(result, 2)
    assert (result.error, result.help) == ("no pipeline is named 'chain'", "did you mean the file 'chain.yml'?")


def test_a_module_in_place_of_the_pipeline_in_it_is_told(offline: Command) -> None:
    (offline.folder / "letters.py").write_text("")

    result = offline("check", "letters")

    refused(result, 2)
    assert (result.error, result.help) == (
        "'letters' is a module, not a pipeline",
        "name the pipeline in it: letters:NAME",
    )


def test_a_missing_param_is_added_to_what_was_typed(cli: Command) -> None:
    typed = chain(cli, folder={"type": "path", "positional": True, "required": True})

    result = cli("run", typed, "-d", "demo")

    refused(result, 2)
    assert result.error == "param 'folder' of pipeline 'chain' needs a value"
    assert result.help == f"oaflow run {typed} -d demo FOLDER..."


def test_a_folder_is_no_pipeline(offline: Command) -> None:
    (offline.folder / "things").mkdir()
    (offline.folder / "things" / "one.yml").write_text("pipeline: one")

    result = offline("run", "things/", "-d", "demo")

    refused(result, 2, "'things/' is a folder")
    assert "one.yml" in result.help


def test_a_folder_of_documents_in_the_place_of_the_pipeline_is_told_what_takes_it(offline: Command) -> None:
    (offline.folder / "my papers").mkdir()

    result = offline("run", "my papers", "-d", "demo")

    refused(result, 2, "'my papers' is a folder, not a pipeline")
    assert result.help.endswith("to process the documents in it: oaflow run ingest -d DATASET 'my papers'")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"\x00\x01\x02\xff\xfe", "not text"),
        (b"", "nothing"),
        ("pipeline: a\ndescription: für\n".encode("latin-1"), "UTF-8"),
    ],
    ids=["binary", "empty", "latin-1"],
)
def test_a_file_that_is_no_pipeline_says_what_it_is(offline: Command, content: bytes, word: str) -> None:
    (offline.folder / "odd.yml").write_bytes(content)

    result = offline("run", "odd.yml", "-d", "demo")

    refused(result, 2, "odd.yml", word)


@pytest.mark.parametrize("name", ["", "Demo", "my-data", "a b", "ü", "x" * 64, 'a"; DROP TABLE', "../etc"], ids=repr)
def test_a_dataset_name_that_the_store_cannot_hold_is_refused(offline: Command, name: str) -> None:
    result = offline("run", chain(offline), "-d", name)

    refused(result, 2, "dataset")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "cuont=3"], ["no param 'cuont'", "did you mean 'count'?"]),
        (["-p", "count=three"], ["'count'", "'three'", "whole number"]),
        (["-p", "mode=fats"], ["'mode'", "'fats'", "did you mean 'fast'?"]),
        (["-p", "count=1", "-p", "count=2"], ["'count'", "2 times"]),
        (["-p", "count"], ["KEY=VALUE", "'count'"]),
        (["nowhere"], ["folder: there is no file or folder", "nowhere"]),
        (["--at", "ned"], ["no stage is named 'ned'", "did you mean 'end'?"]),
        (["--max-failed", "many"], ["--max-failed is 'many'"]),
        (["-i", "nothing.json"], ["there is no file 'nothing.json'"]),
        (["--first", "0"], ["--first", "greater than or equal to 1"]),
        (["--resume", "--new"], ["exclude each other"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_with_the_command_is_said_before_anything_starts(
    offline: Command, arguments: list[str], words: list[str]
) -> None:
    result = offline("run", chain(offline), "-d", "demo", *arguments)

    refused(result, 2, *words)


def test_a_missing_param_shows_what_to_type(cli: Command) -> None:
    name = chain(cli, token_file={"type": "string", "required": True})

    result = cli("run", name, "-d", "demo")

    refused(result, 2, "'token_file'")
    assert "-p token_file=VALUE" in result.help


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("stages_for_tests.nothing", ["OAF403", "nothing"]),
        ("stages_for_tests.undecorated", ["OAF404", "undecorated"]),
        ("raises_at_import.stage", ["OAF402", "no configuration was found"]),
        ("no_such_module.stage", ["OAF401", "no_such_module"]),
    ],
)
def test_a_stage_function_that_cannot_be_used_is_shown_with_its_place(
    offline: Command, task: str, words: list[str]
) -> None:
    (offline.folder / "p.yml").write_text(f"pipeline: p\nstages:\n  one:\n    task: {task}\n")

    result = offline("run", "p.yml", "-d", "demo")

    refused(result, 2, *words, "p.yml:4:11")


def test_a_run_with_an_external_stage_is_refused_where_nobody_sees_what_its_service_hands_over(cli: Command) -> None:
    (cli.folder / "p.yml").write_text(
        "pipeline: p\nstages:\n  one:\n    task: stages_for_tests.source\n    next: two\n"
        "  two:\n    task: there.translate\n    queue: translate\n    external: true\n"
    )

    result = cli("run", "p.yml", "-d", "demo")

    refused(result, 2, "'two'", "does not see what it hands over", "oaflow db migrate --capture")
    assert cli("status").code == 2  # nothing was started


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a"',
        '["a"]',
        '{"schema": "Document"}',
        '{"id": "a", "schema": "Document", "properties": {"x": ["\\u0000"]}}',
    ],
)
def test_a_line_that_is_no_entity_is_named_by_its_number(cli: Command, line: str) -> None:
    (cli.folder / "in.json").write_text('{"id": "ok", "schema": "Document", "properties": {}}\n\n' + line + "\n")

    result = cli("run", chain(cli), "-d", "demo", "-i", "in.json", "--at", "end", "--workers", "1")

    assert result.code == 2
    assert "line 3 of in.json" in result.error
    assert cli("status", "--json").json["state"] == "cancelled"


@pytest.mark.parametrize("command", ["status", "failures", "receipt", "logs", "resume", "retry", "cancel"])
def test_a_run_that_is_not_there_names_the_latest(cli: Command, command: str) -> None:
    refused(cli(command, "nothing-aaaaaa"), 2, "there is no run 'nothing-aaaaaa'", "help:")


@pytest.mark.parametrize("command", ["status", "failures", "receipt", "logs", "retry"])
def test_without_any_run_it_says_how_to_start_one(cli: Command, command: str) -> None:
    refused(cli(command), 2, "there is no run yet", "oaflow run")


@pytest.mark.parametrize("query", ["*", "?", '""', " ", "-"])
def test_a_search_without_a_word_is_refused_and_not_said_to_find_nothing(cli: Command, query: str) -> None:
    refused(cli("search", query, "-d", "demo"), 2, "there is no word in", "invoi*")


@pytest.mark.parametrize("command", [["search", "x"], ["entities"]])
def test_a_dataset_that_is_not_there_is_named(cli: Command, command: list[str]) -> None:
    refused(cli(*command, "-d", "nothing"), 2, "there is no dataset 'nothing'")


def test_a_database_that_cannot_be_reached_is_named_with_where_its_address_came_from(offline: Command) -> None:
    result = offline("run", chain(offline), "-d", "demo")

    refused(result, 3, "127.0.0.1", "OAFLOW_DB_URI")


def test_a_database_that_is_not_migrated_says_what_to_type(offline: Command, empty_database: str) -> None:
    result = offline("run", chain(offline), "-d", "demo", env={"OAFLOW_DB_URI": empty_database})

    refused(result, 3, "OAFLOW_DB_URI", "oaflow db migrate")


def test_a_data_folder_without_the_right_to_write_is_named(offline: Command, home: Path) -> None:
    home.chmod(0o511)  # the server's account may enter, and nobody may write
    if os.access(home, os.W_OK):
        pytest.skip("root writes everywhere")

    result = offline("run", chain(offline), "-d", "demo", env={"OAFLOW_DB_URI": "", "OAFLOW_HOME": str(home / "in")})

    refused(result, 3, str(home / "in"))


def test_a_data_folder_that_is_a_file_is_named(offline: Command, home: Path) -> None:
    taken = home.parent / f"{home.name}-taken"  # where the server's account may enter; the test's own folder is closed
    taken.write_text("")

    result = offline("run", chain(offline), "-d", "demo", env={"OAFLOW_DB_URI": "", "OAFLOW_HOME": str(taken)})

    refused(result, 3, str(taken))


def test_a_setting_that_is_no_number_is_named(offline: Command) -> None:
    result = offline("status", env={"OAFLOW_EXECUTORS": "many"})

    refused(result, 3, "OAFLOW_EXECUTORS", "'many'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], ["no such command 'runn'\n", "help:  did you mean 'run' or "]),
        (["runs"], ["no such command 'runs'\n", "help:  oaflow status --all"]),
        (["ingest"], ["no such command 'ingest'\n", "help:  oaflow run ingest -d DATASET"]),
        (["help", "run"], ["no such command 'help'\n", "help:  oaflow run --help"]),
        (["help", "nothing"], ["no such command 'help'\n", "help:  oaflow --help"]),
        (["db", "migrte"], ["help:  did you mean 'migrate'?"]),
        (["run"], ["'PIPELINE'", "oaflow run PIPELINE -d DATASET [INPUT...]   # oaflow run --help"]),
        (
            ["run", "my ingest"],
            ["'--dataset' / '-d'", "help:  oaflow run 'my ingest' -d DATASET   # oaflow run --help"],
        ),
        (["run", "--new"], ["'PIPELINE'", "help:  oaflow run --new PIPELINE -d DATASET   # oaflow run --help"]),
        (["run", "-dx"], ["'PIPELINE'", "help:  oaflow run -dx PIPELINE   # oaflow run --help"]),
        (["plan", "--diff", "b.yml"], ["'PIPELINE'", "oaflow plan --diff b.yml PIPELINE   # oaflow plan --help"]),
        (["webhook", "add"], ["'URL'", "oaflow webhook add URL   # oaflow webhook add --help"]),
        (["run", "ingest", "--datset", "d"], ["no such option: --datset\n", "help:  did you mean '--dataset'?"]),
        (["run", "ingest", "--count", "5"], ["no such option: --count\n", "with -p count=VALUE   (oaflow run --help)"]),
        (["status", "--zzzzz"], ["no such option: --zzzzz\n", "help:  oaflow status --help"]),
        (["status", "-z"], ["no such option: -z\n", "help:  oaflow status --help"]),
        (["check", "ingest", "-f", "xml"], ["no format 'xml'", "concise"]),
        (["graph", "ingest", "-f", "svg", "--no-such"], ["--no-such"]),
        (["explain", "OAF999"], ["'OAF999'"]),
        (["receipt", "--list", "faild"], ["no line 'faild'", "did you mean 'failed'?"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_command_that_is_mistyped_says_so_in_a_sentence(
    offline: Command, arguments: list[str], words: list[str]
) -> None:
    result = offline(*arguments)

    assert result.code == 2
    assert "Traceback" not in result.err
    for word in words:
        assert word.lower() in result.err.lower()


def test_debug_shows_where_an_error_came_from(offline: Command) -> None:
    result = offline("run", "ingset", "-d", "demo", "--debug", program=MODULE)

    assert "Traceback" in result.err
