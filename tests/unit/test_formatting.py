"""
`oaflow fmt`: what a file means stays, and so do its comments.
"""

import re
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oaflow.compiler import check_data
from oaflow.diagnostics import errors
from oaflow.formatting import FormatError, formatted
from oaflow.loader import load, load_text

ROOT = Path(__file__).parents[2]
OWN = [*ROOT.glob("pipelines/*.yml"), *ROOT.glob("examples/*/pipeline.yml")]
GOLDEN = [path for path in sorted(ROOT.glob("tests/diagnostics/*/pipeline.yml")) if load(path).data is not None]

PLAIN = ("no", "on", "True", "010", "1_000", "0o17", "1e3", "~", "null", "a b", "http://x#y", "é", "12:30", "- x", "=")
QUOTED = ("'it''s'", '"a\\tb # c"', "''", '"${params.x}"', "'# none'")


@st.composite
def documents(draw: st.DrawFn) -> str:
    """
    YAML as careless people write it: any indents, brackets or none, comments anywhere.
    """
    comments = st.sampled_from(["", "", "", "  # why", " #  how", "\t# x"])

    def scalar() -> str:
        return draw(st.sampled_from([one for one in PLAIN if not one.startswith("-")] + list(QUOTED)))

    def flow(depth: int, indent: int) -> str:
        kind = draw(st.integers(0, 2 if depth else 0))
        inner = [flow(depth - 1, indent) for _ in range(draw(st.integers(0, 2)))] if kind else []
        # A comment ends its line; what goes on inside of brackets stands further in than the key.
        ends = [
            f"{comment}\n{' ' * (indent + 1)}{alone}" for comment in ("", "  # why") for alone in ("", "# aside\n ")
        ]
        blank = draw(st.sampled_from(["", " ", "  ", *[end.replace("\n ", "\n" + " " * (indent + 1)) for end in ends]]))
        if kind == 1:
            return f"[{blank}{f',{blank}'.join(inner)}{blank}]"
        if kind == 2:
            return "{" + f",{blank}".join(f"k{n}:  {one}" for n, one in enumerate(inner)) + blank + "}"
        return draw(st.sampled_from(["word", *QUOTED]))

    def aside(indent: int) -> list[str]:
        return draw(st.lists(st.sampled_from(["", " " * indent + "# aside", "# at the start", "   "]), max_size=2))

    def block(indent: int, depth: int) -> list[str]:
        lines: list[str] = []
        for number in range(draw(st.integers(1, 3))):
            lines += aside(indent)
            key = f"{' ' * indent}key{number}:"
            what = draw(st.sampled_from(["scalar", "flow", "literal", "nothing", "map", "list"]))
            if what in ("map", "list") and not depth:
                what = "scalar"
            if what == "scalar":
                lines.append(f"{key}  {scalar()}{draw(comments)}")
            elif what == "flow":
                lines += f"{key} {flow(2, indent)}{draw(comments)}".split("\n")
            elif what == "nothing":
                lines.append(f"{key}{draw(comments)}")
            elif what == "literal":
                mark, deeper = draw(st.sampled_from(["|", ">", "|-", ">-", "|+"])), indent + draw(st.integers(1, 4))
                lines += [f"{key} {mark}", *(" " * deeper + text for text in ("one  # no comment", "  two", "three"))]
            elif what == "map":
                lines += [f"{key}{draw(comments)}", *block(indent + draw(st.integers(1, 5)), depth - 1)]
            else:
                dash = " " * (indent + draw(st.integers(0, 4)))
                lines.append(f"{key}{draw(comments)}")
                lines += [f"{dash}- {' ' * draw(st.integers(0, 2))}{scalar()}{draw(comments)}" for _ in range(2)]
        return lines

    begin, end = (draw(st.sampled_from([[], [mark], [f"{mark} # x"], [mark, "# aside"]])) for mark in ("---", "..."))
    whole = [*aside(0), *begin, *block(0, 3), *aside(0), *end, *(aside(0) if end else [])]
    return "\n".join(whole) + draw(st.sampled_from(["", "\n", "\n\n\n"]))


def comments_of(text: str) -> dict[str, int]:
    return {one: text.count(one) for one in ("# why", "#  how", "# x", "# aside", "# at the start")}


# A folded text whose last line has nothing but blanks, and a comment after it.
LOST = re.compile(r">-\n(?: [^\n]*\n)* +\n[ \n]*(?:\.\.\.)?[ \n]*#")


