import asyncio
import inspect
import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow import Out, Param, Pipeline, recurse, stage
from oaflow.compiler import keys
from oaflow.compiler.planning import plan_of
from oaflow.compiler.shape import parse_pipeline
from oaflow.dsl.keys import EDGE_WORDS
from oaflow.dsl.plain import plain
from oaflow.errors import UsageError
from oaflow.loader import load_text
from oaflow.model import Retry, StageOptions, stage_options

EXAMPLES = Path(__file__).parents[2] / "examples"


@stage
def bare(job, *, depth: int = 3):
    """One line."""
    return (job, depth)


@stage(queue="heavy", ports=["default", "children"], retry=2, timeout="30m", memory="2GiB", priority=9, emits=["Page"])
async def told(job):
    return job


@stage(emit="stream")
def streamed(job):
    yield job


def digest_of(data, spans=None) -> str:
    pipeline, found = parse_pipeline(data)
    assert pipeline is not None, found
    return plan_of(pipeline, {}).digest


# --- @stage ---


def test_a_decorated_function_stays_the_function_that_it_was():
    assert inspect.isfunction(bare)
    assert bare("job", depth=1) == ("job", 1)
    assert bare.__doc__ == "One line."
    assert list(inspect.signature(bare).parameters) == ["job", "depth"]
    assert inspect.iscoroutinefunction(told)
    assert asyncio.run(told("job")) == "job"
    assert inspect.isgeneratorfunction(streamed)
    assert pickle.loads(pickle.dumps(bare)) is bare


def test_what_stage_is_told_is_attached_in_seconds_and_bytes():
    assert stage_options(bare) == StageOptions()
    assert stage_options(told) == StageOptions(
        queue="heavy",
        ports=("default", "children"),
        retry=Retry(max=2),
        timeout=1800.0,
        memory=2**31,
        priority=9,
        emits=("Page",),
    )


def test_only_what_was_said_of_a_retry_is_kept():
    @stage(retry={"base": "1m"})
    def function(job): ...

    retry = stage_options(function).retry

    assert retry == Retry(base=60.0)
    assert retry.model_fields_set == {"base"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeout": "soon"}, "'timeout' of @stage of .* is 'soon', but must be a duration above 0"),
        ({"timeout": 0}, "must be a duration above 0"),
        ({"memory": "big"}, "'memory' of @stage of .* is 'big', but must be a size above 0"),
        ({"ports": "default"}, "'ports' of @stage of .* is 'default', but must be a list of names"),
        ({"ports": []}, "must be a list of names"),
        ({"ports": ["default", "to"]}, "'ports' of @stage of .* names 'to', which is a key of an edge"),
        ({"ports": ["a b"]}, "names 'a b', which is not a valid name for a port: a letter or '_', then letters"),
        ({"emits": {"default": "Page"}}, "must be a list of names"),
        ({"retry": -1}, "must be a whole number, 0 or more"),
        ({"retry": True}, "must be a whole number"),
        ({"retry": {"times": 2}}, "has no key 'times'; its keys are: max, backoff, base, cap"),
        ({"retry": {"backoff": "linear"}}, "must be 'none' or 'exponential'"),
        ({"emit": "later"}, "must be 'success', 'stream' or 'always'"),
        ({"queue": "q" * 41}, "must be a text of at most 40 characters"),
        ({"priority": "high"}, "must be a whole number"),
        ({"next": "index"}, "has no option 'next'; its options are: queue, ports"),
    ],
)
def test_a_wrong_option_of_stage_is_an_error_where_it_stands(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        stage(**options)(lambda job: job)


def test_stage_needs_a_function():
    with pytest.raises(UsageError, match=r"@stage needs a function, but .* is of type type"):
        stage(type("Klass", (), {}))


def test_what_stage_is_given_by_position_is_told_to_be_given_by_name():
    with pytest.raises(UsageError, match="@stage is given 'ingest', but takes its options by name") as caught:
        stage("ingest")  # type: ignore[call-overload]  it is the mistake

    assert caught.value.help == "@stage(queue=...)"


def test_no_port_is_named_like_a_key_of_an_edge_in_either_form():
    assert frozenset(keys.EDGE) == EDGE_WORDS


def test_a_function_that_no_worker_could_import_cannot_stand_in_a_pipeline():
    @stage
    def local(job): ...

    with pytest.raises(UsageError, match="no worker can import it") as caught:
        local.stage(next="index")

    assert caught.value.help == "move it to the top level of its module"


class Holder:
    @stage
    def held(self, job): ...


@pytest.mark.parametrize(
    ("use", "said", "help"),
    [
        (lambda: stage(lambda job: job).stage(), "has no name that a worker could import", "write it with `def`"),
        (lambda: Holder.held.stage(), "Holder.held is defined in a class, so no worker can import it", "move it"),
        (lambda: stage(print), "builtins.print is of type builtin_function", "write a function that calls it"),
        (lambda: stage("job".upper), "str.upper is of type builtin_function", "write a function that calls it"),
        (lambda: stage(Holder().held), "Holder.held is of type method", "write a function that calls it"),
    ],
    ids=["lambda", "class", "builtin", "text", "method"],
)
def test_what_is_no_plain_function_of_a_module_is_told_with_a_way_out(use, said, help):
    with pytest.raises(UsageError, match=said) as caught:
        use()

    assert caught.value.help.startswith(help)


@pytest.mark.parametrize("key", ["task", "external", "with"])
def test_what_a_function_says_itself_is_no_key_of_its_stage(key):
    with pytest.raises(UsageError, match=f"takes no '{key}'"):
        bare.stage(**{key: "x"})


# --- the pipeline ---


def test_out_is_a_port_and_a_job():
    assert Out("children", "job") == Out(port="children", job="job")


def test_recurse_is_an_edge_with_a_depth():
    assert recurse("extract", 16) == {"to": "extract", "recurse": 16}
    assert recurse("extract", 16, port="children") == {"to": "extract", "recurse": 16, "port": "children"}


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        (Param(), {"type": "string"}),
        (Param(str, default="eng"), {"type": "string", "default": "eng"}),
        (Param(list[Path], positional=True), {"type": "list", "of": "path", "positional": True}),
        (Param(list, of="duration"), {"type": "list", "of": "duration"}),
        (Param(bool, default=False), {"type": "bool", "default": False}),
        (Param("choice", choices=("a", "b")), {"type": "choice", "choices": ["a", "b"]}),
        (Param(Path, default=Path("x")), {"type": "path", "default": "x"}),
        (Param(float, env="X", remember=True, help="h"), {"type": "float", "env": "X", "remember": True, "help": "h"}),
    ],
)
def test_a_param_is_written_with_types_of_python_or_words_of_the_language(param, expected):
    assert param.data == expected


