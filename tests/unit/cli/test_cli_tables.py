"""
Tables whose words can be copied.
"""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from oaflow.cli import output, tables

COLUMNS = [("run", False), ("state", False), ("last run", False), ("took", True)]
LONG = "a-pipeline-with-a-rather-long-name-tvxd7y"
ROWS = [(LONG, "finished", "b-abc234 finished, 2026-11-28 11:21", "2.3 s"), ("b-[bold]", "paused", "", "1,000 s")]


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, terminal: bool
) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None, highlight=False)
    for module in (tables, output):
        monkeypatch.setattr(module, "screen", lambda: console)
    tables.print_table(COLUMNS, ROWS)
    return [line.rstrip() for line in (stream.getvalue() if terminal else capsys.readouterr().out).splitlines()]


def test_no_word_is_broken_however_narrow_a_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for width in (200, 90, 80, 60, 50):
        lines = printed(monkeypatch, capsys, width, terminal=True)
        words = " ".join(lines).split()
        assert {LONG, "b-[bold]", "finished", "b-abc234", "2026-11-28", "1,000"} <= set(words)
        assert all(len(line) <= width for line in lines)


def test_words_go_to_the_next_line_of_their_column_and_where_that_is_not_enough_rows_are_paragraphs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrower = printed(monkeypatch, capsys, 90, terminal=True)
    assert narrower[0].split() == ["run", "state", "last", "run", "took"]
    assert len(narrower) == 5  # a head, a line, and three rows
    assert printed(monkeypatch, capsys, 60, terminal=True) == [
        LONG,
        "  state finished",
        "  last run b-abc234 finished, 2026-11-28 11:21  took 2.3 s",
        "b-[bold]",
        "  state paused  took 1,000 s",
    ]


def test_what_is_no_terminal_has_each_row_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(monkeypatch, capsys, 40, terminal=False)

    assert len(lines) == 4
    assert lines[2].split() == " ".join(ROWS[0]).split()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1), st.integers(0, 300))
def test_columns_have_the_room_that_there_is_and_at_least_what_they_need(
    sizes: list[tuple[int, int]], more: int
) -> None:
    natural, least = [max(pair) for pair in sizes], [min(pair) for pair in sizes]
    room = sum(least) + more

    widths = tables.fitted(natural, least, room)

    assert sum(widths) == min(room, sum(natural))
    assert all(low <= width <= high for low, width, high in zip(least, widths, natural, strict=True))