@settings(deadline=None)
@given(documents().filter(lambda text: not LOST.search(text)))
def test_what_a_file_says_its_comments_and_their_number_stay_and_a_second_time_changes_nothing(text):
    before = load_text(text)
    assert errors(before.diagnostics) == []

    after = formatted(text)

    assert repr(load_text(after).data) == repr(before.data)
    assert comments_of(after) == comments_of(text)
    assert formatted(after) == after
    assert after.endswith("\n")
    assert not after.endswith("\n\n") or "|+" in after


@pytest.mark.parametrize("path", [*OWN, *GOLDEN], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_pipeline_has_the_same_digest_or_the_same_mistakes_before_and_after(path: Path):
    text = path.read_bytes().decode()

    after = formatted(text)

    def told(text: str) -> Any:
        loaded = load_text(text)
        checked = check_data(loaded.data, loaded.spans)
        return checked.plan and checked.plan.digest, sorted(
            (one.code, one.message, one.span.path) for one in checked.diagnostics
        )

    assert told(after) == told(text)
    assert formatted(after) == after


@pytest.mark.parametrize("path", OWN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_our_own_pipelines_are_as_they_are_to_be(path: Path):
    text = path.read_text("utf-8")

    assert formatted(text) == text


def test_indents_spaces_and_empty_lines_are_put_in_order_and_comments_follow_what_they_stand_at():
    text = """\

# About
pipeline:   letters


stages:
    # reads
    read:
        task: 'letters.read'   # quotes stay
        next: [ scan,index ]
        # of read
    # scans
    scan:
        task: letters.scan
        next:
        - index
        with: { deep: 010,
                on: yes }
    index: {task: letters.index, next: [{to: keep}]}
    keep: {task: letters.keep}
"""

    assert (
        formatted(text)
        == """\
# About
pipeline: letters

stages:
  # reads
  read:
    task: 'letters.read'       # quotes stay
    next: [scan, index]
    # of read
  # scans
  scan:
    task: letters.scan
    next:
      - index
    with:
      deep: 010
      on: yes
  index: {task: letters.index, next: [{to: keep}]}
  keep: {task: letters.keep}
"""
    )


def test_a_comment_inside_of_brackets_stays_at_what_it_was_for_and_the_brackets_go():
    text = """\
stages: {  # all
  read: {  # open
    task: letters.read,  # one
    # alone
    next: [scan, # first
      index],  # behind
    # last
  },
  scan: {task: letters.scan, next: [{to: a}, {to: b,
    # of when
    when: x}]}, # scans
  other: [{a: 1, # x
     b: 2}, [], # y
     # z
     ],
  empty: { # e
  }
} # end
"""

    assert (
        formatted(text)
        == """\
# all
stages: # end
  read:  # open
    task: letters.read  # one
    # alone
    next:  # behind
      - scan  # first
      - index
    # last
  scan:  # scans
    task: letters.scan
    next:
      - {to: a}
      - to: b
        # of when
        when: x
  other:
    - a: 1  # x
      b: 2
    - []  # y
    # z
  empty: {}  # e
"""
    )


def test_the_marks_around_a_document_go_and_the_comments_around_them_stay():
    text = "# one\n--- # two\n# three\nstages:\n    read: {}\n# four\n...\n# five\n"

    assert formatted(text) == "# one\n# two\n# three\nstages:\n  read: {}\n# four\n# five\n"


def test_a_mark_that_is_used_twice_is_no_news(recwarn: pytest.WarningsRecorder):
    text = "stages:\n  a: &one {task: m.a}\n  b: *one\n  c: &one {task: m.c}\n  d: *one\n"

    assert formatted(text) == text
    assert not recwarn.list


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("description: >-\n one\n   \n# why\nstages: {}\n", 4),
        ("params: {\n # a\n x: 1,\n # b\n}\ndescription: >-\n one\n   \n# why\nstages: {}\n", 9),
    ],
)
def test_a_comment_that_would_be_lost_is_named_with_its_line(text: str, line: int):
    with pytest.raises(FormatError, match="the comment '# why' stands where it would be lost") as caught:
        formatted(text)

    assert caught.value.line == line
    assert caught.value.help == "put it on a line of its own, before the key that it is for"


def test_the_work_grows_with_the_file_and_not_with_its_square():
    def seconds_for(stages: int) -> float:
        lines = [f"  s{n}:\n    with: {{a: 1,  # one\n      b: [2,\n      # two\n      3]}}" for n in range(stages)]
        started = process_time()
        formatted("\n".join(["stages:", *lines]))
        return process_time() - started

    seconds_for(10)

    # Eight times as long a file: its square is 64 times as large.
    assert seconds_for(1600) < 16 * seconds_for(200)
