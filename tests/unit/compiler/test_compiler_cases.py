"""
`tests` as they are read and checked.
"""

from typing import Any

import pytest

from oaflow.compiler import check_data, parse_pipeline
from oaflow.model import Case

STAGES = {"read": {"task": "m.read", "next": {"default": "index", "media": "drop"}}, "index": {"task": "m.index"}}


def data(*tests: Any) -> dict[str, Any]:
    return {"pipeline": "p", "params": {"lang": {}}, "stages": STAGES, "tests": list(tests)}


def codes(*tests: Any) -> list[str]:
    return [one.code for one in check_data(data(*tests)).diagnostics]


def case(**keys: Any) -> dict[str, Any]:
    return {"at": "read", "expect": {"index": 1}} | keys


def test_a_test_is_read_as_it_is_written():
    job = {"entities": [{"schema": "Email", "properties": {"language": "rus"}}], "context": {"ocr": True}}
    pipeline, found = parse_pipeline(
        data(case(port="media", params={"lang": "eng"}, job=job, description="text"), case())
    )

    assert found == []
    assert pipeline is not None
    assert pipeline.cases == (
        Case(at="read", port="media", params={"lang": "eng"}, job=job, expect={"index": 1}, description="text"),
        Case(at="read", expect={"index": 1}),
    )


@pytest.mark.parametrize(
    ("test", "code"),
    [
        ({"at": "read"}, "OAF102"),
        ({"expect": {}}, "OAF102"),
        ("read", "OAF103"),
        (case(expects={"index": 1}), "OAF101"),
        (case(expect=["index"]), "OAF103"),
        (case(expect={"index": -1}), "OAF108"),
        (case(expect={"index": True}), "OAF103"),
        (case(expect={"index": "${params.lang}"}), "OAF115"),
        (case(params=["lang"]), "OAF103"),
        (case(job=[]), "OAF103"),
        (case(job={"entites": []}), "OAF101"),
        (case(job={"entities": {"schema": "Email"}}), "OAF103"),
        (case(job={"entities": [{"properties": {}}]}), "OAF102"),
        (case(job={"entities": ["Email"]}), "OAF103"),
        (case(job={"entities": [{"schema": "Email", "properties": []}]}), "OAF103"),
        (case(job={"entities": [{"schema": []}]}), "OAF103"),
        (case(job={"entities": [{"schema": None}]}), "OAF103"),
        (case(job={"context": []}), "OAF103"),
        (case(job={"payload": 7}), "OAF103"),
        (case(at="raed"), "OAF201"),
        (case(expect={"indx": 1}), "OAF201"),
        (case(params={"lagn": "x"}), "OAF202"),
        (case(port="meda"), "OAF230"),
        (case(job={"entities": [{"schema": "Emial"}]}), "OAF214"),
        (case(job={"entities": [{"schema": "Email", "properties": {"langauge": "eng"}}]}), "OAF213"),
    ],
)
def test_a_test_that_cannot_be_meant_so_is_refused(test: Any, code: str):
    assert codes(test) == [code]


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ({"type": "int"}, "many", "param 'n' is 'many', but must be a whole number"),
        ({"choices": ["a", "b"]}, "c", "param 'n' is 'c', but must be one of: a, b"),
        ({"type": "list", "of": "int"}, [1, "x"], "param 'n' is 'x', but must be a whole number"),
        ({"type": "int"}, "3", None),
        ({"type": "int", "default": 1}, None, None),
        ({"type": "path"}, "letters", None),
    ],
)
def test_a_value_of_a_test_is_checked_as_one_that_a_run_is_given(declared: Any, value: Any, message: str | None):
    found = check_data(data(case(params={"n": value})) | {"params": {"n": declared}}).diagnostics

    assert [(one.code, one.message) for one in found] == ([("OAF120", message)] if message else [])


def test_tests_are_a_list_and_no_part_of_the_plan():
    assert [one.code for one in check_data({**data(), "tests": {"at": "read"}}).diagnostics] == ["OAF103"]
    with_tests, without = check_data(data(case())).plan, check_data({**data(), "tests": []}).plan
    assert with_tests is not None
    assert without is not None
    assert with_tests.digest == without.digest
