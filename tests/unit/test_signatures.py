import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.compiler.annotations import accepted, shape_of
from oaflow.compiler.functions import Inspected, InspectionError, Parameter
from oaflow.compiler.rules import RULES
from oaflow.compiler.shape import parse_pipeline
from oaflow.compiler.signatures import check_functions
from oaflow.loader import load_text
from oaflow.model import Param, StageOptions

JOB = Parameter("job", required=True, annotation="DatasetJob")

PARAMS = {
    "text": Param(),
    "path": Param(type="path"),
    "paths": Param(type="list", of="path"),
    "wait": Param(type="duration"),
    "room": Param(type="size"),
    "on": Param(type="bool"),
}


def told(text: str, function: Inspected | InspectionError, **others: Inspected | InspectionError) -> list[str]:
    """
    What is said about a pipeline of which stage `a` has this function: code, place, sentence and help.
    """
    loaded = load_text(f"pipeline: p\nstages:\n{text}")
    pipeline, found = parse_pipeline(loaded.data, loaded.spans)
    assert pipeline is not None, found
    inspected = {"m.a": function, "m.b": Inspected(StageOptions(), parameters=(JOB,)), **others}
    return [
        f"{one.code} {one.span.line}:{one.span.column} {one.message} | {one.help}"
        for one in check_functions(pipeline, inspected, loaded.spans)
    ]


def function(*parameters: Parameter, **keys) -> Inspected:
    options = StageOptions(**{key: keys.pop(key) for key in list(keys) if key in StageOptions.model_fields})
    return Inspected(options, parameters=(JOB, *parameters), **keys)


def test_a_stage_that_fits_its_function_is_left_in_peace():
    found = function(
        Parameter("depth", kind="keyword", annotation="int"), ports=("default", "media"), is_generator=True
    )

    assert (
        told(
            "  a: {task: m.a, with: {depth: 3}, next: {default: b, media: drop}, emit: stream}\n  b: {task: m.b}", found
        )
        == []
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            InspectionError("no-module", "no module is named 'm'", ("mm",)),
            "OAF401 3:13 no module is named 'm' | did you mean 'mm'?",
        ),
        (
            InspectionError("import-failed", "ValueError: no (m.py:1)"),
            "OAF402 3:13 module 'm' cannot be imported: ValueError: no (m.py:1) | python -c 'import m'",
        ),
        (
            InspectionError("timeout", "its import took longer than 30 s"),
            "OAF410 3:13 module 'm' gave no answer: its import took longer than 30 s | python -c 'import m'",
        ),
        (
            InspectionError("no-function", known=("ab", "index")),
            "OAF403 3:13 module 'm' has no function 'a' | did you mean 'ab'?",
        ),
        (
            InspectionError("no-function", "ValueError: no a (m.py:1)"),
            "OAF403 3:13 module 'm' has no function 'a': it raised ValueError: no a (m.py:1)"
            " | the module has no functions",
        ),
        (
            InspectionError("no-function", known=("ab",), help="m.py is hidden by a module of that name"),
            "OAF403 3:13 module 'm' has no function 'a' | m.py is hidden by a module of that name",
        ),
        (
            InspectionError("not-callable", "it is of type int"),
            "OAF411 3:13 'm.a' is not a function: it is of type int | a stage is a function with @stage above it",
        ),
        (
            InspectionError("undecorated"),
            "OAF404 3:13 'm.a' is not decorated with @stage | from oaflow import stage, and @stage above `def a`",
        ),
        (
            InspectionError("task"),
            "OAF404 3:13 'm.a' is a @task function, which is not a stage | write @stage instead of @task above "
            "`def a`: the pipeline decides where its jobs go",
        ),
    ],
    ids=lambda value: value.problem if isinstance(value, InspectionError) else "",
)
def test_a_function_that_cannot_be_used_is_named_with_the_next_thing_to_type(error, line):
    assert told("  a: {task: m.a}", error) == [line]


def test_a_module_that_fails_is_one_mistake_however_many_stages_name_it():
    broken = InspectionError("import-failed", "ValueError: no")

    assert len(told("  a: {task: m.a, next: c}\n  c: {task: m.c}", broken, **{"m.c": broken})) == 1


