"""
A part of a text is found in the file, however the text is written there.
"""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oaflow.compiler.checking import check_data
from oaflow.compiler.places import part_of, places_of
from oaflow.diagnostics import NO_SPANS
from oaflow.loader import load_text
from oaflow.plan import bind

words = st.text(st.sampled_from("ab'\"\\:é ,#{}\n"), max_size=12)


def marked(text: str, *path: str | int, part: str = "MARK") -> str:
    """
    What stands in the file where a part of a value is said to be.
    """
    loaded = load_text(text)
    value = loaded.data
    for step in path:
        value = value[step]
    span = part_of(loaded.spans, path, value, value.index(part), len(part))
    assert text.splitlines()[span.line - 1] == span.source
    return span.source[span.column - 1 : span.end_column - 1]


@given(words, words, st.sampled_from([None, "'", '"', "|", ">"]), st.sampled_from([20, 80]))
def test_a_part_is_found_in_every_style_of_yaml(before, after, style, width):
    text = yaml.safe_dump({"a": [{"b": f"{before}MARK{after}"}]}, default_style=style, width=width, allow_unicode=True)
    if load_text(text).diagnostics:
        return  # what the loader refuses has no value to find anything in

    assert marked(text, "a", 0, "b") == "MARK"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: one MARK two", "MARK"),
        ("a: 'it''s MARK'", "MARK"),
        ('a: "\\x41 \\u00e9 \\" MARK"', "MARK"),
        ('a: "over \\\n   MARK"', "MARK"),
        ("a: &anchor MARK", "MARK"),
        ("a: one\n  MARK\n", "MARK"),
        ("a: >-\n  one\n  MARK\n", "MARK"),
        ("a: |2\n    one\n  MARK\n", "MARK"),
    ],
)
def test_a_part_is_found_where_it_stands(text: str, found: str):
    assert marked(text, "a") == found


def test_what_an_alias_repeats_is_found_where_it_is_written():
    text = "a: &anchor >\n  one\n\n    MARK\nb: *anchor\n"

    assert marked(text, "a") == marked(text, "b") == "MARK"


def test_what_goes_on_in_the_next_line_is_marked_to_the_end_of_its_first():
    assert marked("a: one\n  two three\n", "a", part="one two") == "one"


def test_what_was_declared_in_python_has_its_path():
    span = part_of(NO_SPANS, ("stages", "a"), "some text", 5, 4)

    assert (span.line, span.path) == (0, ("stages", "a"))


EXPRESSIONS = """\
pipeline: letters
params: {loud: {type: bool, default: true}}
stages:
  read:
    task: letters.read
    next:
      - {to: tell, where: &asked "e.caption"}
      - to: keep
        when: >
          job.context.way
          and params.loud
        where: *asked
  tell: {task: letters.tell, enabled: params.loud, lock: 'job.dataset'}
  keep: {task: letters.keep}
"""


def test_what_is_bound_knows_where_its_expressions_are_written_and_the_plan_does_not():
    loaded = load_text(EXPRESSIONS, "letters.yml")
    checked = check_data(loaded.data, loaded.spans)
    assert checked.plan is not None, checked.diagnostics
    assert checked.pipeline is not None

    places = places_of(checked.pipeline, loaded.spans)
    bound = bind(checked.plan, {"loud": True}, places=places)

    assert bound.stages["read"].places == {
        "default>tell.where": "letters.yml:7:35",
        "default>keep.when": "letters.yml:10:11",
        "default>keep.where": "letters.yml:7:35",
    }
    assert bound.stages["tell"].places == {"enabled": "letters.yml:13:39", "lock": "letters.yml:13:59"}
    moved = load_text(f"# A comment.\n{EXPRESSIONS}", "letters.yml")
    again = check_data(moved.data, moved.spans)
    assert again.plan is not None
    assert again.plan.digest == checked.plan.digest
