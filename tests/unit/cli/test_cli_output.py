"""
What text from data looks like on a screen.
"""

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from oaflow.cli import output
from oaflow.cli.output import clean, count, escape, hanging, remark, say_json, shortened, table, typable
from oaflow.quantities import duration

names = st.text(st.characters(exclude_categories=()), max_size=40)


@given(names)
def test_a_cleaned_text_is_one_printable_line(text):
    shown = clean(text)

    assert all(letter.isprintable() or letter == "\u3000" for letter in shown)
    assert len(shown.splitlines()) <= 1


@given(st.text(st.sampled_from("abc[]/\\ red=#:é漢"), max_size=20))
def test_an_escaped_text_is_printed_by_rich_as_it_is(text):
    stream = io.StringIO()
    Console(file=stream, width=500, highlight=False, emoji=False, soft_wrap=True).print(f"<{escape(text)}>")

    assert stream.getvalue() == f"<{clean(text)}>\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("report[/red].pdf", "report[/red].pdf"),
        ("two\nlines.txt", "two\\nlines.txt"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202efdp.exe", "\\u202efdp.exe"),
        ("\udce9t\udce9", "\\udce9t\\udce9"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(name, shown):
    assert clean(name) == shown


@given(names, st.integers(1, 60))
def test_a_shortened_text_fits_and_says_that_it_goes_on(text, width):
    shown = shortened(text, width)

    assert len(shown) <= width
    assert shown == clean(text) or shown.endswith("…")


@given(st.lists(st.text("abcdefg", min_size=1, max_size=30), min_size=1, max_size=40), st.integers(20, 130))
def test_a_hanging_text_loses_no_letter_and_fits(words, width):
    lines = [line.plain for line in hanging(Text(" ".join(words)), width, first=2, rest=6)]

    assert "".join(lines).replace(" ", "") == "".join(words)
    assert all(len(line.rstrip()) <= width for line in lines)
    assert lines[0].startswith("  ")
    assert all(line.startswith(" " * 6) for line in lines[1:])


def test_cells_of_a_table_are_text_and_no_markup():
    stream = io.StringIO()
    Console(file=stream, width=80).print(table([("name", False), ("jobs", True)], [("[bold]a[/]\x07", 3)]))

    assert "[bold]a[/]\\x07" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.0 s"), (0.84, "0.8 s"), (12.4, "12 s"), (60, "1 min"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_a_duration_is_as_exact_as_one_wants_to_know(seconds, shown):
    assert duration(seconds) == shown


def test_numbers_agree_with_their_nouns():
    assert count(1, "job") == "1 job"
    assert count(1200, "entity", "entities") == "1,200 entities"


@pytest.mark.parametrize(
    ("called", "there", "shown"),
    [
        (".venv/bin/oaflow", False, ".venv/bin/oaflow search WORDS"),
        ("/my programs/oaflow", False, "'/my programs/oaflow' search WORDS"),
        (".venv/bin/oaflow", True, "oaflow search WORDS"),
        ("oaflow", False, "oaflow search WORDS"),
        ("/lib/oaflow/__main__.py", False, "oaflow search WORDS"),
    ],
)
def test_what_is_to_be_typed_names_the_program_as_it_was_called_where_its_name_alone_is_not_found(
    called: str,
    there: bool,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if there:
        (tmp_path / "oaflow").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [called])
    output._program.cache_clear()  # pyright: ignore[reportPrivateUsage]

    assert typable("oaflow search WORDS") == shown
    assert typable("less oaflow.log") == "less oaflow.log"
    program = shown.removesuffix(" search WORDS")
    remark("send them again: oaflow retry ingest-abc234")
    remark("help:  oaflow receipt --list open, of the dataset oaflow: oaflow")
    assert capsys.readouterr().err == (
        f"send them again: {program} retry ingest-abc234\n"
        f"help:  {program} receipt --list open, of the dataset oaflow: oaflow\n"
    )
    say_json({"help": None, "name": "oaflow search", "waits": [{"help": "oaflow worker", "help me": "oaflow x"}]})
    assert json.loads(capsys.readouterr().out) == {
        "help": None,
        "name": "oaflow search",
        "waits": [{"help": f"{program} worker", "help me": "oaflow x"}],
    }
    output._program.cache_clear()  # pyright: ignore[reportPrivateUsage]
