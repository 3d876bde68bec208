"""
`oaflow schema --json-output`: each command that has `--json` is in it, and prints what it says there.
"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import typer

from oaflow.cli.main import app
from oaflow.operations.printing import FORMS, output_schema
from tests.acceptance.conftest import Command
from tests.acceptance.outputs import forms_of

# Printed by tests of their own, whose output every `Command` holds to the schema.
ELSEWHERE = {
    ("run", 1),
    ("resume", 1),
    ("retry", 1),
    ("rerun", 1),
    ("status", 2),
    ("search", 0),
    ("webhook test", 0),
    ("db upgrade", 0),
    ("backup", 0),
    ("restore", 0),
}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
        return
    for name, one in below.items():
        yield from commands(one, (*path, name))


def test_every_command_with_json_is_documented_and_no_other():
    having = {
        name
        for name, command in commands(typer.main.get_command(app))
        if any("--json" in param.opts for param in command.params)
    }

    assert set(FORMS) == having


def test_the_schemas_are_closed_and_each_property_is_described():
    whole = output_schema()

    jsonschema.Draft202012Validator.check_schema(whole)
    shapes = {name: shape for name, shape in whole["$defs"].items() if shape.get("type") == "object"}
    bare = [
        f"{name}.{key}"
        for name, shape in shapes.items()
        for key, schema in shape["properties"].items()
        if schema.get("description", key) == key
    ]
    assert bare == []
    assert [name for name, shape in shapes.items() if "description" not in shape] == []
    # What the history keeps of an error is as the version was that wrote it.
    assert [name for name, shape in shapes.items() if shape.get("additionalProperties") is not False] == ["Error"]


def test_the_schema_of_one_command_stands_alone(offline: Command):
    whole, one = offline("schema", "--json-output").json, offline("schema", "--json-output", "db", "check").json

    assert whole == output_schema()
    assert list(one["commands"]) == ["db check"]
    assert list(one["$defs"]) == ["Checked"]
    jsonschema.validate(
        {
            "postgres": "18.6",
            "migrations": [],
            "indexes_missing": [],
            "captured": False,
            "entity_indexes_missing": [],
        },
        one,
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"postgres": "18.6"}, one)


def test_a_command_without_json_is_named(offline: Command):
    unknown, plain = offline("schema", "--json-output", "statsu"), offline("schema", "status")

    assert (unknown.code, unknown.error) == (2, "no command 'statsu' has --json")
    assert unknown.help == "did you mean 'status'?"
    assert (plain.code, plain.error) == (2, "pipeline files have one schema, whatever the command")
    assert plain.help == "oaflow schema --json-output status   # what it prints"


@pytest.mark.slow
def test_commands_print_what_their_schema_says(cli: Command):
    seen = set[tuple[str, int]]()

    def said(command: str, *arguments: str, form: int = 0, code: int = 0) -> str:
        result = cli(*command.split(), *arguments, *([] if "--format" in arguments else ["--json"]))
        assert (result.code, form in forms_of([*command.split()], result.out)) == (code, True), result
        seen.add((command, form))
        return result.out

    # Without any run.
    for empty in ("status --all", "datasets", "schedule list", "webhook list", "db migrate"):
        command, _, option = empty.partition(" --")
        said(command, *([f"--{option}"] if option else []), form=1 if option else 0)
    said("limit")

    # A run with failures, a join, something unmatched, and members of an archive.
    stages = {
        "source": {"with": {"count": 3}, "next": ["speaks", "fails", "unpacks", "rejects"]},
        "speaks": {"with": {"marker": str(cli.folder / "marker")}, "next": "end"},
        "fails": {"with": {"on": ["doc-1"]}, "next": "end"},
        "unpacks": {"with": {"depth": 2}, "next": {"default": "end", "inner": "drop"}},
        "rejects": {},
        "end": {},
        "last": {"join": "run", "task": "end"},
    }
    tests = [{"at": "source", "job": {"entities": [{"schema": "Document"}]}, "expect": {"fails": 1}}]
    name = cli.pipeline("outputs", stages, tests=tests)
    run = json.loads(said("run", name, "-d", "demo", "--workers", "1", code=1))["run"]
    assert said("failures", run)
    said("status", run)
    said("status", "--all", form=1)
    said("receipt", run)
    said("receipt", run, "--list", "all", form=1)
    assert json.loads(said("trace", "doc-1").splitlines()[0])["steps"]
    assert said("logs", run, "-n", "0")
    said("simulate", run)
    said("datasets")
    said("rerun", run, "--stage", "fails", "--dry-run", form=2)
    said("route", name, "--against", run, form=1)
    said("plan", name, "--diff", run, form=1)
    said("retry", run, "--stage", "speaks", "--workers", "1", code=1)
    said("rerun", run, "--stage", "unpacks", "--yes", "--workers", "1")

    # Runs that are held, go on, and are cancelled.
    cli("run", name, "-d", "other", "--workers", "0", "--detach")
    said("status")
    said("pause")
    said("status")
    said("resume", "--workers", "1", code=1)
    cli("run", name, "-d", "third", "--workers", "0", "--detach")
    said("cancel")

    # What needs no run.
    said("check", name)
    said("check", name, "--format", "summary", form=1)
    said("graph", name)
    said("test", name, code=1)
    said("route", name, "--at", "source")
    said("plan", name)
    said("explain")
    said("explain", "OAF201", form=1)
    said("limit", "default/stages_for_tests.end", "--concurrency", "2", "--rate", "50/s")
    said("schedule add", name, "-d", "demo", "--cron", "0 3 * * *", "--name", "nightly")
    said("schedule pause", "nightly")
    said("schedule list")
    said("schedule resume", "nightly")
    said("webhook add", "https://example.org/hook")
    said("webhook list")
    said("doctor")
    said("db check")
    said("db prune", "--dry-run")
    said("delete", "-d", "demo", "--unknown-schema", form=1)
    said("delete", "-d", "demo", "--yes")

    missing = {(command, number) for command, forms in FORMS.items() for number in range(len(forms))} - seen
    assert missing - ELSEWHERE == set()
