"""
The commands of who writes a pipeline, through the installed program; none of them asks a database.
"""

import hashlib
import json

from tests.acceptance.conftest import Command


def test_a_graph_says_what_its_stages_are_for(offline: Command) -> None:
    stages = {
        "source": {"description": "Names them all", "next": ["keeps", "away", "theirs"]},
        "keeps": {},
        "away": {"task": "no_such_function"},
        "theirs": {"external": True, "queue": "theirs"},
    }
    name = offline.pipeline("chain", stages)

    drawn = offline("graph", name, env={"COLUMNS": "50"})
    stood = {stage["name"]: stage["description"] for stage in offline("graph", name, "--json").json["stages"]}

    assert drawn.code == 0, drawn.err
    said = drawn.out.partition("\n\n")[2].splitlines()[-2:]
    assert said == ["source  Names them all", "keeps   Write what came."]
    assert stood == {
        "source": "Names them all",  # its own, before the docstring's
        "keeps": "Write what came.",
        "away": None,  # not to be imported here, and drawn all the same
        "theirs": None,
    }
    assert 'tooltip="Names them all\\nstages_for_tests.source"' in offline("graph", name, "-f", "dot").out


def test_a_graph_is_written_to_a_file_and_shows_what_a_param_switches_off(offline: Command) -> None:
    stages = {"source": {"next": ["work", "end"]}, "work": {"enabled": "params.on"}, "end": {}}
    name = offline.pipeline("chain", stages, params={"on": {"type": "bool", "default": True}})

    written = offline("graph", name, "-f", "json", "-p", "on=no", "-o", "chain.json")

    assert (written.code, written.out) == (0, ""), written.err
    assert "wrote chain.json" in written.err
    off = {one["name"]: one["disabled"] for one in json.loads((offline.folder / "chain.json").read_text())["stages"]}
    assert off["work"] is not None
    assert "on" in off["work"]
    assert {name: why for name, why in off.items() if name != "work"} == {"source": None, "end": None}
    assert not any(stage["disabled"] for stage in offline("graph", name, "--json").json["stages"])
    assert offline("graph", name, "-f", "svg").out.startswith("<?xml")
    assert offline("graph", name, "-f", "html").out.startswith("<!doctype html>")
    for wrong, error, help in (
        ([name, "-f", "png"], "there is no format 'png'", "one of: terminal, svg, html, mermaid, dot, json"),
        ([], "there is nothing to draw", "oaflow graph PIPELINE, or oaflow graph --run RUN"),
        (
            [name, "--run", "latest"],
            "a run has its own plan and params, so PIPELINE cannot be combined with --run",
            "leave it out",
        ),
    ):
        refused = offline("graph", *wrong)
        assert (refused.code, refused.out, refused.error, refused.help) == (2, "", error, help)
    nowhere = offline("graph", name, "-o", "no/such/folder.txt")
    assert nowhere.code == 3
    assert "'no/such/folder.txt' cannot be written" in nowhere.error


def test_check_counts_the_functions_that_have_no_annotations(offline: Command) -> None:
    (offline.folder / "letters.py").write_text(
        "from oaflow import DatasetJob, stage\n\n\n"
        "@stage\ndef read(job):\n    return job\n\n\n"
        "@stage\ndef index(job: DatasetJob) -> None: ...\n"
    )
    (offline.folder / "letters.yml").write_text(
        "pipeline: letters\nstages:\n"
        "  read: {task: letters.read, next: again}\n"
        "  again: {task: letters.read, next: index}\n"
        "  index: {task: letters.index}\n"
    )

    checked = offline("check", "letters.yml", "--json")

    assert (checked.code, checked.json) == (0, [])
    assert checked.err == "letters.yml: 3 stages, no mistakes (1 function without annotations)\n"


def test_mistakes_are_printed_in_each_format_and_the_exit_code_is_1(offline: Command) -> None:
    name = offline.pipeline("wrong", {"source": {"next": "ned"}, "end": {}})
    forms = {form: offline("check", name, "-f", form) for form in ("text", "concise", "json", "github", "sarif")}

    assert {result.code for result in forms.values()} == {1}
    assert all("wrong.yml: 1 mistake" in result.err for result in forms.values())
    assert forms["text"].out.startswith("error[OAF201] unknown-stage: no stage is named 'ned'\n  --> wrong.yml:")
    (line,) = forms["concise"].out.splitlines()
    assert line.startswith("wrong.yml:")
    assert "OAF201" in line
    (mistake,) = forms["json"].json
    assert (mistake["code"], mistake["severity"], mistake["message"]) == ("OAF201", "error", "no stage is named 'ned'")
    (line,) = forms["github"].out.splitlines()
    assert line.startswith("::error file=wrong.yml,line=")
    (run,) = forms["sarif"].json["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["OAF201"]
    unknown = offline("check", name, "-f", "xml")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.help == "one of: text, concise, json, github, sarif, summary"
    summary = offline("check", name, "-f", "summary").json
    assert (summary["mistakes"], summary["warnings"], summary["without_annotations"]) == (1, 0, [])


def test_a_plan_is_json_on_stdout_and_its_digest_is_on_stderr(offline: Command) -> None:
    result = offline("plan", offline.pipeline("chain", {"source": {"next": "end"}, "end": {}}))

    assert result.code == 0, result.err
    assert set(result.json["stages"]) == {"source", "end"}
    assert result.err.strip() == f"sha256:{hashlib.sha256(result.out.strip().encode()).hexdigest()}"


def test_a_code_is_explained_by_its_number_and_by_its_name(offline: Command) -> None:
    told, named, facts = offline("explain", "oaf201"), offline("explain", "unknown-stage"), offline("explain", "--json")

    assert (told.code, named.code, facts.code) == (0, 0, 0)
    assert told.out == named.out
    assert told.out.startswith("OAF201 unknown-stage (error)")
    assert "For example:" in told.out
    assert "Instead:" in told.out
    rules = [json.loads(line) for line in facts.out.splitlines()]
    assert {"OAF201", "OAF414"} <= {rule["code"] for rule in rules}
    assert offline("explain", "OAF201", "--json").json["repair"]
    unknown = offline("explain", "OAF999")
    assert unknown.code == 2
    assert unknown.error == "no mistake has the code 'OAF999'"
