"""
`oaflow test`: the tests of pipelines, without a database.
"""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lxml import etree

from tests.acceptance.conftest import Command

SCHEMA = Path(__file__).with_name("junit.xsd")

STAGES: dict[str, Any] = {
    "source": {
        "next": [
            {"to": "translate", "where": "others(e.detectedLanguage, params.target)"},
            {"to": "rest", "else": True},
        ]
    },
    "translate": {"task": "end", "collect": 10, "split": None},
    "rest": {"task": "end"},
}
RUSSIAN = {"entities": [{"schema": "Email", "properties": {"detectedLanguage": "rus"}}, {"schema": "Person"}]}


def pipeline(cli: Command, *tests: dict[str, Any], name: str = "letters") -> str:
    stages = {key: {k: v for k, v in stage.items() if v is not None} for key, stage in STAGES.items()}
    return cli.pipeline(name, stages, params={"target": {"default": "eng"}}, tests=list(tests))


def test_what_goes_as_expected_passes_and_what_does_not_is_shown_by_stage(offline: Command) -> None:
    good = {
        "at": "source",
        "description": "Russian is translated",
        "job": RUSSIAN,
        "expect": {"translate": 1, "rest": 1},
    }
    bad = {"at": "source", "params": {"target": "rus"}, "job": RUSSIAN, "expect": {"translate": 1, "rest": 1}}

    passed = offline("test", pipeline(offline, good))
    failed = offline("test", pipeline(offline, good, bad))

    assert (passed.code, passed.out) == (0, "letters.yml\n  ✓ 1 at source: Russian is translated\n")
    assert "1 test as expected" in passed.err
    assert failed.code == 1
    assert failed.out.splitlines()[2:] == [
        "  ✗ 2 at source",
        "      translate: 1 expected, 0 found",
        "      rest: 1 expected, 2 found",
    ]
    assert "1 test of 2 not as expected" in failed.err


def test_conditions_on_a_payload_of_ones_own_are_tried_with_one(offline: Command) -> None:
    stages = {
        "source": {
            "next": [
                {"to": "many", "when": "job.payload.number > 5"},
                {"to": "ocr", "when": "job.context.ocr"},
                {"to": "mails", "where": {"schema": "Email"}},
            ]
        },
        "many": {"task": "end"},
        "ocr": {"task": "end"},
        "mails": {"task": "end"},
    }
    tests = [
        {"at": "source", "job": {"payload": {"number": 7}}, "expect": {"many": 1}},
        {
            "at": "source",
            "job": {"payload": {"number": 3}, "context": {"ocr": True}, "entities": [{"schema": "Email"}]},
            "expect": {"ocr": 1, "mails": 1},
        },
    ]

    result = offline("test", offline.pipeline("numbers", stages, tests=tests))

    assert (result.code, result.out) == (0, "numbers.yml\n  ✓ 1 at source\n  ✓ 2 at source\n")


def test_a_stage_that_is_not_named_expects_nothing(offline: Command) -> None:
    result = offline("test", pipeline(offline, {"at": "source", "job": RUSSIAN, "expect": {"translate": 1}}), "--json")

    tried, covered = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 1
    assert (tried["expected"], tried["found"]) == ({"translate": 1}, {"translate": 1, "rest": 1})
    assert [(edge["from"], edge["to"], edge["port"]) for edge in tried["taken"]] == [
        ("source", "rest", "default"),
        ("source", "translate", "default"),
    ]
    assert covered == {"pipeline": "letters.yml", "edges": 2, "untaken": []}


def test_a_job_without_entities_is_counted_as_a_job_and_edges_that_no_test_takes_are_named(offline: Command) -> None:
    result = offline("test", pipeline(offline, {"at": "source", "expect": {"rest": 1, "translate": 0}}))

    assert result.code == 0, result.out
    assert "  no test goes from source to translate\n" in result.out


def test_edges_at_which_nothing_is_decided_are_covered_too(offline: Command) -> None:
    stages: dict[str, Any] = {
        "source": {"next": [{"to": "first", "where": {"schema": "Email"}}, {"to": "end", "else": True}]},
        "first": {"task": "end", "next": "end"},
        "end": {},
    }
    name = offline.pipeline("ways", stages, tests=[{"at": "source", "expect": {"end": 1}}])

    told, listed = offline("test", name), offline("test", name, "--json", "--junit", "ways.xml")

    assert told.out.splitlines()[2:] == [
        "  no test goes from source to first",
        "  no test goes from first to end: no condition is decided there",
    ]
    assert json.loads(listed.out.splitlines()[-1]) == {
        "pipeline": "ways.yml",
        "edges": 3,
        "untaken": [
            {"from": "source", "port": "default", "to": "first", "condition": "where {schema: Email}", "decided": True},
            {"from": "first", "port": "default", "to": "end", "condition": "", "decided": False},
        ],
    }
    (suite,) = ElementTree.parse(offline.folder / "ways.xml").getroot()
    assert [(one.get("name"), one.get("value")) for one in suite[0]] == [
        ("edges", "3"),
        ("untaken", "source to first"),
        ("untaken", "first to end"),
    ]


def test_an_edge_of_one_port_is_not_covered_by_a_test_of_another(offline: Command) -> None:
    stages: dict[str, Any] = {
        "source": {"task": "away.read", "external": True, "queue": "away", "next": {"one": "end", "two": "end"}},
        "end": {},
    }
    name = offline.pipeline("ways", stages, tests=[{"at": "source", "port": "two", "expect": {"end": 1}}])

    result = offline("test", name)

    assert result.out.splitlines()[1:] == [
        "  ✓ 1 at source, port two",
        "  no test goes from source, port one to end: no condition is decided there",
    ]


