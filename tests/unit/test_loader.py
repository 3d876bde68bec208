"""
YAML becomes data with places, and whatever is no pipeline file is one clear mistake.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oaflow.diagnostics import Span, Spans
from oaflow.loader import Loaded, load, load_bytes, load_text
from oaflow.rendering import FORMS, render

# PyYAML writes YAML 1.1, in which `0E0` and `0o7` are words that need no quotes.
texts = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" :#-"), max_size=8).filter(
    lambda text: not re.fullmatch(r"[-+.0-9oxa-fA-F]+", text)
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)
documents = st.dictionaries(texts, values, min_size=1, max_size=4)


def codes(loaded: Loaded) -> list[str]:
    return [one.code for one in loaded.diagnostics]


@given(documents, st.booleans())
def test_what_is_written_is_what_is_read(data: dict[str, Any], flow: bool):
    written = yaml.safe_dump(data, allow_unicode=True, default_flow_style=flow, sort_keys=False, width=30)

    assert load_text(written).data == data
    assert load_text(json.dumps(data, ensure_ascii=False)).data == data


@given(documents)
def test_every_value_and_every_key_has_its_place(data: dict[str, Any]):
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    loaded = load_text(text, "pipeline.yml")

    for path, value in walk(data):
        span = loaded.spans.value(*path)
        assert span.path == path
        if isinstance(value, int) and not isinstance(value, bool):
            assert cut(span) == str(value)
        if path and isinstance(path[-1], str) and path[-1].isascii() and path[-1].isalpha():
            assert cut(loaded.spans.key(*path)).strip("'\"") == path[-1]


def walk(value: Any, path: tuple[str | int, ...] = ()):
    yield path, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from walk(member, (*path, key))


def cut(span: Span) -> str:
    return span.source[span.column - 1 : span.end_column - 1]


syntax = st.lists(
    st.sampled_from(
        [  # pieces of files
            "pipeline: a",
            "stages:",
            "  read: {task: m.read",
            "}",
            "- x",
            "&a [",
            "]",
            "*a",
            "<<: *a",
            "---",
            "? [a]",
            "!!str",
            "\t",
            "\ttask: x",
            ": :",
            "'",
            '"',
            "|\n  text",
            "#",
            "%YAML 1.2",
            "...",
            "a: 1",
            "a: 1",
            "é",
            "\u2028",
            "\x85",
        ]
    ),
    max_size=12,
).map("\n".join)


@given(syntax | st.text(max_size=40))
def test_no_text_whatever_is_more_than_a_list_of_mistakes(text: str):
    loaded = load_text(text, "pipeline.yml")

    assert (loaded.data is None) == bool(loaded.diagnostics)
    for form in FORMS:
        render(loaded.diagnostics, form)
    for one in loaded.diagnostics:
        assert 0 <= one.span.line <= text.count("\n") + text.count("\r") + text.count("\u2028") + text.count("\x85") + 1


@given(st.binary(max_size=60))
def test_no_bytes_whatever_are_more_than_a_list_of_mistakes(raw: bytes):
    loaded = load_bytes(raw, "pipeline.yml")

    assert (loaded.data is None) == bool(loaded.diagnostics)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("null", None),
        ("~", None),
        ("NULL", "NULL"),
        ("12", 12),
        ("-3", -3),
        ("0o14", 12),
        ("0xFF", 255),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("2024-01-01", "2024-01-01"),
        ("'true'", "true"),
        ('"12"', "12"),
        ("=", "="),
        ("30m", "30m"),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(written: str, value: Any):
    found = load_text(f"key: {written}").data["key"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["OAF005"]),
        ("# nothing\n", ["OAF005"]),
        ("---\n", ["OAF005"]),
        ("a: [1\n", ["OAF007"]),
        ("a: b: c\n", ["OAF007"]),
        ("a: @b\n", ["OAF007"]),
        ("a: *b\n", ["OAF007"]),
        ("a:\n\tb: 1\n", ["OAF008"]),
        ("a: 1\n---\nb: 2\n", ["OAF009"]),
        ("a: 1\na: 2\n", ["OAF010"]),
        ("a: {b: 1, c: 2, b: 3, b: 4}\n", ["OAF010", "OAF010"]),
        ("a: !x 1\n", ["OAF011"]),
        ("a: ! 1\n", ["OAF011"]),
        ("!!map {a: 1}\n", ["OAF011"]),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", ["OAF012"]),
        ("a: &a [*a]\n", ["OAF013"]),
        ("a: " + "[" * 70, ["OAF014"]),
        ("1: a\n", ["OAF015"]),
        ("true: a\n", ["OAF015"]),
        ("? [a]\n: b\n", ["OAF015"]),
        ("{a: 1}: b\n", ["OAF015"]),
        ("&k a: 1\n*k : 2\n", ["OAF015"]),
        ("a: \ufffe\n", ["OAF003"]),
    ],
)
def test_what_is_no_pipeline_file_has_its_own_mistake(text: str, expected: list[str]):
    assert codes(load_text(text)) == expected


def test_both_places_of_a_duplicate_key_are_shown():
    found = load_text("a: 1\nb: 2\na: 3\n").diagnostics[0]

    assert (found.span.line, found.span.column) == (3, 1)
    assert found.notes[0][1].line == 1


def test_what_an_alias_repeats_has_places_where_it_was_written():
    loaded = load_text("a: &x {retry: often}\nb: *x\n")

    assert loaded.data == {"a": {"retry": "often"}, "b": {"retry": "often"}}
    assert loaded.spans.value("b", "retry").line == 1


def test_aliases_of_aliases_are_stopped_while_they_are_read():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    assert codes(load_text("\n".join(lines))) == ["OAF013"]


def test_many_anchors_take_no_time():
    loaded = load_text("a:\n" + "".join(f"- &a{n} {n}\n" for n in range(20_000)))

    assert len(loaded.data["a"]) == 20_000


@pytest.mark.parametrize("depth", [65, 999, 1100, 100_000])
def test_brackets_are_stopped_however_many_there_are(depth: int):
    assert codes(load_text("a: " + "[" * depth)) == ["OAF014"]
    assert codes(load_text("\n".join(f"{' ' * level}a:" for level in range(min(depth, 1200) + 1)))) == ["OAF014"]


def test_a_tab_is_harmless_where_it_indents_nothing():
    assert load_text("a: |\n  one\n  \ttwo\nb: 'x\ty'\n").data == {"a": "one\n\ttwo\n", "b": "x\ty"}


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_are_counted_however_they_end(line_break: str):
    text = line_break.join(["a: 1", "b: 2", "a: 3", ""])

    assert load_text(text).diagnostics[0].span.line == 3
    assert load_text(text).diagnostics[0].span.source == "a: 3"


def test_columns_count_characters_also_behind_other_scripts():
    loaded = load_text("{'дом': 1, 'дом': 2}")

    assert loaded.diagnostics[0].span.column == 12


def test_a_byte_order_mark_is_no_character():
    assert load_bytes(b"\xef\xbb\xbfa: 1\n", "p.yml").spans.key("a").column == 1


def test_a_latin_1_file_shows_the_line_with_the_byte(tmp_path: Path):
    path = tmp_path / "p.yml"
    path.write_bytes("a: 1\nb: Zürich\n".encode("latin-1"))
    found = load(path).diagnostics[0]

    assert found.code == "OAF004"
    assert (found.span.line, found.span.column, found.span.source) == (2, 5, "b: Zürich")


def test_what_cannot_be_read_says_why(tmp_path: Path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    assert codes(load(tmp_path / "missing.yml")) == ["OAF001"]
    assert codes(load(tmp_path)) == ["OAF002"]
    assert codes(load(fifo)) == ["OAF001"]
    assert codes(load(Path("nul\0.yml"))) == ["OAF001"]


def test_a_file_without_the_right_to_read_it_says_so(tmp_path: Path):
    path = tmp_path / "p.yml"
    path.touch(mode=0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads every file")

    assert "permission denied" in load(path).diagnostics[0].message


def test_a_folder_names_the_pipelines_in_it(tmp_path: Path):
    (tmp_path / "letters.yml").touch()

    assert "letters.yml" in str(load(tmp_path).diagnostics[0].help)


def test_a_file_of_python_says_how_its_pipelines_are_named(tmp_path: Path):
    path = tmp_path / "letters.py"
    path.write_text("letters = Pipeline('letters', stages={})")

    assert load(path).diagnostics[0].help == "a pipeline in Python is named by its module: letters:NAME"
    (tmp_path / "__init__.py").touch()
    assert (
        load(path).diagnostics[0].help == f"a pipeline in Python is named by its module: {tmp_path.name}.letters:NAME"
    )


def test_a_file_over_a_mebibyte_is_not_read_on(tmp_path: Path):
    path = tmp_path / "p.yml"
    path.write_bytes(b"#" * (2**20 + 1))
    assert codes(load(path)) == ["OAF006"]

    path.write_bytes(b"a: 1\n" + b"#" * (2**20 - 5))
    assert load(path).data == {"a": 1}


def test_the_nearest_place_stands_for_what_was_not_written():
    loaded = load_text("stages:\n  read: {task: m.read}\n")

    assert loaded.spans.value("stages", "read", "queue") == loaded.spans.key("stages", "read")
    assert Spans().value("stages", "read").dotted == "stages.read"
