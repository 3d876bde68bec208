"""
What `oaflow check --fix` mends: only what it was for, and nothing that was right.
"""

from pathlib import Path

import pytest

from oaflow.compiler.checking import Checked, check_data
from oaflow.compiler.repairs import mended, repairs
from oaflow.diagnostics import Spans
from oaflow.loader import load_text

FOLDERS = sorted((Path(__file__).parents[2] / "diagnostics").glob("OAF*"))
TEXTS = {}
for folder in FOLDERS:
    try:
        TEXTS[folder.name] = (folder / "pipeline.yml").read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        continue  # what is no text is mended by nobody


def look(text: str) -> tuple[Checked, Spans]:
    loaded = load_text(text)
    if loaded.data is None:
        return Checked(None, None, loaded.diagnostics), loaded.spans
    return check_data(loaded.data, loaded.spans), loaded.spans


@pytest.mark.parametrize("name", TEXTS)
def test_a_repair_takes_away_what_it_is_for_and_changes_its_line_alone(name: str):
    text = TEXTS[name]
    checked, spans = look(text)

    found = repairs(text, checked, spans)
    after = mended(text, found)

    if not found:
        assert after == text
        return
    left = {(one.code, one.message, one.span.line) for one in look(after)[0].diagnostics}
    assert not [one for one in found if (one.diagnostic.code, one.diagnostic.message, one.line) in left]
    touched = {one.line for one in found}
    pairs = zip(text.split("\n"), after.split("\n"), strict=True)
    assert {number for number, (one, other) in enumerate(pairs, 1) if one != other} == touched


def test_names_and_quotes_are_mended_among_what_is_known_to_be_wrong():
    mendable = {name for name, text in TEXTS.items() if repairs(text, *look(text))}

    assert {"OAF201-unknown-stage"} <= mendable
    assert {name for name in mendable if not name.startswith(("OAF0", "OAF1", "OAF2"))} == set()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("next: wriet", "next: write"),
        ("next: 'wriet'", "next: 'write'"),
        ('next: ["wriet"]', 'next: ["write"]'),
        ("next: {to: WRITE}", "next: {to: WRITE}"),
        ("on_error: wriet # ünï", "on_error: write # ünï"),
        ("next: &x wriet", "next: &x wriet"),
    ],
)
def test_a_name_is_mended_in_its_own_quotes(wrong: str, right: str):
    text = "pipeline: p\r\nstages:\r\n  read:\r\n    task: m.read\r\n    {}\r\n  write: {{task: m.write}}\r\n"

    before = text.format(wrong)

    assert mended(before, repairs(before, *look(before))) == text.format(right)
