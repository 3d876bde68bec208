import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import EnvironmentProblem
from oaflow.plan import Plan, PlannedEdge, PlannedParam, PlannedRetry, PlannedStage
from tests.unit.plans import plans, shuffled

GOLDEN = Path(__file__).parent / "golden" / "digests.json"


def plan_of(**stages: PlannedStage) -> Plan:
    return Plan(pipeline="p", start=(next(iter(stages)),), stages=stages)


@given(plans())
def test_a_plan_is_the_same_after_a_passage_through_its_canonical_form(plan):
    again = Plan.read(plan.canonical())

    assert again.canonical() == plan.canonical()
    assert again.digest == plan.digest


@given(plans(), st.randoms())
def test_the_order_of_keys_is_no_part_of_a_plan(plan, random):
    assert shuffled(plan, random).digest == plan.digest


@given(plans())
def test_the_canonical_form_survives_what_a_json_column_does_to_it(plan):
    column = json.loads(plan.canonical().decode())

    assert Plan.read(column).digest == plan.digest


@given(plans())
def test_what_equals_the_default_is_left_out(plan):
    body = orjson.loads(plan.canonical())

    for name, stage in body["stages"].items():
        fresh = PlannedStage(task=stage["task"], queue=stage["queue"]).model_dump(mode="json")
        assert not [key for key, value in stage.items() if key not in ("task", "queue") and fresh[key] == value]
        assert stage.get("origin") != f"{plan.pipeline}/{name}"


@pytest.mark.parametrize(
    "change",
    [
        {"queue": "other"},
        {"task": "m.other"},
        {"edges": (PlannedEdge(to="b", port="x"),)},
        {"edges": (PlannedEdge(to="b"), PlannedEdge(to="c"))},
        {"edges": (PlannedEdge(to="b", recurse=2),)},
        {"dropped": ("media",)},
        {"options": {"a": 1}},
        {"options": {"a": None}},
        {"retry": PlannedRetry(max=0)},
        {"timeout": 1.0},
        {"memory": None},
        {"priority": 51},
        {"on_error": "b"},
        {"emit": "stream"},
        {"enabled": False},
        {"enabled": "params.on"},
        {"choose": "first"},
        {"edges": (PlannedEdge(to="b", when="job.context.ocr"),)},
        {"edges": (PlannedEdge(to="b", where="is_a(e, 'Person')"),)},
        {"edges": (PlannedEdge(to="b", where={"schema": ("Person",)}),)},
        {"edges": (PlannedEdge(to="b", where={"not": {"schema": ("Person",)}}),)},
        {"edges": (PlannedEdge(to="b", rest=True),)},
        {"edges": (PlannedEdge(to="b", load=True),)},
        {"external": True},
        {"origin": "elsewhere"},
        {"accepts": ("Document",)},
        {"emits": {"default": ("Document",)}},
        {"takes": "DatasetJob"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_what_runs_or_where_it_goes_changes_the_digest(change):
    base = PlannedStage(task="m.a", queue="a", edges=(PlannedEdge(to="b"),))
    rest = {"b": PlannedStage(task="m.b", queue="b"), "c": PlannedStage(task="m.c", queue="c")}

    assert plan_of(a=base.model_copy(update=change), **rest).digest != plan_of(a=base, **rest).digest


def test_the_order_of_edges_on_one_port_is_part_of_a_plan():
    rest = {"b": PlannedStage(task="m.b", queue="b"), "c": PlannedStage(task="m.c", queue="c")}
    one = PlannedStage(task="m.a", queue="a", edges=(PlannedEdge(to="b"), PlannedEdge(to="c")))
    other = PlannedStage(task="m.a", queue="a", edges=(PlannedEdge(to="c"), PlannedEdge(to="b")))

    assert plan_of(a=one, **rest).digest != plan_of(a=other, **rest).digest


def test_a_plan_of_a_later_format_is_refused_with_what_to_do():
    body = orjson.loads(plan_of(a=PlannedStage(task="m.a", queue="a")).canonical()) | {"format": 2}

    with pytest.raises(EnvironmentProblem, match="has format 2, but this program reads format 1") as caught:
        Plan.read(orjson.dumps(body))

    assert caught.value.help == "install the version of oaflow that made the plan"


def golden_plans() -> dict[str, Plan]:
    """
    Plans that use every key at least once. Never changed: new ones are added.
    """
    return {
        "one stage": plan_of(a=PlannedStage(task="m.a", queue="a")),
        "every key of a stage": plan_of(
            a=PlannedStage(
                task="m.a",
                queue="heavy",
                edges=(PlannedEdge(to="b"), PlannedEdge(to="a", port="children", recurse=16)),
                dropped=("media",),
                options={"source": "${params.source}", "deep": {"list": [1, 2.5, None, True, "é"]}},
                retry=PlannedRetry(max="${params.n}", backoff="none", base=1.5, cap=60),
                timeout="${params.t}",
                memory=1024,
                priority=80,
                on_error="b",
                emit="stream",
                origin="elsewhere",
                accepts=("Document",),
                emits={"default": ("Document", "Page")},
                takes="DatasetJob",
                gives="Iterator[DatasetJob]",
            ),
            b=PlannedStage(task="m.b", queue="b", enabled="params.on", external=True),
        ),
        "every condition": plan_of(
            a=PlannedStage(
                task="m.a",
                queue="a",
                edges=(
                    PlannedEdge(to="b", where="others(e.language, 'eng')", load=True),
                    PlannedEdge(to="c", when="job.context.ocr"),
                    PlannedEdge(to="d", where={"schema": ("Person", "Company"), "not": {"country": ("${params.c}",)}}),
                    PlannedEdge(to="e", rest=True),
                ),
                choose="first",
            ),
        ),
        "every kind of param": Plan(
            pipeline="p",
            start=("a",),
            params={
                "source": PlannedParam(type="list", of="path", positional=True, remember=True, required=True),
                "n": PlannedParam(type="int", default=3),
                "t": PlannedParam(type="duration", default=2.5, env="T"),
                "on": PlannedParam(type="bool", default=False),
                "kind": PlannedParam(type="choice", choices=("x", "y"), default="x"),
            },
            stages={"a": PlannedStage(task="m.a", queue="a")},
        ),
    }


@pytest.mark.parametrize("name", golden_plans())
def test_digests_stay_as_they_were_released(name):
    assert golden_plans()[name].digest == json.loads(GOLDEN.read_text())[name]