def test_a_type_that_no_param_has_is_named():
    with pytest.raises(UsageError, match="dict is not a type for a param"):
        Param(dict)


def test_stages_and_params_are_mappings_from_names():
    with pytest.raises(UsageError, match="'stages' of the pipeline is of type list, but must be a mapping") as caught:
        Pipeline("p", stages=[bare.stage()])  # type: ignore[arg-type]  it is the mistake
    with pytest.raises(UsageError, match="'params' of the pipeline is of type tuple"):
        Pipeline("p", stages={"bare": bare.stage()}, params=(Param(),))  # type: ignore[arg-type]  as above

    assert caught.value.help == "stages={'read': read.stage()}"


def test_a_function_where_a_name_or_a_condition_is_meant_says_what_to_write():
    for next in (bare, {"to": "index", "where": lambda e: e.schema == "Page"}):
        with pytest.raises(UsageError, match=r"'next' of stage .* holds a value that is of type function") as caught:
            bare.stage(next=next)

        assert "a stage is named by its key, and a condition is a text" in caught.value.help


def test_an_option_of_stage_that_is_misspelled_is_told_with_the_one_that_was_meant():
    with pytest.raises(UsageError, match="has no option 'ques'") as caught:
        stage(ques="ingest")(lambda job: job)

    assert caught.value.help == "did you mean 'queue'?"


def test_a_function_without_stage_in_a_pipeline_says_what_to_write():
    with pytest.raises(UsageError, match="stage 'crawl' of the pipeline is of type function") as caught:
        Pipeline("p", stages={"crawl": bare})

    assert caught.value.help == "write crawl.stage(...)"


@pytest.mark.parametrize("value", [object(), {1: 2}, math.nan, {1, 2}, b"x", [object()]])
def test_what_json_cannot_hold_is_refused_with_its_place(value):
    with pytest.raises(UsageError, match=r"'with' of stage .*bare"):
        bare.stage(with_={"option": value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(json_values)
def test_plain_data_stays_as_it_is(value):
    assert plain(value, "x") == value


# --- pipelines of modules and files ---


def test_the_words_example_is_one_plan_in_both_forms():
    answer = subprocess.run(
        [sys.executable, "-c", "import json, pipeline; print(json.dumps(pipeline.words.data))"],
        cwd=EXAMPLES / "words",
        env={"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        check=True,
        text=True,
    )

    assert digest_of(load_text(answer.stdout).data) == digest_of(
        Pipeline.from_yaml(EXAMPLES / "words/pipeline.yml").data
    )


def test_from_yaml_says_where_a_file_is_wrong(tmp_path):
    file = tmp_path / "broken.yml"
    file.write_text("pipeline: x\npipeline: y\n")

    with pytest.raises(UsageError, match=r"broken.yml:2:1: key 'pipeline' is given twice"):
        Pipeline.from_yaml(file)


def test_declaring_a_pipeline_loads_nothing_heavy():
    program = (
        "import sys; from oaflow import Out, Param, Pipeline, external, recurse, stage; "
        "print([m for m in ('networkx', 'yaml', 'psycopg', 'procrastinate', 'followthemoney') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    assert answer.stdout.strip() == "[]"