def test_functions_of_external_stages_are_nobodys_business():
    assert told("  a: {task: m.a, queue: q, external: true}", InspectionError("no-module")) == []


@pytest.mark.parametrize(
    ("parameters", "options", "lines"),
    [
        (
            (Parameter("language", kind="keyword"),),
            "langage: eng",
            ["OAF405 3:25 'm.a' has no option 'langage' | did you mean 'language'?"],
        ),
        ((), "x: 1", ["OAF405 3:25 'm.a' has no option 'x' | it takes no options"]),
        ((), "job: 1", ["OAF405 3:25 'job' is the job that 'm.a' gets | it takes no options"]),
        ((Parameter("more", kind="**"),), "anything: 1", []),
        ((Parameter("x", required=True),), "x: 1", []),
        (
            (Parameter("x", required=True), Parameter("y")),
            "y: 1",
            ["OAF406 3:18 'm.a' needs option 'x' | with: {x: ...}"],
        ),
        (
            (Parameter("word", required=True), Parameter("language", required=True)),
            "wrod: ship",
            [
                "OAF405 3:25 'm.a' has no option 'wrod' | did you mean 'word'?",
                "OAF406 3:18 'm.a' needs option 'language' | with: {language: ...}",
            ],
        ),
        (
            (Parameter("x", annotation="int"),),
            "x: one",
            ["OAF413 3:28 option 'x' of 'm.a' is given str, but takes int | it is annotated `int`"],
        ),
        (
            (Parameter("x", annotation="Path"),),
            "x: /tmp",
            [
                "OAF413 3:28 option 'x' of 'm.a' is given str, but takes Path | import Path outside of "
                "`if TYPE_CHECKING:`, or annotate 'x' with `str`"
            ],
        ),
        ((Parameter("x", annotation="pathlib.Path"),), "x: /tmp", []),
        ((Parameter("x", annotation="list[pathlib.Path]"),), "x: [/tmp]", []),
        (
            (Parameter("x", annotation="pathlib.Path"),),
            "x: 5",
            ["OAF413 3:28 option 'x' of 'm.a' is given int, but takes pathlib.Path | it is annotated `pathlib.Path`"],
        ),
    ],
)
def test_options_are_compared_with_the_signature(parameters, options, lines):
    assert told(f"  a: {{task: m.a, with: {{{options}}}}}", function(*parameters)) == lines


def test_an_option_that_must_be_given_cannot_come_from_a_param_without_a_value():
    text = '  a: {task: m.a, with: {x: "${params.x}"}}\nparams: {x: %s}'
    needs = function(Parameter("x", required=True))

    assert told(text % "{}", needs) == [
        "OAF406 3:28 'm.a' needs option 'x', but param 'x' may have no value | give param 'x' a default, or say "
        "`required: true`"
    ]
    assert told(text % "{required: true}", needs) == []
    assert told(text % "{default: y}", needs) == []
    assert told(text % "{positional: true}", needs) == []


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ((), "it takes no job"),
        ((Parameter("job", required=True, kind="keyword"),), "it takes no job"),
        (
            (JOB, Parameter("x", required=True, kind="positional")),
            "'x' is positional only, but options are passed by name",
        ),
    ],
)
def test_a_function_that_cannot_be_given_a_job_and_options_is_no_stage(parameters, problem):
    (line,) = told("  a: {task: m.a}", Inspected(StageOptions(), parameters=parameters))

    assert line.startswith(f"OAF409 3:13 'm.a' cannot be a stage: {problem}")


def test_a_function_that_takes_anything_takes_a_job():
    anything = (Parameter("args", kind="*"), Parameter("options", kind="**"))

    assert told("  a: {task: m.a, with: {x: 1}}", Inspected(StageOptions(), parameters=anything)) == []


