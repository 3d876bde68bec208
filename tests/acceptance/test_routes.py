"""
`oaflow route`: where a job would go, without a database and without a run.
"""

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Command

ENTITIES = [
    {"id": "a", "schema": "Document", "properties": {"detectedLanguage": ["rus"]}},
    {"schema": "Person", "properties": {"country": "de", "name": "[red]Ada\x1b[31m"}},
]


def pipeline(cli: Command, **read: Any) -> str:
    edges = [
        {"to": "translate", "where": "others(e.detectedLanguage, params.target)"},
        {"to": "people", "where": {"schema": "Person", "not": {"name": "*Ada*"}}},
        {"to": "rich", "when": "job.context.rich", "where": "contains(e.bodyText, 'EUR')", "load": True},
    ]
    stages = {"source": {"next": edges, **read}, "translate": {"task": "end"}, "people": {"task": "end"}}
    stages |= {"rich": {"task": "end"}}
    return cli.pipeline("letters", stages, params={"target": {"default": "eng"}})


def test_each_entity_is_shown_with_what_each_edge_was_asked(offline: Command) -> None:
    shown = offline("route", pipeline(offline), "--at", "source", "--job", "-", stdin=json.dumps(ENTITIES))

    assert shown.code == 0, shown.err
    assert "source, port default: 2 entities" in shown.out
    assert (
        'a (Document) goes to translate\n  ✓ translate  e.detectedLanguage is ["rus"], params.target is "eng"'
        in shown.out
    )
    assert "entity-2 (Person) goes to nothing" in shown.out
    assert '✗ people     e.schema is "Person", e.name is ["[red]Ada' in shown.out
    assert "\x1b" not in shown.out
    assert "port 'default' of stage 'source' has no edge for such entities" in shown.out
    assert "the edge to rich reads the entities from the store; here it saw only the given job" in shown.err


@pytest.mark.parametrize(("target", "to"), [("eng", ["translate"]), ("rus", [])])
def test_the_params_of_the_command_decide(offline: Command, target: str, to: list[str]) -> None:
    name = pipeline(offline)

    shown = offline(
        "route", name, "--at", "source", "--job", "-", "--json", "-p", f"target={target}", stdin=json.dumps(ENTITIES)
    )

    first, second = shown.json["ways"]
    assert (first["entity"], first["schema"], first["to"]) == ("a", "Document", to)
    assert first["answers"][0]["values"] == {"e.detectedLanguage": ["rus"], "params.target": target}
    # `when` does not hold, and so nobody looks at the entity.
    assert first["answers"][2] == {
        "to": "rich",
        "condition": "when job.context.rich, where contains(e.bodyText, 'EUR')",
        "holds": False,
        "values": {"job.context.rich": None},
    }
    assert second["to"] == []
    assert (shown.json["loads"], shown.json["disabled"]) == (["rich"], {})


def test_a_job_may_be_whole_or_lines_of_entities_or_nothing(offline: Command) -> None:
    name = pipeline(offline)
    lines = "\n".join(json.dumps({"id": "x", **entity}) for entity in ENTITIES)
    # With the mark that some programs begin a file with.
    (offline.folder / "entities.jsonl").write_text(lines, encoding="utf-8-sig")
    whole = {
        "payload": {"entities": ENTITIES[:1], "context": {"rich": True}},
        "queue": "q",
        "task": "t",
        "dataset": "d",
    }

    of_lines = offline("route", name, "--at", "source", "--job", "entities.jsonl", "--json").json
    of_whole = offline("route", name, "--at", "source", "--job", "-", "--json", stdin=json.dumps(whole)).json
    of_nothing = offline("route", name, "--at", "source", "--json").json

    assert [way["entity"] for way in of_lines["ways"]] == ["a", "x"]
    assert of_whole["ways"][0]["answers"][2]["values"] == {"job.context.rich": True, "e.bodyText": []}
    assert [(way["entity"], way["to"]) for way in of_nothing["ways"]] == [(None, [])]
    assert "such a job without entities" in of_nothing["reason"]


def test_a_port_is_asked_for_its_own_edges(offline: Command) -> None:
    stages = {
        "splits": {
            "task": "ports",
            "next": {"default": "people", "other": {"to": "documents", "where": {"schema": "Document"}}},
        },
        "people": {"task": "end"},
        "documents": {"task": "end"},
    }
    name = offline.pipeline("letters", stages)

    other = offline("route", name, "--at", "splits", "--port", "other", "--job", "-", stdin=json.dumps(ENTITIES))

    assert other.code == 0, other.err
    assert "splits, port other: 2 entities" in other.out
    assert "a (Document) goes to documents" in other.out
    assert "port 'other' of stage 'splits' has no edge for such entities" in other.out
    assert "people" not in other.out


def test_behind_the_first_that_takes_an_entity_nothing_is_asked(offline: Command) -> None:
    shown = offline(
        "route",
        pipeline(offline, choose="first"),
        "--at",
        "source",
        "--job",
        "-",
        "--json",
        stdin=json.dumps(ENTITIES[0]),
    )

    ((way),) = shown.json["ways"]
    assert [answer["holds"] for answer in way["answers"]] == [True, None, None]


def test_a_condition_that_fails_says_where_it_is_written(offline: Command) -> None:
    stages = {"source": {"next": [{"to": "end", "when": "job.context.way > 'one'"}]}, "end": {}}
    written = offline.pipeline("letters", stages)

    result = offline("route", written, "--at", "source", "--job", "-", stdin='{"context": {"way": 3}}')

    assert result.code == 2
    assert f"({offline.place(written, 'job.context.way')}): the expression" in result.error


@pytest.mark.parametrize(
    ("arguments", "stdin", "error", "help"),
    [
        (("--at", "sorce"), "", "no stage is named 'sorce'", "did you mean 'source'?"),
        (("--at", "source", "--port", "media"), "", "stage 'source' has no port 'media'", "its ports are: default"),
        (
            ("--at", "source", "--port", "defualt"),
            "",
            "stage 'source' has no port 'defualt'",
            "did you mean 'default'?",
        ),
        (("--at", "source", "--job", "-"), "{", "stdin is not JSON", '{"entities"'),
        (("--at", "source", "--job", "-"), '{"entites": []}', "a job has no key 'entites'", "did you mean 'entities'?"),
        (("--at", "source", "--job", "-"), "3", "what was given is not a job", '{"entities"'),
        (("--at", "source", "--job", "-"), "[3]", "payload.entities[0]", '{"entities"'),
        (("--at", "source", "--job", "away.json"), "", "'away.json' cannot be read", ""),
    ],
)
def test_what_cannot_be_routed_is_one_sentence(
    offline: Command, arguments: tuple[str, ...], stdin: str, error: str, help: str
) -> None:
    result = offline("route", pipeline(offline), *arguments, stdin=stdin)

    assert result.code == 2
    assert error in result.error
    assert help in result.help


def test_a_stage_that_is_off_says_why(offline: Command) -> None:
    name = offline.pipeline(
        "modes",
        {
            "source": {"next": ["quick", {"to": "end", "else": True}]},
            "quick": {"task": "end", "enabled": "params.on"},
            "end": {},
        },
        params={"on": {"type": "bool"}},
    )

    off = offline("route", name, "--at", "quick")
    on = offline("route", name, "--at", "source", "--json", "-p", "on=true").json

    assert (off.code, off.error) == (2, "stage 'quick' is off: param 'on' is false")
    assert on["ways"][0]["to"] == ["quick"]
    assert offline("route", name, "--at", "source", "--json").json["disabled"] == {"quick": "param 'on' is false"}
