"""
What becomes of `ingest` when somebody mistypes: 200 times a character, a line or a key is changed. Each is told at its
place, or says the same as before, or is a plan that differs in what was changed; and none is a traceback.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from oaflow.compiler import Checked, check_data
from oaflow.compiler.functions import Inspected, InspectionError, Inspector
from oaflow.compiler.rules import RULES
from oaflow.diagnostics import Spans, errors
from oaflow.loader import load_text
from oaflow.plan.differences import changes

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "pipelines" / "ingest.yml").read_text("utf-8")
SEED, NUMBER = 20261126, 200

# What fingers hit instead.
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-.:,{}[]\"'#&*!|>%@ \tаé"


class Mutation(NamedTuple):
    """
    A text in which one thing was changed, and the lines (from 1) where that is to be told.
    """

    what: str
    text: str
    lines: frozenset[int]


def mutations() -> Iterator[Mutation]:
    random = Random(SEED)
    lines = TEXT.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    for _ in range(NUMBER):
        number = random.choice(filled)
        new = list(lines)
        line = lines[number]
        match random.choice(["replace", "delete", "insert", "lose", "double", "swap", "shift", "key", "key"]):
            case "replace":
                at = random.randrange(len(line))
                new[number] = line[:at] + random.choice(LETTERS) + line[at + 1 :]
            case "delete":
                at = random.randrange(len(line))
                new[number] = line[:at] + line[at + 1 :]
            case "insert":
                at = random.randrange(len(line) + 1)
                new[number] = line[:at] + random.choice(LETTERS) + line[at:]
            case "lose":
                del new[number]
            case "double":
                new.insert(number, line)
            case "swap":
                number = min(number, len(lines) - 2)
                new[number], new[number + 1] = lines[number + 1], lines[number]
            case "shift":
                new[number] = random.choice([" ", "  ", "\t"]) + line
            case _:
                keys = list(re.finditer(r"[a-z_]+(?=:)", line)) or list(re.finditer(r"[a-z_]+", line))
                key = random.choice(keys)
                letters = list(key[0])
                random.shuffle(letters)
                new[number] = line[: key.start()] + "".join(letters) + line[key.end() :]
        shown = f"{number + 1}: {line!r} -> {new[number]!r}" if number < len(new) else f"{number + 1}: {line!r}"
        yield Mutation(shown, "\n".join(new), frozenset({number + 1}))


ALL = list(mutations())


KNOWN: dict[str, Inspected | InspectionError] = {}


def inspect(tasks: tuple[str, ...], /) -> Mapping[str, Inspected | InspectionError]:
    if unknown := tuple(task for task in tasks if task not in KNOWN):
        KNOWN.update(Inspector()(unknown))
    return {task: KNOWN[task] for task in tasks}


def look(text: str) -> tuple[Checked, Spans]:
    loaded = load_text(text, "ingest.yml")
    if loaded.data is None:
        return Checked(None, None, loaded.diagnostics), loaded.spans
    return check_data(loaded.data, loaded.spans, inspect), loaded.spans


@cache
def original() -> Checked:
    # Not while tests are collected: each process of a test run would import the stages for it.
    return look(TEXT)[0]


def names_on(slip: Mutation) -> set[str]:
    """
    The words of the line, as it was and as it is: what is missed elsewhere, or new, is named there.
    """
    texts = [text.split("\n") for text in (TEXT, slip.text)]
    return {word for lines in texts for line in slip.lines for word in re.findall(r"[\w.]+", lines[line - 1])}


def stage_of(line: int) -> str | None:
    """
    The stage that a line of the original belongs to.
    """
    before = TEXT.split("\n")[:line]
    if "stages:" not in before:
        return None
    return next((found[1] for text in reversed(before) if (found := re.fullmatch(r"  (\w+):.*", text))), None)


@pytest.mark.parametrize("number", range(NUMBER))
def test_a_slip_is_told_at_its_place_or_changes_only_what_it_is_in(number: int):
    slip = ALL[number]
    checked, _ = look(slip.text)

    found = checked.diagnostics
    assert {one.code for one in found} <= set(RULES)
    assert not [one for one in found if one.code.startswith("OAF9")]
    if wrong := errors(found):
        near = {line + step for line in slip.lines for step in (-1, 0, 1)}
        names = names_on(slip)
        told = [
            one
            for one in wrong
            if {one.span.line, *(span.line for _, span in one.notes)} & near
            or set(re.findall(r"'([\w.]+)'", one.message)) & (names | {stage_of(line) for line in slip.lines})
        ]
        assert told, f"{slip.what}: {[(one.code, one.span.line, one.message) for one in wrong]}"
        return
    assert checked.plan is not None
    before = original().plan
    assert before is not None
    for change in changes(before, checked.plan):
        about = {change.stage, change.param} - {None}
        stages = {stage_of(line + step) for line in slip.lines for step in (-1, 0, 1)}
        mine = about <= (stages | names_on(slip)) or change.text in names_on(slip)
        assert mine or None in stages, f"{slip.what}: {change}"


def test_the_slips_are_of_all_kinds_and_most_are_told():
    looked = [look(slip.text)[0] for slip in ALL]

    assert len({slip.text for slip in ALL}) > 0.9 * NUMBER
    assert sum(bool(checked.errors) for checked in looked) > NUMBER / 2
    assert sum(not checked.errors for checked in looked) > NUMBER / 20
    assert len({one.code for checked in looked for one in checked.errors}) > 10
