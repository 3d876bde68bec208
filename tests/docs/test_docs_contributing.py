"""
The map in CONTRIBUTING.md leads somewhere: the rooms are those that import-linter knows, in its order, and what a row
names is there.
"""

import configparser
import re
from itertools import takewhile

import pytest

from tests.docs.test_docs_samples import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]
MIGRATIONS = "".join(file.read_text("utf-8") for file in (ROOT / "oaflow" / "ledger" / "migrations").glob("*.sql"))


def rooms_of_the_page() -> list[list[str]]:
    begins = next(number for number, row in enumerate(ROWS) if row.startswith("| room |"))
    rows = takewhile(lambda row: not row.startswith("| step |"), ROWS[begins + 1 :])
    return [re.findall(r"`(\w+)`", row.split("|")[1]) for row in rows if not row.startswith("|--")]


def layers() -> list[set[str]]:
    known = configparser.ConfigParser()
    known.read(ROOT / ".importlinter")
    lines = known["importlinter:contract:rooms"]["layers"].split("\n")
    return [set(re.findall(r"\w+", line)) for line in lines if line.strip()]


def test_the_page_has_every_room_once_and_none_stands_below_what_it_may_not_import():
    named = [room for row in rooms_of_the_page() for room in row]
    level = {room: number for number, layer in enumerate(layers()) for room in layer}

    assert sorted(named) == sorted(level)
    assert [level[room] for room in named] == sorted(level[room] for room in named)


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`([\w/]+\.(?:py|sql))`", PAGE))))
def test_a_file_that_the_page_names_is_there(file: str):
    assert any((ROOT / folder / file).is_file() for folder in ("", "oaflow"))


@pytest.mark.parametrize("function", sorted(set(re.findall(r"oaflow\.(\w+_v\d+)", PAGE))))
def test_a_function_of_the_database_that_the_page_names_is_there(function: str):
    assert f"FUNCTION oaflow.{function}(" in MIGRATIONS
