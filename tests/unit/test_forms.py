"""
YAML and Python are two forms of one pipeline: laws over generated pipelines with every key of the language.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oaflow import Param, Pipeline, external, recurse, stage
from oaflow.compiler import keys, parse_pipeline
from oaflow.compiler.checking import PipelineError
from oaflow.compiler.planning import plan_of
from oaflow.compiler.writing import ORDER
from oaflow.diagnostics import NO_SPANS
from oaflow.formatting import formatted
from oaflow.loader import load_text

EXAMPLES = Path(__file__).parents[2] / "examples"


@stage(ports=("default", "children", "media"))
def bare(job, *, depth: int = 3):
    """One line."""
    return (job, depth)


@stage(queue="heavy", ports=["default", "children", "media"], retry=2, timeout="30m", memory="2GiB", priority=9)
async def told(job):
    return job


TASKS = {f"{function.__module__}.{function.__qualname__}": function for function in (bare, told)}

NAMES = ("alpha", "beta", "gamma", "delta")
PORTS = ("default", "children", "media")

# --- every key of the language, with each way to write its value ---


def mappings(known, *required, without=()):
    """
    Mappings with some of the known keys.
    """
    more = {key: values for key, values in known.items() if key not in (*required, *without)}
    return st.fixed_dictionaries({key: known[key] for key in required}, optional=more)


durations = st.sampled_from(["2s", "1h30m", "1.5h", 7, 0.5, "0.1ms", "${params.wait}"])
sizes = st.sampled_from(["2GiB", "1.5kB", 1024, 2**60 + 1, "${params.room}"])
numbers = st.integers(1, 9) | st.just("${params.n}")
expressions = st.sampled_from(
    ["job.context.ocr", "params.on and run.dataset != 'x'", ' job.context.a == "b" ', r"matches(job.context.a, '\\d')"]
)
# What YAML could take for something else, and what needs quotes or several lines.
WORDS = ("é😀", "no", "1e3", "0o17", "2020-01-01", "- a", "a: b", "a #b", "", " a ", "null", "~", "%", "'", '"', "\\")
LINES = (
    "Reads text, and more",
    "two\nlines",
    "two\n\n  lines\n",
    "\n",
    "tab\t",
    "end \nof",
    "x" * 120,
    "é😀",
    "${params.p}",
)
texts = st.sampled_from(WORDS + LINES)
options = st.dictionaries(
    st.sampled_from(["depth", "lang", "no"]),
    st.recursive(
        texts | st.sampled_from([1, 2.5, 1e300, True, None, "a ${params.p}", "$${HOME}", [], {}]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=2,
)

RETRY = {
    "max": st.integers(0, 9) | st.just("${params.n}"),
    "backoff": st.sampled_from(["none", "exponential"]),
    "base": durations,
    "cap": durations,
}

COLLECT = {"size": numbers, "wait": durations}

DEFAULTS = {
    "queue": st.sampled_from(["q", "heavy queue", "no"]),
    "retry": RETRY["max"] | mappings(RETRY),
    "timeout": durations.filter(lambda value: value != 0),
    "memory": sizes,
    "priority": st.integers(-5, 99) | st.just("${params.n}"),
    "emit": st.sampled_from(["success", "stream", "always"]),
    "choose": st.sampled_from(["all", "first"]),
    "collect": numbers | st.just(False) | mappings(COLLECT, "size"),
    "lock": expressions,
    "concurrency": numbers,
    "rate": st.sampled_from(["50/s", "1000/m", "1/10s", "1/7s", "0.3/s", "1/3ms", "${params.speed}"]),
}

wanted = st.sampled_from(["Person", "${params.p}", "*/pdf", "no"])
wanted |= st.lists(wanted, min_size=1, max_size=2, unique=True)
wheres = st.just("others(e.language, params.p)") | st.fixed_dictionaries(
    {"schema": wanted}, optional={"country": wanted, "not": st.fixed_dictionaries({"mimeType": wanted})}
)

EDGE = {
    "to": st.sampled_from(NAMES),
    "port": st.sampled_from(PORTS),
    "when": expressions,
    "where": wheres,
    "else": st.booleans(),
    "load": st.booleans(),
    "recurse": st.integers(1, 9),
}


@st.composite
def edges(draw, port=True):
    """
    An edge, or the name of the stage that it leads to.
    """
    if draw(st.integers(0, 2)) == 0:
        return draw(EDGE["to"])
    edge = draw(mappings(EDGE, "to"))
    if not port:
        edge.pop("port", None)
    if edge.get("else"):
        edge = {key: value for key, value in edge.items() if key not in ("when", "where", "load")}
    if edge.get("load") and "where" not in edge:
        del edge["load"]
    return edge


def _named(edge):
    return (edge, "default") if isinstance(edge, str) else (edge["to"], edge.get("port", "default"))


several = st.lists(edges(), min_size=1, max_size=3, unique_by=_named)
several_of_one = st.lists(edges(port=False), min_size=1, max_size=2, unique_by=_named)
nexts = edges() | several
nexts |= st.dictionaries(
    st.sampled_from(PORTS), edges(port=False) | several_of_one | st.just("drop"), min_size=1, max_size=3
)

STAGE = {
    "task": st.sampled_from(sorted(TASKS)),
    "with": options,
    "next": nexts,
    "on_error": st.sampled_from(NAMES),
    "enabled": st.booleans() | st.sampled_from(["params.on", "params.kind == 'a' or not params.on"]),
    "description": texts,
    "split": st.integers(1, 9),
    "join": st.just("run") | st.sampled_from(NAMES) | st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    "external": st.just(False),
    "origin": st.text("abc/ -", min_size=3).filter(str.strip),
    **DEFAULTS,
}
EXTERNAL = {
    **STAGE,
    "task": st.sampled_from(["m.elsewhere", "one:two"]),
    "external": st.just(True),
}
# What its service decides, and what only functions have.
NOT_EXTERNAL = ("retry", "timeout", "memory", "concurrency", "rate", "emit", "join")


def stages():
    """
    Stages, of which none puts jobs together that it cuts or does not get.
    """
    some = mappings(STAGE, "task") | mappings(EXTERNAL, "task", "queue", "external", without=NOT_EXTERNAL)
    either = st.sampled_from([("join", "split"), ("join", "collect"), ("split", "collect")])
    return st.tuples(some, either).map(lambda drawn: {key: drawn[0][key] for key in drawn[0] if key not in drawn[1]})


ENTITY = {
    "id": st.just("id-1"),
    "schema": st.just("Person"),
    "caption": texts,
    "properties": st.just({"name": "no", "country": ["de", "fr"]}),
}
JOB = {"entities": st.lists(mappings(ENTITY, "schema"), max_size=2), "context": options, "payload": options}
CASE = {
    "at": st.sampled_from(NAMES),
    "port": st.sampled_from(PORTS),
    "params": st.just({"on": True, "p": "x"}),
    "job": mappings(JOB),
    "expect": st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), max_size=2),
    "description": texts,
}

# To each type of a param values of it, of which there are two at least.
VALUES = {
    "string": ["x", "no", "12", "a b"],
    "int": [0, -3, 2**40],
    "float": [0.5, 3, 1e-7],
    "bool": [True, False],
    "path": ["a/b", Path("c"), "~/d"],
    "duration": ["2s", 90, 0.25, "1w"],
    "size": ["1GiB", 1536, "2kB"],
    "choice": ["a", "no", 4],
}


PARAM = {
    "type": st.sampled_from([*VALUES, "list"]),
    "of": st.sampled_from(list(VALUES)),
    "default": st.integers(0, 2),
    "required": st.booleans(),
    "choices": st.just(()),
    "env": st.just("N"),
    "positional": st.booleans(),
    "remember": st.booleans(),
    "help": texts,
}


@st.composite
def params(draw):
    """
    Params, of which at most one is positional; to each key what is right for the type.
    """
    drawn = draw(st.dictionaries(st.sampled_from(["p", "wait", "room", "n", "on"]), mappings(PARAM), max_size=4))
    positional = draw(st.sampled_from([None, *drawn]))
    for name, said in drawn.items():
        kind = said.get("type", "string")
        item = said.get("of", "string") if kind == "list" else kind
        if kind != "list":
            said.pop("of", None)
        if item == "choice" or "choices" in said:
            said["choices"] = VALUES[item]
        if "default" in said:
            values = VALUES[item][: said["default"]]
            said["default"] = values if kind == "list" else VALUES[item][said["default"] % len(VALUES[item])]
            said.pop("required", None)
        if name != positional:
            said.pop("positional", None)
    return drawn


PIPELINE = {
    "oaflow": st.just(1),
    "pipeline": st.sampled_from(["p", "a-pipeline_2"]),
    "description": texts,
    "params": params(),
    "defaults": mappings(DEFAULTS),
    "start": st.sampled_from(NAMES) | st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    "stages": st.dictionaries(st.sampled_from(NAMES), stages(), min_size=1),
    "tests": st.lists(mappings(CASE, "at", "expect"), max_size=2),
}

pipelines = mappings(PIPELINE, "pipeline", "stages")


@pytest.mark.parametrize("name", [name for name, value in vars(keys).items() if name.isupper() and value != "required"])
def test_no_key_of_the_language_is_missing_from_the_law(name):
    assert sorted(globals()[name]) == sorted(getattr(keys, name))


# --- the two forms of it ---

PYTHON_TYPES = {"string": str, "int": int, "float": float, "bool": bool, "path": Path, "list": list}


def in_yaml(data) -> str:
    """
    As JSON, which is YAML in which nobody has to know what needs quotes.
    """
    return json.dumps(data, ensure_ascii=False, default=str)


def in_python(data) -> Pipeline:
    """
    The same pipeline, made with the Python form: its types, its functions, and tuples for lists.
    """
    declared = {name: _param(said) for name, said in data.get("params", {}).items()}
    made = {name: _stage(said) for name, said in data["stages"].items()}
    rest = {key: _pythonic(data[key]) for key in ("defaults", "start", "description", "tests") if key in data}
    return Pipeline(data["pipeline"], params=declared, stages=made, **rest)


def _param(said) -> Param:
    said = dict(said)
    kind, item = said.pop("type", "string"), said.get("of")
    if kind == "list" and item in PYTHON_TYPES:
        del said["of"]
        return Param(list[PYTHON_TYPES[item]], **said)
    return Param(PYTHON_TYPES.get(kind, kind), **said)


def _stage(said):
    keys = {"with_" if key == "with" else key: _pythonic(value) for key, value in said.items()}
    task = keys.pop("task")
    return external(task, **keys) if keys.pop("external", False) else TASKS[task].stage(**keys)


def _pythonic(value):
    match value:
        case {"to": to, "recurse": depth, **rest} if not rest.keys() - {"port"}:
            return recurse(to, depth, **rest)
        case Mapping():
            return {key: _pythonic(item) for key, item in value.items()}
        case list():
            return tuple(_pythonic(item) for item in value)
        case _:
            return value


def declared(data, spans=NO_SPANS):
    pipeline, found = parse_pipeline(data, spans)
    assert pipeline is not None, found
    return pipeline


def digest(pipeline) -> str:
    return plan_of(pipeline, {}).digest


# --- laws ---

_LAW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


@settings(_LAW, max_examples=300)
@given(pipelines)
def test_both_forms_are_one_pipeline_and_what_is_written_is_read_as_the_same(data):
    loaded, made = load_text(in_yaml(data)), in_python(data)
    from_file, from_python = declared(loaded.data, loaded.spans), declared(made.data)

    assert from_file.model_dump() == from_python.model_dump()
    assert digest(from_file) == digest(from_python)

    again = load_text(made.to_yaml())
    assert again.diagnostics == ()
    assert declared(again.data).model_dump() == from_file.model_dump()
    assert digest(declared(again.data)) == digest(from_file)


@_LAW
@given(pipelines, st.randoms())
def test_the_order_of_keys_descriptions_and_help_are_no_part_of_the_digest(data, random):
    def shuffled(value):
        if isinstance(value, dict):
            items = [(key, shuffled(item)) for key, item in value.items()]
            random.shuffle(items)
            return dict(items)
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    other = shuffled({**data, "description": "another"})
    for said in other["stages"].values():
        said["description"] = "another"
    for said in other.get("params", {}).values():
        said["help"] = "another"

    assert digest(declared(other)) == digest(declared(data))


@settings(_LAW, max_examples=15)
@given(pipelines)
def test_what_is_written_is_formatted_already(data):
    text = in_python(data).to_yaml()

    assert formatted(text) == text


def test_a_pipeline_is_written_as_its_author_would_write_it():
    made = Pipeline(
        "documents",
        description="A folder of documents becomes searchable entities.",
        params={"source": Param(list[Path], positional=True), "wait": Param("duration", default=90), "lang": Param()},
        defaults={"retry": 3, "timeout": 5400},
        stages={
            "crawl": bare.stage(
                with_={"depth": "${params.depth}"}, next={"default": "read", "media": "drop", "children": "read"}
            ),
            "read": told.stage(
                on_error="report",
                next={
                    "default": ["index", {"to": "translate", "where": "others(e.detectedLanguage, params.lang)"}],
                    "children": recurse("read", 16),
                    "media": {"to": "index", "where": {"schema": ["Image", "Video"], "not": {"mimeType": "*/gif"}}},
                },
                rate="90/1m30s",
                memory=2**31,
                priority=50,
            ),
            "translate": external("m.translate", queue="translate", enabled="params.lang", split=1, next="index"),
            "index": bare.stage(collect={"size": 500}, lock="job.dataset"),
            "report": bare.stage(join=["read"], description="Two lines:\n- of text\n"),
        },
        tests=[
            {"at": "read", "params": {"lang": "no"}, "job": {"entities": [{"schema": "Image"}]}, "expect": {"index": 1}}
        ],
    )

    assert made.to_yaml() == WRITTEN


WRITTEN = """\
pipeline: documents
description: A folder of documents becomes searchable entities.

