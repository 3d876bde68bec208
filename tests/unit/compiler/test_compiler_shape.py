"""
What an author writes becomes declarations, or is refused with the words that are wrong.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.compiler.checking import check_data
from oaflow.compiler.rules import RULES
from oaflow.compiler.shape import parse_pipeline
from oaflow.diagnostics import errors
from oaflow.model import Edge, Pipeline, Repeat


def read(**keys: Any) -> Pipeline:
    pipeline, found = parse_pipeline({"pipeline": "letters", **keys})
    assert pipeline is not None, [one.message for one in found]
    return pipeline


def read_stage(**keys: Any):
    return read(stages={"read": {"task": "letters.read", **keys}, "index": {"task": "letters.index"}}).stages["read"]


def codes(data: Any) -> list[str]:
    return [one.code for one in parse_pipeline(data)[1]]


def stage_codes(**keys: Any) -> list[str]:
    stages = {"read": {"task": "letters.read", **keys}, "index": {"task": "letters.index"}}
    return codes({"pipeline": "letters", "stages": stages})


@pytest.mark.parametrize(
    ("written", "edges", "dropped"),
    [
        ("index", [("index", "default", None)], ()),
        ({"to": "index"}, [("index", "default", None)], ()),
        ({"to": "index", "port": "media", "recurse": 3}, [("index", "media", 3)], ()),
        (["index", "other"], [("index", "default", None), ("other", "default", None)], ()),
        (["index", {"to": "ocr", "port": "images"}], [("index", "default", None), ("ocr", "images", None)], ()),
        ({"default": "index", "media": "ocr"}, [("index", "default", None), ("ocr", "media", None)], ()),
        ({"default": ["index", "ocr"]}, [("index", "default", None), ("ocr", "default", None)], ()),
        ({"default": [{"to": "index", "recurse": 2}]}, [("index", "default", 2)], ()),
        ({"media": "drop"}, [], ("media",)),
        ({"default": "index", "media": "drop"}, [("index", "default", None)], ("media",)),
        ({"index-it": "index"}, [("index", "index-it", None)], ()),
    ],
)
def test_next_in_every_form_is_written_out(written: Any, edges: list[Any], dropped: tuple[str, ...]):
    found = read_stage(next=written)

    assert [(edge.to, edge.port, edge.recurse) for edge in found.next] == edges
    assert found.dropped == dropped


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("drop", "OAF122"),
        (["index", "drop"], "OAF122"),
        ({"to": "drop"}, "OAF122"),
        ([], "OAF123"),
        ({}, "OAF123"),
        ({"default": []}, "OAF123"),
        ({"port": "media"}, "OAF102"),
        ({"default": {"port": "media"}}, "OAF102"),
        ({"when": "index", "media": "index"}, "OAF105"),
        ({"to": "index", "port": "where"}, "OAF105"),
        ({"media": {"to": "index", "port": "media"}}, "OAF124"),
        (["index", "index"], "OAF125"),
        ({"default": ["index", {"to": "index"}]}, "OAF125"),
        ({"to": "index", "recurse": 0}, "OAF108"),
        ({"to": "index", "recurse": "${params.depth}"}, "OAF115"),
        ({"to": "index", "recurse": True}, "OAF103"),
        ({"to": "index", "where": {}}, "OAF103"),
        ({"to": "index", "where": {"schema": []}}, "OAF103"),
        ({"to": "index", "where": {"schema": 3}}, "OAF103"),
        ({"to": "index", "where": {"schema": ["Email", True]}}, "OAF103"),
        ({"to": "index", "where": {"not": "Email"}}, "OAF103"),
        ({"to": "index", "where": {"schema": "Email", "not": {}}}, "OAF103"),
        ({"to": "index", "where": {"not": {"not": {"schema": "Email"}}}}, "OAF101"),
        ({"to": "index", "where": {"schema": "${param.x}"}}, "OAF116"),
        ({"to": "index", "where": " "}, "OAF103"),
        ({"to": "index", "when": True}, "OAF103"),
        ({"to": "index", "else": "yes"}, "OAF103"),
        ({"to": "index", "else": True, "when": "job.context.ocr"}, "OAF131"),
        ({"to": "index", "load": True}, "OAF132"),
        ({"to": "index", "load": True, "when": "job.context.ocr"}, "OAF132"),
        ("${params.stage}", "OAF115"),
        (7, "OAF103"),
        (None, "OAF103"),
        ([["index"]], "OAF103"),
        ("Index It", "OAF104"),
    ],
)
def test_a_next_that_means_nothing_is_refused(written: Any, code: str):
    assert stage_codes(next=written) == [code]


def test_an_edge_knows_where_it_was_written():
    stage = read_stage(next={"default": ["index", {"to": "ocr"}], "media": "index"})

    assert [edge.place for edge in stage.next] == [
        ("next", "default", 0),
        ("next", "default", 1, "to"),
        ("next", "media"),
    ]


def test_shorthands_mean_what_they_stand_for():
    stage = read_stage(retry=3, timeout="1h30m", memory="2GiB", enabled="params.on")

    assert stage.retry == Repeat(max=3)
    assert stage.timeout == 5400.0
    assert stage.memory == 2 * 1024**3
    assert stage.enabled == "params.on"


def test_a_join_names_the_run_one_stage_or_several():
    assert read_stage(join="run").join == ("run",)
    assert read_stage(join="index").join == ("index",)
    assert read_stage(join=["index", "translate", "index"]).join == ("index", "translate")
    assert stage_codes(join=[]) == ["OAF103"]
    assert stage_codes(join=["run", "index"]) == ["OAF105"]
    assert stage_codes(join="${params.x}") == ["OAF115"]
    assert stage_codes(join="run", split=3) == ["OAF128"]


def test_a_split_is_a_number_that_no_param_decides():
    assert read_stage(split=3).split == 3
    assert stage_codes(split=0) == ["OAF108"]
    assert stage_codes(split="${params.n}") == ["OAF115"]
    assert stage_codes(split=True) == ["OAF103"]


def test_a_limit_is_how_many_at_once_and_how_many_in_a_time():
    stage = read_stage(concurrency=3, rate="1200/m")
    assert (stage.concurrency, stage.rate) == (3, 20.0)
    opened = read_stage(concurrency="${params.n}", rate="${params.often}")
    assert (opened.concurrency, opened.rate) == ("${params.n}", "${params.often}")
    assert stage_codes(concurrency=0) == ["OAF108"]
    assert stage_codes(concurrency="many") == ["OAF103"]
    assert (
        stage_codes(rate=50)
        == stage_codes(rate="50")
        == stage_codes(rate="0/s")
        == stage_codes(rate=None)
        == ["OAF130"]
    )
    assert stage_codes(rate="${params.n}/s") == ["OAF116"]
    external = {"external": True, "queue": "q", "rate": "50/s", "concurrency": 2}
    assert stage_codes(**external) == ["OAF113", "OAF113"]


def test_a_reference_can_be_the_whole_value_of_a_number():
    stage = read_stage(retry={"max": "${params.n}", "cap": "${params.t}"}, timeout="${params.t}", memory="${params.m}")

    assert stage.retry == Repeat(max="${params.n}", cap="${params.t}")
    assert (stage.timeout, stage.memory) == ("${params.t}", "${params.m}")
    assert stage_codes(timeout="${params.t}s") == ["OAF116"]
    assert stage_codes(priority="1${params.t}") == ["OAF116"]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"enabled": "yes"}, "OAF103"),
        ({"choose": "some"}, "OAF110"),
        ({"timeout": 0}, "OAF108"),
        ({"timeout": "-2s"}, "OAF106"),
        ({"memory": 0}, "OAF108"),
        ({"memory": "2 GB of it"}, "OAF107"),
        ({"retry": -1}, "OAF108"),
        ({"retry": True}, "OAF103"),
        ({"retry": 1.5}, "OAF103"),
        ({"retry": {"maximum": 3}}, "OAF101"),
        ({"retry": {"backoff": "linear"}}, "OAF110"),
        ({"priority": 2**31}, "OAF108"),
        ({"priority": "high"}, "OAF103"),
        ({"queue": "q" * 41}, "OAF109"),
        ({"queue": ""}, "OAF104"),
        ({"queue": 7}, "OAF103"),
        ({"queue": "${params.q}"}, "OAF115"),
        ({"on_error": "drop"}, "OAF122"),
        ({"on_error": ["index"]}, "OAF103"),
        ({"origin": "${params.o}"}, "OAF115"),
        ({"origin": " "}, "OAF104"),
        ({"with": ["a"]}, "OAF103"),
        ({"with": {"2fast": 1}}, "OAF104"),
        ({"with": {"a": "${params.x"}}, "OAF116"),
        ({"with": {"a": {"b": ["${env.HOME}"]}}}, "OAF116"),
        ({"with": {"a": float("nan")}}, "OAF126"),
        ({"with": {"a": 2**63}}, "OAF126"),
        ({"with": {"a": object()}}, "OAF126"),
        ({"with": {"a": {1: "b"}}}, "OAF126"),
        ({"with": {"a": "b\0"}}, "OAF126"),
        ({"description": 5}, "OAF103"),
        ({"task": "read"}, "OAF104"),
        ({"task": "letters:read"}, "OAF104"),
        ({"tаsk": "x"}, "OAF127"),
        ({"on_error": "indеx"}, "OAF127"),
        ({"on_error": "ошибка"}, "OAF104"),
        ({"external": True}, "OAF114"),
        ({"external": True, "queue": "q", "retry": 1}, "OAF113"),
        ({"external": True, "queue": "q", "rate": "5/s"}, "OAF113"),
        ({"external": True, "queue": "q", "concurrency": 2}, "OAF113"),
        ({"lock": True}, "OAF103"),
        ({"lock": " "}, "OAF103"),
        ({"external": True, "queue": "q", "lock": 5}, "OAF103"),
        ({"collect": 0}, "OAF108"),
        ({"collect": {"wait": "2s"}}, "OAF102"),
        ({"collect": {"size": 5, "wait": "soon"}}, "OAF106"),
        ({"collect": {"size": 5, "most": 6}}, "OAF101"),
        ({"collect": "5"}, "OAF103"),
        ({"collect": 5, "split": 5}, "OAF129"),
        ({"collect": 5, "join": "run"}, "OAF128"),
        ({"external": True, "queue": "q", "with": {"dataset": "x"}}, "OAF105"),
    ],
)
def test_a_value_that_its_key_does_not_take_is_refused(keys: dict[str, Any], code: str):
    assert stage_codes(**keys) == [code]


@pytest.mark.parametrize("name", ["drop", "run", "default"])
def test_no_stage_has_a_name_of_the_language(name: str):
    assert codes({"pipeline": "p", "stages": {name: {"task": "m.read"}}}) == ["OAF105"]


@pytest.mark.parametrize(
    ("param", "code"),
    [
        ({"type": "number"}, "OAF110"),
        ({"type": "int", "of": "int"}, "OAF117"),
        ({"type": "list", "of": "list"}, "OAF110"),
        ({"type": "int", "default": "many"}, "OAF120"),
        ({"type": "list", "of": "int", "default": [1, "x"]}, "OAF120"),
        ({"type": "choice"}, "OAF102"),
        ({"type": "choice", "choices": []}, "OAF103"),
        ({"type": "choice", "choices": ["a", "b"], "default": "c"}, "OAF120"),
        ({"type": "int", "choices": [1, "x"]}, "OAF120"),
        ({"default": "a", "required": True}, "OAF117"),
        ({"required": "yes"}, "OAF103"),
        ({"env": "A B"}, "OAF104"),
        ({"default": "${params.b}"}, "OAF116"),
        ({"hlep": "x"}, "OAF101"),
        (5, "OAF103"),
    ],
)
def test_a_param_that_contradicts_itself_is_refused(param: Any, code: str):
    assert codes({"pipeline": "p", "params": {"a": param}, "stages": {"read": {"task": "m.read"}}}) == [code]


def test_defaults_of_params_are_values_of_their_type():
    params = {
        "wait": {"type": "duration", "default": "2m"},
        "room": {"type": "size", "default": "1kB"},
        "share": {"type": "float", "default": 1},
        "sources": {"type": "list", "of": "path", "default": "here"},
        "level": {"type": "choice", "choices": ["low", 2], "default": 2},
        "loud": {"type": "bool", "default": False},
    }
    pipeline = read(params=params, stages={"read": {"task": "m.read"}})

    assert {name: param.default for name, param in pipeline.params.items()} == {
        "wait": 120.0,
        "room": 1000,
        "share": 1.0,
        "sources": ["here"],
        "level": "2",
        "loud": False,
    }


@pytest.mark.parametrize("name", ["api_key", "TOKEN", "client_secret", "password"])
def test_a_param_named_like_a_secret_is_warned_of_and_no_error(name: str):
    pipeline, found = parse_pipeline({"pipeline": "p", "params": {name: {}}, "stages": {"read": {"task": "m.read"}}})

    assert pipeline is not None
    assert [one.code for one in found] == ["OAF119"]
    assert errors(found) == []


def test_a_misspelled_key_is_not_missed_as_well():
    data = {"pipline": "p", "stages": {"read": {"tsk": "m.read"}}}

    assert codes(data) == ["OAF101", "OAF101"]


def test_every_mistake_of_the_shape_is_told_at_once():
    data = {
        "pipeline": "Letters!",
        "params": {"a": {"type": "number"}},
        "defaults": {"timeout": "soon", "task": "m.x"},
        "stages": {"read": {"task": "read", "next": []}, "run": {"memory": "lots"}},
    }

    found = codes(data)
    assert sorted(found) == ["OAF101", "OAF102", "OAF104", "OAF104", "OAF105", "OAF106", "OAF107", "OAF110", "OAF123"]


def test_tuples_and_lists_are_the_same_in_the_python_form():
    assert read_stage(next=("index",)).next == (Edge(to="index", place=("next", 0)),)
    assert read(start=("read",), stages={"read": {"task": "m.read"}}).start == ("read",)


WORDS = """
task next to port recurse with retry max enabled queue external timeout stages params pipeline read drop default type
list of defaults start on_error emit
"""
words = st.sampled_from(WORDS.split())
leaves = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5) | st.just("${params.a}")
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=3) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(anything)
def test_no_data_whatever_is_more_than_a_list_of_mistakes(data: Any):
    for pipeline, found in (parse_pipeline(data), parse_pipeline({"pipeline": "p", "stages": {"read": data}})):
        assert (pipeline is None) == bool(errors(found))
        assert all(RULES[one.code] is one.rule for one in found)


def test_what_defaults_say_of_collect_holds_for_stages_that_could_say_it_and_do_not():
    data = {
        "pipeline": "letters",
        "defaults": {"collect": {"size": 50, "wait": "5s"}},
        "start": "read",
        "stages": {
            "read": {"task": "m.read", "next": ["few", "alone", "cut", "theirs"]},
            "few": {"task": "m.few", "collect": 3},
            "alone": {"task": "m.alone", "collect": False},
            "cut": {"task": "m.cut", "split": 2},
            "theirs": {"task": "m.theirs", "queue": "q", "external": True},
            "end": {"task": "m.end", "join": "run"},
        },
    }
    plan = check_data(data).plan

    assert plan is not None
    found = {name: (stage.collect.size, stage.collect.wait) for name, stage in plan.stages.items() if stage.collect}
    assert found == {"read": (50, 5.0), "few": (3, 5.0)}


def test_collect_is_off_or_a_number_and_nothing_else():
    assert read_stage(collect=False).collect is False
    assert stage_codes(collect=False, split=3) == []
    assert stage_codes(collect=True) == ["OAF103"]
    assert codes({"pipeline": "p", "defaults": {"collect": True}, "stages": {"a": {"task": "m.a"}}}) == ["OAF103"]


@pytest.mark.parametrize(
    "collect", ["${params.many}", {"size": "${params.many}"}, {"size": 3, "wait": "${params.many}"}]
)
def test_params_in_collect_are_looked_up_like_others(collect: Any):
    for where in ({"defaults": {"collect": collect}}, {}):
        stage = {"task": "m.a"} if where else {"task": "m.a", "collect": collect}
        data = {"pipeline": "p", **where, "stages": {"a": stage}}

        assert [one.code for one in check_data(data).diagnostics] == ["OAF202"]
        wrong = {**data, "params": {"many": {"type": "bool"}}}
        assert [one.code for one in check_data(wrong).diagnostics] == ["OAF204"]
