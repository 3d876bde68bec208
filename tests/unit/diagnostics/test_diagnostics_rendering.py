"""
How a mistake is shown: to people, to editors, to programs, to GitHub.
"""

import json

import pytest

from oaflow.compiler.rules.graph import CYCLE
from oaflow.compiler.rules.names import UNKNOWN_STAGE
from oaflow.compiler.rules.shape import SECRET_PARAM
from oaflow.diagnostics import Diagnostic, Span
from oaflow.rendering import FORMS, render


def diagnostic(source: str, word: str, **keys) -> Diagnostic:
    column = source.index(word) + 1
    span = Span(("stages", "x"), "pipelines/ingest.yml", 24, column, 24, column + len(word), source)
    return Diagnostic(UNKNOWN_STAGE, f"no stage is named {word!r}", span, **keys)


def test_text_is_as_the_language_shows_it():
    one = diagnostic("      default: analyse", "analyse", help="did you mean 'analyze'?")

    assert render([one], "text").splitlines() == [
        "error[OAF201] unknown-stage: no stage is named 'analyse'",
        "  --> pipelines/ingest.yml:24:16",
        "   24 |       default: analyse",
        "      |                ^^^^^^^",
        "  help: did you mean 'analyze'?",
    ]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("дом: analyse", "analyse"),
        ("家: analyse", "analyse"),
        ("key: 家家", "家家"),
        ("é́: analyse", "analyse"),
        ("a:\tanalyse", "analyse"),
        ("x" * 300 + " analyse " + "y" * 300, "analyse"),
        ("x" * 300 + " analyse", "analyse"),
        ("a: \x1b[31manalyse", "analyse"),
    ],
)
def test_the_caret_stands_under_the_word(source: str, word: str):
    from rich.cells import cell_len

    shown, underline = render([diagnostic(source, word)], "text").splitlines()[2:4]

    before, after = shown.split(word)[0], underline.partition("^")[0]
    assert cell_len(before) == cell_len(after)
    assert underline.count("^") == cell_len(word)
    assert cell_len(shown) < 130


def test_a_value_over_several_lines_is_underlined_to_the_end_of_its_first():
    span = Span((), "p.yml", 3, 5, 6, 1, "a:  {b: 1,   ")

    assert render([Diagnostic(CYCLE, "x", span)], "text").splitlines()[3] == "      |     ^^^^^^"


def test_what_has_no_line_shows_its_path():
    one = Diagnostic(UNKNOWN_STAGE, "no stage is named 'x'", Span(("stages", "a", "next", 0), "words.py"))

    assert render([one], "text").splitlines()[1] == "  --> words.py: stages.a.next[0]"
    assert render([one], "concise") == "words.py: stages.a.next[0]: OAF201 no stage is named 'x'"


def test_nothing_that_is_printed_can_steer_a_terminal():
    one = diagnostic("a: \x1b[2J\x07 analyse", "analyse", help="\x1b[31mred")
    name = Diagnostic(UNKNOWN_STAGE, "x", Span((), "new\nline\x1b.yml", 1, 1, 1, 2, "a"))

    for form in ("text", "concise"):
        assert all(letter.isprintable() or letter == "\n" for letter in render([one, name], form))


def test_json_holds_everything_and_null_where_there_is_nothing():
    one = diagnostic(
        "      default: analyse", "analyse", help="h", notes=(("here", Span(("a",), "p.yml", 2, 1, 2, 3)),)
    )
    bare = Diagnostic(SECRET_PARAM, "shown", Span(("params", "key")))

    first, second = json.loads(render([one, bare], "json"))
    assert first == {
        "code": "OAF201",
        "slug": "unknown-stage",
        "severity": "error",
        "message": "no stage is named 'analyse'",
        "help": "h",
        "file": "pipelines/ingest.yml",
        "path": ["stages", "x"],
        "line": 24,
        "column": 16,
        "end_line": 24,
        "end_column": 23,
        "notes": [
            {"message": "here", "file": "p.yml", "path": ["a"], "line": 2, "column": 1, "end_line": 2, "end_column": 3}
        ],
    }
    assert second["severity"] == "warning"
    assert second["line"] is None
    assert json.loads(render([], "json")) == []


def test_github_gets_a_workflow_command_that_no_text_can_break():
    one = diagnostic("      default: analyse", "analyse", help="100 % sure,\nyes")
    odd = Diagnostic(SECRET_PARAM, "x", Span((), "a,b:c.yml", 1, 1, 1, 2, "a"))

    assert render([one, odd], "github").splitlines() == [
        "::error file=pipelines/ingest.yml,line=24,col=16,endLine=24,endColumn=23,title=OAF201 unknown-stage"
        "::no stage is named 'analyse'%0Ahelp: 100 %25 sure,%0Ayes",
        "::warning file=a%2Cb%3Ac.yml,line=1,col=1,endLine=1,endColumn=2,title=OAF119 secret-param::x",
    ]


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("json", "sarif")])
def test_nothing_wrong_is_nothing_shown(form: str):
    assert render([], form) == ""
