"""
What YAML has cut is told as it was meant.
"""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oaflow.compiler import check_data
from oaflow.compiler.quoting import quoted_expression
from oaflow.loader import load_text


def told(edge: str) -> str | None:
    """
    The help of the first mistake of an edge.
    """
    loaded = load_text(f"pipeline: p\nstages:\n  a:\n    task: m.a\n    next:\n      - {edge}\n  b: {{task: m.b}}\n")
    found = loaded.diagnostics or check_data(loaded.data, loaded.spans).diagnostics
    return found[0].help if found else None


@pytest.mark.parametrize(
    ("edge", "meant"),
    [
        ("{to: b, where: has(e.language, 'rus')}", """where: "has(e.language, 'rus')\""""),
        ("{to: b, where: has(e.language, x), load: true}", 'where: "has(e.language, x)"'),
        ('{to: b, where: "e.id == "x""}', "where: 'e.id == \"x\"'"),
        ('{to: b, when: job.context.kind == "a: b"}', "when: 'job.context.kind == \"a: b\"'"),
        ("{to: b, when: {job.context.ocr}}", 'when: "job.context.ocr"'),
        ("{to: b, when: [job.context.ocr]}", 'when: "job.context.ocr"'),
        ("{to: b, when: job.context.kind in ['a', 'b']}", "when: \"job.context.kind in ['a', 'b']\""),
        ("{to: b, where: 'has(e.language, 'rus')'}", """where: "has(e.language, 'rus')\""""),
        ('{to: b, where: \'has(e.name, "x")}', "where: 'has(e.name, \"x\")'"),
        ("{to: b, where: \"has(e.name, 'x'), load: true}", "where: \"has(e.name, 'x')\""),
        ('{to: b, where: "a" in e.name or e.id == "b"}', 'where: \'"a" in e.name or e.id == "b"\''),
        ("{to: b, when: [1] == job.context.list[0]}", 'when: "[1] == job.context.list[0]"'),
        ("{to: b, when: !job.context.ocr }", 'when: "!job.context.ocr"'),
        ("{to: b, when: job.context.ocr # scans}", 'when: "job.context.ocr"'),
        ("{to: b, where: {schema: Person}, when: has(job.context.a, 'b')}", "when: \"has(job.context.a, 'b')\""),
    ],
)
def test_an_expression_without_quotes_is_shown_with_them(edge: str, meant: str):
    assert told(edge) == f"an expression must be in quotes: {meant}"


def test_an_expression_that_was_taken_for_a_comment_is_shown_whole():
    help = told("to: b\n        where: has(e.name, 'a #1', 'b')")

    assert help == "an expression must be in quotes: where: \"has(e.name, 'a #1', 'b')\""


def test_a_tag_before_an_expression_in_quotes_is_no_part_of_it():
    assert told('{to: b, where: !!str "e.id"}') == "remove it: write only the value, in quotes if it is text"


@pytest.mark.parametrize(
    "line",
    [
        "next: [a, b",
        "{to: b, where: {schema: Person}",
        "{to: b, when: \"has(e.language, 'rus')\"",
        "{to: b, when: 'it''s'",
    ],
)
def test_what_is_quoted_or_no_expression_is_no_news(line: str):
    assert quoted_expression(line) is None


@given(
    st.lists(st.sampled_from(["has(e.name, 'x')", 'e.id == "y"', "params.a", "[1, 2]", " and ", "not "]), min_size=1)
)
def test_what_is_shown_is_what_was_written(parts):
    meant = "".join(parts).strip()
    help = quoted_expression(f"- {{to: b, when: {meant}}}")
    # What stands in brackets, or in quotes, as a whole is read without them.
    assume(meant[0] not in "[{'\"")

    assert help is not None
    assert load_text(help.removeprefix("an expression must be in quotes: ")).data == {"when": meant}