@pytest.mark.parametrize(
    ("next", "lines"),
    [
        ("b", ["OAF407 3:18 'm.a' emits on port 'media', but stage 'a' does not wire it"]),
        (
            "{default: b, media: b, medai: b}",
            ["OAF408 3:47 'm.a' does not emit on port 'medai' | did you mean 'media'?"],
        ),
        ("{default: b, medai: b}", ["OAF408 3:37 'm.a' does not emit on port 'medai' | did you mean 'media'?"]),
        (
            "{default: b, media: drop, x: drop}",
            ["OAF408 3:50 'm.a' does not emit on port 'x' | its ports are: default, media"],
        ),
        ("[b, {to: b, port: media}, {to: b, port: x}]", ["OAF408 3:"]),
    ],
)
def test_every_port_that_is_declared_is_wired_and_no_other(next, lines):
    found = told(f"  a: {{task: m.a, next: {next}}}\n  b: {{task: m.b}}", function(ports=("default", "media")))

    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True))


def test_a_stage_at_the_end_of_the_line_wires_nothing():
    assert told("  a: {task: m.a}", function(ports=("default", "media"))) == []


def test_a_stream_of_a_function_that_returns_is_a_warning():
    (line,) = told("  a: {task: m.a, emit: stream}", function())

    assert line.startswith("OAF414 3:24")
    assert RULES["OAF414"].severity == "warning"
    assert told("  a: {task: m.a, emit: stream}", function(returns="Iterator[Job]")) == []


def test_what_a_decorator_promises_is_checked_too():
    assert told("  a: {task: m.a}", function(emits=("Docment",))) == [
        "OAF415 3:13 @stage of 'm.a' names schema 'Docment', which followthemoney does not have | "
        "did you mean 'Document'?"
    ]
    assert told("  a: {task: m.a}", function(emits={"media": ("Page",)})) == [
        "OAF408 3:13 @stage of 'm.a' says what it emits on port 'media', but does not declare that port | "
        "ports=('default', 'media')"
    ]


# --- annotations ---


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (1, "int", True),
        (True, "int", False),
        (1, "bool", False),
        (1, "float", True),
        (1.5, "int", False),
        ("x", "str | None", True),
        (None, "str | None", True),
        (None, "str", False),
        (None, "Optional[str]", True),
        ("${params.path}", "str", True),
        ("${params.path}", "pathlib.Path", True),
        ("${params.room}", "pathlib.Path", False),
        ("${params.path}", "Path", False),
        ("${params.path}", "str | pathlib.Path", True),
        ("${params.paths}", "list[str]", True),
        ("${params.paths}", "Sequence[int]", False),
        ("${params.wait}", "float", True),
        ("${params.wait}", "int", False),
        ("${params.room}", "int", True),
        ("${params.on}", "bool", True),
        ("is ${params.on}", "bool", False),
        ("${params.unknown}", "int", True),
        (["a"], "str", False),
        ([1, "a"], "list[str]", False),
        ([1, "a"], "list[int | str]", True),
        ([1, "a"], "list", True),
        ([1, 2.5], "Sequence[float]", True),
        ([1, 2], "tuple", True),
        ("a", "set", False),
        ([1, "${params.path}"], "list[int]", False),
        ([1, "${params.room}"], "list[int]", True),
        ("x", "Literal['x', 'y']", True),
        ("z", "Literal['x', 'y']", False),
        ("z", "Literal['x'] | None", False),
        (None, "Optional[Literal['x']]", True),
        (True, "Literal[1]", False),
        (-1, "Literal[-1]", True),
        (["x", "z"], "list[Literal['x', 'y']]", False),
        ("${params.path}", "Literal['x', 'y']", True),
        ("${params.on}", "Literal['x', 'y']", False),
        ("z", "Literal[Colour.RED]", True),
        ([], "list[str]", True),
        ([["a"]], "list[list[int]]", False),
        ({"a": 1}, "dict[str, int]", True),
        ({"a": 1}, "list", False),
        (1, "Language", True),
        (1, "Annotated[int, 'x']", True),
        (1, None, True),
        (1, "no annotation at all", True),
    ],
)
def test_a_value_is_compared_with_plain_annotations_and_any_other_accepts_it(value, annotation, fits):
    assert accepted(value, annotation, PARAMS) is fits


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@given(json_values)
def test_every_value_fits_its_own_shape_and_a_union_with_it(value):
    shape = shape_of(value, {})

    assert accepted(value, shape, {})
    assert accepted(value, f"bytes | {shape}", {})
    assert not accepted(value, "bytes", {})
