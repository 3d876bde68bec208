"""
Texts that somebody is still typing: there is an answer at every place, and no exception.
"""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oaflow.diagnostics import Span
from oaflow.editors.completing import offers
from oaflow.editors.documents import Document
from oaflow.editors.hovering import shown_at
from oaflow.editors.renaming import declaration, references
from oaflow.editors.texts import Text, readable
from oaflow.loader import BREAK
from oaflow.loader.unfinished import Place, load_unfinished, places

INGEST = (Path(__file__).parents[3] / "pipelines" / "ingest.yml").read_text("utf-8")
HEAD = "pipeline: x\nstages:\n  read:\n"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("    ta", {("stages", "read"): "value key"}),
        ("    task: a.b\n    ", {("stages", "read"): "key"}),
        ("    task: a.b\n    ne", {("stages", "read"): "key"}),
        ("    next: in", {("stages", "read", "next"): "value"}),
        ("    next:\n      in", {("stages", "read", "next"): "value key"}),
        ("    next: [a, in", {("stages", "read", "next", 1): "value key"}),
        ("    next: {default: a, wh", {("stages", "read", "next"): "key"}),
        ("    next: {default: a, wh: ", {("stages", "read", "next", "wh"): "value"}),
        ("    next:\n      - {to: a, where: \"has(e.lan", {("stages", "read", "next", 0, "where"): "value"}),
        ("    next:\n      - to: a\n        where: 'has(e.lan", {("stages", "read", "next", 0, "where"): "value"}),
        ("    lock: >\n      e.l", {("stages", "read", "lock"): "value"}),
        ("    # a com", {}),
        ("    task: a.b # a com", {}),
        ("    bad\n  other:\n    ta", {("stages", "other"): "value key"}),
    ],
)  # fmt: skip
def test_what_is_typed_has_its_place(typed: str, expected: dict[tuple[str | int, ...], str]):
    found: dict[tuple[str | int, ...], str] = {}
    for place in places(HEAD + typed):
        kind = "key" if place.key else "value"
        found[place.path] = f"{found[place.path]} {kind}" if place.path in found else kind

    assert found == expected


def test_what_is_typed_is_read_as_yaml_reads_it():
    path = ("stages", "read", "lock")

    assert places(HEAD + '    lock: "job.context[\\"au') == [Place(path, 'job.context["au', quoted=True)]
    assert places(HEAD + "    lock: 'job.context[''au") == [Place(path, "job.context['au", quoted=True)]


@pytest.mark.parametrize("line", ["    tas", "    next: [a,", '    lock: "a', "\ttask: a.b", "    task: a: b", "  - x"])
def test_a_line_that_cannot_be_read_leaves_the_others(line: str):
    data = load_unfinished(f"{HEAD}    queue: q\n{line}\n  index:\n    task: a.c\n").data

    assert data["pipeline"] == "x"
    assert data["stages"]["index"] == {"task": "a.c"}


def _all_is_asked(source: str, offset: int) -> None:
    document = Document(readable(source))
    for one in document.checked.diagnostics:
        start, end = document.text.ends(one.span)
        assert 0 <= start <= end <= len(source)
    for one in offers(document, offset):
        assert 0 <= one.written <= offset
    shown_at(document, offset)
    declaration(document, offset)
    for start, end in references(document, offset):
        assert document.source[start:end]


def test_every_beginning_of_a_pipeline_has_answers():
    for end in range(len(INGEST) + 1):
        _all_is_asked(INGEST[:end], end)


def test_every_place_of_a_pipeline_of_which_the_rest_of_the_line_is_missing_has_answers():
    for at in range(0, len(INGEST), 7):
        rest = INGEST.find("\n", at)
        _all_is_asked(INGEST[:at] + (INGEST[rest:] if rest >= 0 else ""), at)


@given(
    at=st.integers(0, len(INGEST)),
    gone=st.integers(0, 30),
    typed=st.one_of(
        st.text(max_size=8),
        st.text(alphabet=" \n\t:-[]{}\"'#&*!|>%@`,$.\ue000", max_size=8),
        st.sampled_from(
            ["&a *a", "<<: *x", "? x", "--- ", "!!python/object:os.system x", "'\\", '"\\x', "\r", "\u2028", "😀"]
        ),
    ),
)
@example(at=0, gone=len(INGEST), typed="")
@example(at=100, gone=0, typed="\ud800")
@settings(max_examples=250, deadline=None)
def test_whatever_is_typed_there_are_answers(at: int, gone: int, typed: str):
    _all_is_asked(INGEST[:at] + typed + INGEST[at + gone :], at + len(typed))


@given(text=st.text(alphabet="aé😀\n\r\t\u2028 ", max_size=30), units=st.sampled_from(["utf-8", "utf-16", "utf-32"]))
@settings(deadline=None)
def test_a_place_counted_by_an_editor_is_the_same_place(text: str, units):
    found = Text(text, units)
    for offset in range(len(text) + 1):
        # Between \r and \n is no place.
        if text[offset - 1 : offset + 1] != "\r\n":
            assert found.offset(found.position(offset)) == offset


@given(text=st.text(alphabet="aé😀\n\r\t\u2028 ", max_size=30))
@settings(deadline=None)
def test_a_place_counted_by_diagnostics_is_the_same_place(text: str):
    found, lines = Text(text), BREAK.split(text)
    for offset in range(len(text) + 1):
        line, column = found.place(offset)
        # Between \r and \n is no place.
        if column <= len(lines[line - 1]) + 1:
            assert found.ends(Span(line=line, column=column, end_line=line, end_column=column)) == (offset, offset)