params:
  source: {type: list, of: path, positional: true}
  wait: {type: duration, default: 1m30s}
  lang: {}

defaults:
  timeout: 1h30m
  retry: 3

stages:
  crawl:
    task: test_forms.bare
    with: {depth: "${params.depth}"}
    next: {default: read, children: read, media: drop}

  read:
    task: test_forms.told
    memory: 2GiB
    priority: 50
    rate: 1/s
    next:
      default: [index, {to: translate, where: "others(e.detectedLanguage, params.lang)"}]
      children: {to: read, recurse: 16}
      media: {to: index, where: {schema: [Image, Video], not: {mimeType: "*/gif"}}}
    on_error: report

  translate:
    task: m.translate
    queue: translate
    external: true
    enabled: params.lang
    split: 1
    next: index

  index:
    task: test_forms.bare
    collect: 500
    lock: job.dataset

  report:
    task: test_forms.bare
    description: |
      Two lines:
      - of text
    join: read

tests:
  - at: read
    params: {lang: "no"}
    job: {entities: [{schema: Image}]}
    expect: {index: 1}
"""


def test_what_a_file_says_is_written_as_it_is(tmp_path):
    for file in (EXAMPLES / "words/pipeline.yml", EXAMPLES.parent / "pipelines/ingest.yml"):
        made = Pipeline.from_yaml(file)
        written = tmp_path / file.name
        written.write_text(made.to_yaml())

        again = Pipeline.from_yaml(written)
        assert digest(declared(again.data)) == digest(declared(made.data))
        assert again.to_yaml() == made.to_yaml()


def test_the_order_of_writing_has_every_key_of_a_stage():
    assert sorted(ORDER) == sorted(keys.STAGE)


def test_a_pipeline_of_a_wrong_shape_is_not_written():
    with pytest.raises(PipelineError, match=r"'timeout' must be a duration, but is the text 'soon' \(OAF106\)"):
        Pipeline("p", stages={"a": bare.stage(timeout="soon")}).to_yaml()
