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


def test_text_of_a_document_stays_on_its_lines_and_does_nothing_to_a_terminal():
    assert readable("a\n\tb\x1b[31m\u202egpj.exe\ud800\x00") == "a\n\tb\\x1b[31m\\u202egpj.exe\\ud800\\x00"
