"""
`oaflow schema`, through the installed program; and `oaflow lsp` where its extra is not installed.
"""

import json

import jsonschema
import pytest

from oaflow.cli import editing
from oaflow.errors import EnvironmentProblem, UsageError
from tests.acceptance.conftest import Command


def test_the_schema_is_printed_or_written(offline: Command) -> None:
    printed = offline("schema")
    written = offline("schema", "-o", "oaflow.schema.json")

    assert (printed.code, printed.err) == (0, "")
    schema = json.loads(printed.out)
    jsonschema.Draft7Validator.check_schema(schema)
    assert (written.code, written.out, written.err) == (0, "", "wrote oaflow.schema.json\n")
    assert json.loads((offline.folder / "oaflow.schema.json").read_text()) == schema


def test_a_place_that_cannot_be_written_is_named(offline: Command) -> None:
    result = offline("schema", "-o", "no/such/folder.json")

    assert result.code == 3
    assert result.error == "'no/such/folder.json' cannot be written: No such file or directory"


def test_in_a_terminal_it_says_who_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())

    with pytest.raises(UsageError, match="talks to an editor over stdin, but stdin is a terminal"):
        editing.lsp()


def test_without_its_extra_the_language_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(EnvironmentProblem, match="needs 'pygls', which is not installed") as raised:
        editing.lsp()

    assert raised.value.help == "pip install 'oaflow[lsp]'"
