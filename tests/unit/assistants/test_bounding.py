"""
What assistants are answered is short enough, whatever a run holds, and says what is missing.
"""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oaflow.assistants.bounding import bounded, readable

TREES = st.recursive(
    st.text(max_size=50) | st.integers() | st.none(),
    lambda below: st.lists(below, max_size=5) | st.dictionaries(st.text(max_size=5), below, max_size=5),
    max_leaves=50,
)


@given(st.dictionaries(st.sampled_from("abc"), TREES))
def test_what_is_short_is_told_whole_but_for_what_a_terminal_would_obey(answer: dict[str, Any]):
    told = bounded(answer)

    assert told.pop("left_out") == {}
    assert told == _readable(answer)


def _readable(value: Any) -> Any:
    match value:
        case str():
            return readable(value)
        case list():
            return [_readable(one) for one in value]
        case dict():
            return {readable(key): _readable(one) for key, one in value.items()}
        case _:
            return value


def test_what_is_long_is_cut_and_it_is_said_by_how_much():
    told = bounded({"names": [f"file{number}" for number in range(1_000)], "text": "a" * 10_000})

    assert len(told["names"]) == 100
    assert len(told["text"]) == 8_000
    assert told["left_out"] == {"names": 900, "text": 2_000}


def test_a_tree_of_a_million_leaves_is_short():
    def tree(depth: int) -> dict[str, Any]:
        return {"stage": "x" * 100, "next": [tree(depth - 1) for _ in range(6)] if depth else []}

    told = bounded({"steps": [tree(6)]})

    assert len(json.dumps(told)) < 70_000
    assert any(key.startswith("steps.next") for key in told["left_out"])


def test_no_item_of_a_part_is_lost_whatever_its_neighbours_are():
    told = bounded({"jobs": [{"text": "a" * 100_000, "job": number} for number in range(25)]}, page="jobs")

    assert [one["job"] for one in told["jobs"]] == list(range(25))
    assert len(json.dumps(told)) < 70_000


@given(st.dictionaries(st.text(max_size=5), TREES), st.integers(2, 500))
def test_no_answer_is_longer_than_was_asked_for(answer: dict[str, Any], most: int):
    told = bounded(answer, most=most)

    del told["left_out"]
    assert len(json.dumps(told, ensure_ascii=False)) <= most


def test_a_chain_names_that_are_long_and_many_texts_are_short_all_the_same():
    chain: list[Any] = []
    for number in range(80):
        chain = [{"stage": "x" * 90, "next": chain, **{f"{number}-{other}": "y" * 90 for other in range(10)}}]
    names = {f"{number:03}" + "n" * 100_000: {"o" * 300 + str(number): "p" * 500} for number in range(200)}

    for answer in ({"steps": chain}, names, {"\u202e" * 200 + str(number): "\u202e" * 200 for number in range(200)}):
        told = bounded(answer)

        left = told.pop("left_out")
        assert len(json.dumps(told, ensure_ascii=False)) <= 60_000
        assert told
        assert left
        assert len(json.dumps(left)) < 20_000


def test_names_that_are_the_same_when_they_are_escaped_stay_two():
    told = bounded({"counts": {"\x00": 1, "\\x00": 2, "a": 3}})

    assert told["counts"] == {"\\x00": 1, "\\x00 (2)": 2, "a": 3}


def test_text_of_a_document_stays_on_its_lines_and_does_nothing_to_a_terminal():
    assert readable("a\n\tb\x1b[31m\u202egpj.exe\ud800\x00") == "a\n\tb\\x1b[31m\\u202egpj.exe\\ud800\\x00"