def test_two_edges_to_one_stage_are_covered_each_by_itself(offline: Command) -> None:
    stages: dict[str, Any] = {
        "source": {"next": [{"to": "end", "where": {"schema": "Email"}}, {"to": "end", "else": True}]},
        "end": {},
    }
    rest, mail = (
        {"at": "source", "expect": {"end": 1}, **given} for given in ({}, {"job": {"entities": [{"schema": "Email"}]}})
    )

    one, both = (offline("test", offline.pipeline("twice", stages, tests=tests)) for tests in ([rest], [rest, mail]))

    assert one.out.splitlines()[2:] == ["  no test goes from source to end (where {schema: Email})"]
    assert both.out.splitlines()[3:] == []


def test_an_edge_whose_condition_reads_a_param_is_covered(offline: Command) -> None:
    edges = [{"to": "end", "where": {"detectedLanguage": "${params.lang}"}}, {"to": "rest", "else": True}]
    stages: dict[str, Any] = {"source": {"next": edges}, "end": {}, "rest": {"task": "end", "enabled": "params.on"}}
    tests = [
        {"at": "source", "job": RUSSIAN, "params": {"lang": "rus"}, "expect": {"end": 1}},
        {"at": "source", "job": RUSSIAN, "params": {"lang": "deu", "on": True}, "expect": {"rest": 2}},
    ]
    params = {"lang": {"default": "eng"}, "on": {"type": "bool", "default": False}}

    result = offline("test", offline.pipeline("chosen", stages, params=params, tests=tests))

    assert (result.code, result.err) == (0, "2 tests as expected\n")
    assert "no test goes" not in result.out


def test_a_test_that_cannot_be_tried_says_why(offline: Command) -> None:
    name = offline.pipeline(
        "modes",
        {
            "source": {"next": ["quick", {"to": "end", "else": True}]},
            "quick": {"task": "end", "enabled": "params.on"},
            "end": {},
        },
        params={"on": {"type": "bool"}},
        tests=[{"at": "quick", "expect": {}}],
    )

    result = offline("test", name)

    assert result.code == 1
    assert "stage 'quick' is off: param 'on' is false" in result.out


def test_what_goes_nowhere_is_told_with_the_reason(offline: Command) -> None:
    name = offline.pipeline(
        "mails",
        {"source": {"next": {"to": "end", "where": {"schema": "Email"}}}, "end": {}},
        tests=[{"at": "source", "job": {"entities": [{"schema": "Person"}]}, "expect": {"end": 1}}],
    )

    lines = offline("test", name).out.splitlines()

    assert lines[2:4] == [
        "      end: 1 expected, 0 found",
        "      port 'default' of stage 'source' has no edge for such entities (end: where {schema: Email})",
    ]


def test_build_servers_get_a_report(offline: Command) -> None:
    names = [
        pipeline(offline, {"at": "source", "job": RUSSIAN, "expect": {"rest": 2}}, name="one"),
        pipeline(offline, {"at": "source", "expect": {"rest": 1}}, name="two"),
    ]

    result = offline("test", *names, "--junit", "report.xml")

    assert result.code == 1
    suites = ElementTree.parse(offline.folder / "report.xml").getroot()
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [("one.yml", "1"), ("two.yml", "0")]
    assert [suite.get("tests") for suite in suites] == ["1", "1"]
    said = [[(one.get("name"), one.get("value")) for one in suite.iter("property")] for suite in suites]
    assert said == [
        [("edges", "2")],
        [("edges", "2"), ("untaken", "source to translate")],
    ]
    (failure,) = suites.iter("failure")
    # GitLab shows the text, Jenkins the message as well.
    assert failure.get("message") == "rest: 2 expected, 1 found"
    assert failure.text == "rest: 2 expected, 1 found\ntranslate: 0 expected, 1 found"
    away = offline("test", names[1], "--junit", "away/report.xml")
    assert (away.code, "'away/report.xml' cannot be written" in away.error) == (3, True)


def test_the_report_is_one_that_build_servers_take(offline: Command) -> None:
    stages: dict[str, Any] = {"source": {"next": {"to": "end", "when": "job.context.n < 1"}}, "end": {}}
    odd = 'wie <b>üblich</b> & "so"\n\t '
    tests: list[dict[str, Any]] = [
        {"at": "source", "description": odd, "job": {"context": {"n": 0}}, "expect": {"end": 1}},
        {"at": "source", "description": odd, "job": {"context": {"n": 1}}, "expect": {"end": 1}},
        {"at": "source", "description": odd, "job": {"context": {"n": odd}}, "expect": {"end": 1}},
    ]
    names = [offline.pipeline("one", stages, tests=tests), offline.pipeline("two", stages)]
    result = offline("test", *names, "--junit", "report.xml")

    assert result.code == 1, result.err
    report = etree.parse(offline.folder / "report.xml")
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(report)
    suites = [tuple(suite.get(key) for key in ("tests", "failures", "errors", "skipped")) for suite in report.getroot()]
    assert suites == [("3", "1", "1", "0"), ("0", "0", "0", "0")]
    for kind, count in ("testcase", 3), ("failure", 1), ("error", 1):
        assert len(list(report.getroot().iter(kind))) == count
    (error,) = report.getroot().iter("error")
    assert "have no order" in error.text


def test_without_tests_it_says_how_one_is_written(offline: Command) -> None:
    result = offline("test", "ingest")

    assert result.code == 0
    assert "there are no tests: write `tests: [{at: STAGE" in result.err


def test_a_pipeline_with_mistakes_is_not_tried(offline: Command) -> None:
    result = offline("test", pipeline(offline, {"at": "source", "expect": {"nowhere": 1}}))

    assert result.code == 2
    assert "no stage is named 'nowhere'" in result.err
