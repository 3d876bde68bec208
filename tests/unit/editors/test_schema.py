"""
The schema for editors beside the compiler: it refuses nothing that the compiler takes.
"""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oaflow.compiler import check_data, keys, parse_pipeline
from oaflow.diagnostics import errors
from oaflow.editors.schema import pipeline_schema
from oaflow.loader import load
from oaflow.quantities import DURATION_PATTERN, RATE_PATTERN, SIZE_PATTERN, per_second, seconds, size

ROOT = Path(__file__).parents[3]
SCHEMA = pipeline_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
FILES = [
    *sorted(ROOT.glob("tests/unit/golden/**/*.yml")),
    *sorted(ROOT.glob("tests/diagnostics/*/pipeline.yml")),
    *sorted(ROOT.glob("examples/**/*.yml")),
    ROOT / "pipelines" / "ingest.yml",
]
READ = {path: loaded.data for path in FILES if isinstance((loaded := load(path)).data, dict)}
GOOD = [data for data in READ.values() if not errors(parse_pipeline(data)[1])]


def _refusals(data):
    return [f"{'.'.join(map(str, one.path))}: {one.message}"[:300] for one in VALIDATOR.iter_errors(data)]


def test_it_is_a_schema_without_alternatives_that_would_tell_a_mistake_more_than_once():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)

    assert "oneOf" not in text
    assert "anyOf" not in text


@pytest.mark.parametrize("path", READ, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_it_refuses_the_compiler_refuses_too(path: Path):
    refused = _refusals(READ[path])

    assert refused == [] or check_data(READ[path]).errors != []


@pytest.mark.parametrize(
    ("text", "fits"), [("$${HOME}", True), ("$$${x} ${params.x} $5", True), ("${HOME}", False), ("$${x} ${y}", False)]
)
def test_what_is_written_with_two_dollars_is_filled_in_by_others(text, fits):
    edge = {"to": "read", "recurse": 1, "where": {"name": text}}
    data = {
        "pipeline": "p",
        "params": {"x": {}},
        "stages": {"read": {"task": "m.r", "with": {"a": text}, "next": edge}},
    }

    assert [_refusals(data) == [], parse_pipeline(data)[1] == []] == [fits, fits]


def test_each_key_has_its_meaning():
    properties = SCHEMA["definitions"]["stage"]["properties"]

    assert list(properties) == list(keys.STAGE)
    assert properties["timeout"]["markdownDescription"].startswith("How long an attempt may take: `500ms`")
    assert properties["timeout"]["description"].startswith("How long an attempt may take: 500ms")


# --- pipelines of which something is changed ---

# fmt: off
VALUES = (
    None, True, False, 0, 1, -1, 2.5, 41, 10**12, "", " ", "drop", "run", "to", "eng", "yes", "1", "0", "30m", "0s",
    "2GiB", "50/s", "first", "${params.source}", "${HOME}", "a ${params.x} b", "A b", "x" * 41, "x" * 61, "list",
    "choice", "int", "params.x", "a.b", "Document", [], {}, ["index"], ["drop"], [1], {"to": "index"}, {"max": 0},
    {"default": "index"}, {"default": {"to": "index", "port": "x"}}, {"size": 5}, {"when": "job"}, {"not": {}},
    {"schema": "Email"}, {"language": ["eng", 1]}, {"nonsense": "x"}, {"not": {"schema": "Email"}},
    "$${HOME}", "$${params.x} $$${",
)
NAMES = (
    *keys.PIPELINE, *keys.PARAM, *keys.STAGE, *keys.RETRY, *keys.COLLECT, *keys.EDGE, *keys.CASE, *keys.ENTITY,
    "default", "drop", "run", "not", "Über", "x" * 41, "x" * 61, "a-b", "A", "timout", "1x",
)
# fmt: on


def odd():
    """
    A value that may stand anywhere, or nowhere.
    """
    return st.one_of(st.sampled_from(VALUES).map(copy.deepcopy), st.integers(-5, 5), st.text(max_size=5))


@st.composite
def changed(draw):
    """
    A pipeline without mistakes in which up to three values are others, gone or under another key.
    """
    data = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        if not (places := list(_places(data))):
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["value", "gone", "renamed", "more"])):
            case "value":
                holder[key] = draw(odd())
            case "gone":
                del holder[key]
            case "renamed" if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = holder.pop(key)
            case _ if isinstance(holder, dict):
                holder[draw(st.sampled_from(NAMES))] = draw(odd())
            case _:
                holder.append(draw(odd()))
    return data


def _places(data):
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(items):
        yield data, key
        yield from _places(value)


@given(changed())
@settings(max_examples=300, deadline=None)
def test_what_it_refuses_of_a_changed_pipeline_the_compiler_refuses_too(data):
    refused, found = _refusals(data), check_data(data).errors

    assert refused == [] or found != [], refused


def test_it_catches_most_of_what_the_compiler_finds_in_the_shape():
    wrong = [data for data in READ.values() if errors(parse_pipeline(data)[1])]

    assert len([data for data in wrong if _refusals(data)]) >= len(wrong) - 3


QUANTITIES = st.one_of(
    st.from_regex(r"\A ?[0-9]{1,3}(\.[0-9]{1,2})? ?(ms|[smhdw]|[kKmMgGtT]?i?[bB]?)? ?([0-9]{1,2}[smh])?\Z"),
    st.from_regex(r"\A[0-9]{1,3} ?/ ?[0-9]{0,2}(\.5)?(ms|[smhdw]|x)?\Z"),
    st.text(alphabet="0123456789.smhdwkKgGiBb/ ", max_size=8),
)


@given(QUANTITIES)
@example("1h30m")
@example("0s")
@example("1/10s")
@example("50/1.5")
@example("1/.0s")
@example("1/0s")
@settings(max_examples=800, deadline=None)
def test_the_patterns_take_what_is_read_as_a_quantity_and_nothing_else(text):
    assert bool(re.fullmatch(DURATION_PATTERN, text)) == (seconds(text) is not None)
    assert bool(re.fullmatch(SIZE_PATTERN, text)) == bool(size(text)) or size(text) == 0
    assert bool(re.fullmatch(RATE_PATTERN, text)) == (per_second(text) is not None)
