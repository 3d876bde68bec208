"""
Whatever stands in a file that was named as a pipeline: a sentence with the file and the next thing to type, from every
command, and never a traceback.
"""

import os
import random
import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT, Command, Result

SOURCES = ("pipelines/ingest.yml", "examples/words/pipeline.yml", "examples/spacy_names/pipeline.yml")

# What may stand where a value stood.
VALUES = (
    *("null", "[]", "{}", "1e309", ".nan", "9" * 30, "9" * 4400, '"\\u0000"', '"\\ud800"', "*a", "&a 1", "!x y"),
    *("{<<: 1}", "? x", "|", "- x", '"', "[", "{", "%", "@x", "名前", "\u202e", "x: y", '"${params.x}"', '"${"'),
    *('"("', '"any(x for x in job.context.a)"', "{1: 2}", "{null: x}", "[[[[]]]]", "\t", "x" * 300, "2026-11-27"),
)
LETTERS = tuple("\"'[]{}:,&*!|>%@`#\\\t \x00\x07\x1b\u2028\x85\ufeff\u200bаé")
LINES = ("tests: [null]", "stages: {}", "start: [a, a]", "---", "...", "? [a]", "%YAML 1.2", "x: &x {<<: *x}")

# What nobody is to read of oaflow.
INSIDE = re.compile(r"Traceback|OAF901|this is a bug|itself failed|object at 0x|NoneType|pydantic")

COMMANDS = (
    ("check", "--no-import"),
    ("fmt", "--check"),
    ("graph",),
    ("plan", "--no-import"),
    ("test",),
    ("run", "-d", "demo"),
)


def mutated(chance: random.Random, text: str) -> bytes:
    """
    A pipeline with one to three things changed as people, editors and merges change them.
    """
    lines = text.split("\n")
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(lines))
        lines[at : at + 1] = changed(chance, lines[at]) or [""]
    whole = "\n".join(lines)
    return chance.choice(
        (
            *[whole.encode()] * 30,
            whole.replace("\n", "\r\n").encode(),
            b"\xef\xbb\xbf" + whole.encode(),
            whole.encode("utf-16"),
            whole.encode() + "# für".encode("latin-1"),
        )
    )


def changed(chance: random.Random, line: str) -> list[str]:
    """
    What stands in the place of a line.
    """
    place = chance.randrange(len(line) + 1)
    value = chance.choice(VALUES)
    return chance.choice(
        (
            [" " * chance.randrange(9) + line.lstrip()],
            ["\t" + line],
            [line, line],
            [],
            [line[:place] + chance.choice(LETTERS) + line[place:]],
            [line[:place] + line[place + 1 :]],
            [line, " " * chance.choice((0, 2, 4)) + chance.choice(LINES)],
            [re.sub(r": .*", lambda _: f": {value}", line, count=1)],
            [re.sub(r"\w+:", lambda _: f"{value}:", line, count=1)],
        )
    )


def told_well(result: Result, name: str) -> None:
    """
    A command had something to say of a file, or nothing.
    """
    said = result.out + result.err
    assert not INSIDE.search(said), said
    assert result.code in (0, 1, 2), said
    if result.code:
        assert name in said
        assert "help:" in said or "would change" in said or "mistake" in said, said
    for part in re.split(r"\n(?=(?:error|warning)\[)", said):
        if part.startswith(("error[", "warning[")):
            assert "\n  help: " in part, part


@pytest.mark.parametrize("seed", range(5))
def test_no_change_of_a_pipeline_brings_a_command_to_fall(offline: Command, seed: int) -> None:
    chance = random.Random(seed)
    path = offline.folder / "odd.yml"

    for _ in range(8):
        path.write_bytes(mutated(chance, (ROOT / chance.choice(SOURCES)).read_text("utf-8")))
        checked = offline("check", "--no-import", path.name)
        told_well(checked, path.name)
        # `run` would import what is right.
        others = [command for command in COMMANDS[1:] if checked.code or command[0] != "run"]
        for name, *options in chance.sample(others, 2):
            result = offline(name, path.name, *options)
            told_well(result, path.name)
            if name in ("graph", "plan"):
                assert (result.code == 0) == (checked.code == 0), result.err


HEAD = "pipeline: p\nstages:\n"
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(8))


INSTEAD = {
    "nothing": ("null\n", "the file holds markers but no value"),
    "a word": ("stages\n", "a pipeline must be a mapping"),
    "two values": ("{}\npipeline: p\n", "the text above ends before this line"),
    "a missing value": (HEAD + "  a: {task: {, next: b}\n", "a value is missing here"),
    "a star": (HEAD + "  a: {task: *.txt}\n", "put the value in quotes: '*.txt'"),
    "an at": (HEAD + "  a: {task: a.b, queue: @x}\n", "in quotes"),
    "a list": (HEAD + "  a: - b\n", "put the value in quotes, or start it on a line of its own"),
    "a mapping": (HEAD + "  a: {task: {}}\n", "'task' must be a name, but is a mapping"),
    "one stage twice": (HEAD + "  a: {task: a.b}\n" * 2, "key 'a' is given twice"),
    "depth": ("pipeline: p\nstages: " + "[" * 5000, "nested more than 64 deep"),
    "aliases of aliases": (LAUGHS, "the aliases of this file repeat more than 1000 values"),
    "itself": ("pipeline: p\nstages: &s {a: *s}\n", "is inside what it repeats"),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_what_stands_in_a_file_instead_of_a_pipeline_is_named_with_a_way_out(offline: Command, name: str) -> None:
    content, said = INSTEAD[name]
    (offline.folder / "odd.yml").write_text(content, "utf-8")

    for command, *options in COMMANDS:
        result = offline(command, "odd.yml", *options)

        told_well(result, "odd.yml")
        # Spaces can be put in order where only the meaning is wrong.
        if command != "fmt":
            assert result.code, result.out
            assert said in result.out + result.err


def test_links_that_lead_nowhere_are_named_as_such(offline: Command) -> None:
    for name, target in (("one.yml", "two.yml"), ("two.yml", "one.yml"), ("away.yml", "gone.yml")):
        (offline.folder / name).symlink_to(target)

    for name, *options in COMMANDS:
        for file in ("one.yml", "away.yml"):
            result = offline(name, file, *options)

            told_well(result, file)
            assert result.code, name
            if name != "fmt":
                assert result.error == f"'{file}' is a link to a file that does not exist"
                assert result.help.startswith(f"ls -l {file}")


def test_what_is_no_file_is_not_read(offline: Command) -> None:
    os.mkfifo(offline.folder / "pipe.yml")

    for name, *options in COMMANDS:
        result = offline(name, "pipe.yml", *options)

        told_well(result, "pipe.yml")
        assert "not a regular file" in result.out + result.err


def test_thousands_of_stages_are_read_drawn_and_compiled(offline: Command) -> None:
    path: Path = offline.folder / "many.yml"
    stages = "".join(f"  s{number}: {{task: a.b, next: s{number + 1}}}\n" for number in range(2000))
    path.write_text(f"{HEAD}{stages}  s2000: {{task: a.b}}\n")

    for name, *options in COMMANDS[:4]:
        assert offline(name, "many.yml", *options).code == 0, name
