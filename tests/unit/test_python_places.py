"""
Places in the source of the Python form.
"""

import linecache
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from oaflow import Param, Pipeline, external, recurse, stage
from oaflow.diagnostics import Spans

NAMES = {"Param": Param, "Pipeline": Pipeline, "external": external, "recurse": recurse, "stage": stage}


def places_in(source: str) -> Spans:
    """
    The places of the pipeline `made` in a source.
    """
    file = "<declared in a test>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = {**NAMES, "__name__": "declared"}
    exec(compile(source, file, "exec"), space)
    return space["made"].spans


def cut(spans: Spans, *path, key: bool = False) -> str:
    found = spans.keys[path] if key else spans.values[path]
    assert (found.path, found.line) == (path, found.end_line)
    assert found.source == spans.lines[found.line - 1]
    return found.source[found.column - 1 : found.end_column - 1]


SOURCE = """\
@stage
def keep(job): ...

COMMON = {"retry": 3}
later = keep.stage(**{"queue": "später"}, **COMMON)
made = Pipeline(
    name="p", params={"é": Param(list[int], default=[1, *[2], 3]), "b": Param("choice", choices=("x", "y"))},
    stages={
        "keep": keep.stage(with_={"a": {"b": 1}}, next=[recurse("keep", depth=3, port="c"), dict(to="ext", when="x")]),
        "later": later,
        "ext": external("a.b", queue="q"),
        **{name: keep.stage(next={"default": "ext"}) for name in ("one", "two")},
    },
    start=["keep", "ext"], defaults=COMMON,
)
"""


def test_what_is_written_out_has_its_place():
    spans = places_in(SOURCE)
    at = partial(cut, spans)

    assert at("pipeline") == '"p"'
    assert (at("params", "é", key=True), at("params", "é", "type")) == ('"é"', "list[int]")
    assert (at("params", "é", "of"), at("params", "é", "default", 0)) == ("int", "1")
    assert ("params", "é", "default", 1) not in spans.values
    assert (at("params", "b", "choices", 1), at("params", "b", "choices", key=True)) == (
        '"y"',
        "choices",
    )
    assert (at("stages", "keep", key=True), at("stages", "keep", "task")) == ('"keep"', "keep")
    assert (at("stages", "keep", "with", key=True), at("stages", "keep", "with", "a", "b")) == (
        "with_",
        "1",
    )
    closing = ("stages", "keep", "next", 0)
    assert [at(*closing, key) for key in ("to", "recurse", "port")] == ['"keep"', "3", '"c"']
    assert (at("stages", "keep", "next", 1, "when"), at("start", 1)) == ('"x"', '"ext"')
    assert (at("stages", "later", "queue"), at("stages", "ext", "task")) == ('"später"', '"a.b"')
    assert at("stages", "two", "next", "default") == '"ext"'


def test_what_is_not_written_out_there_has_the_place_of_what_it_stands_in():
    spans = places_in(SOURCE)

    assert spans.value("stages", "later", "retry") == spans.keys["stages", "later"]
    assert cut(spans, "stages", "later", key=True) == '"later"'
    assert spans.value("defaults", "retry") == spans.keys[("defaults",)]
    assert spans.value("nothing").source == "made = Pipeline("


letters = st.sampled_from("ab '\"\\\n\té😀{}#") | st.characters(codec="utf-8", exclude_characters="\r")


@st.composite
def literals(draw):
    """
    A text and a way to write it: in one literal or several, with escapes or without.
    """
    text, written = "", list[str]()
    for piece in draw(st.lists(st.text(letters, max_size=6), min_size=1, max_size=3)):
        escaped = "".join(f"\\U{ord(letter):08x}" for letter in piece)
        forms = [repr(piece), f"u'{escaped}'", f"'\\\n{escaped}'"]
        if all(letter.isprintable() or letter in "\n\t" for letter in piece) and not {'"', "\\"} & set(piece):
            forms += [f'"""{piece}"""', f'R"""{piece}"""']
        text += piece
        written.append(draw(st.sampled_from(forms)))
    return text, draw(st.sampled_from([" ", "\n    ", "  # it's\n"])).join(written)


@given(literals())
def test_each_letter_of_a_text_stands_where_it_is_written(drawn):
    text, written = drawn
    spans = places_in(f"made = Pipeline('p', stages={{}}, description=(\n  {written}\n))\n")

    found = spans.letters[("description",)]
    assert len(found) == len(text)
    for letter, (line, column) in zip(text, found, strict=True):
        at = (spans.lines[line] + "\n")[column]
        assert at in (letter, "\\")
