"""
Laws and cases of routing.
"""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import UnknownPortError, UnknownStageError
from oaflow.jobs import DatasetJob, Job, ReservedKeyError, read_job
from oaflow.plan import BoundCollect, BoundPlan, PlannedEdge
from oaflow.runtime.router import ForeignDatasetError, divert, enter, route
from tests.integration.pools import bound_stage, plan_of

STAGES = ("a", "b", "c", "d")
PORTS = ("default", "children", "media")


def job_of(dataset: str | None = "d", *, queue="q", task="t", entities=(), **context) -> Job:
    payload = {"entities": list(entities), "context": context}
    if dataset is None:
        return Job(queue=queue, task=task, payload=payload)
    return DatasetJob(queue=queue, task=task, dataset=dataset, payload=payload)


def document(number: int) -> dict:
    return {"id": f"doc-{number}", "schema": "Document", "properties": {}}


edges = st.lists(
    st.builds(
        PlannedEdge, to=st.sampled_from(STAGES), port=st.sampled_from(PORTS), recurse=st.none() | st.integers(1, 3)
    ),
    max_size=5,
)


@st.composite
def plans(draw) -> BoundPlan:
    stages = []
    for name in STAGES:
        out = tuple(draw(edges))
        free = [port for port in PORTS if port not in {edge.port for edge in out}]
        dropped = tuple(draw(st.lists(st.sampled_from(free), unique=True))) if free else ()
        left = [port for port in free if port not in dropped]
        unwired = tuple(draw(st.lists(st.sampled_from(left), unique=True))) if left else ()
        stages.append(bound_stage(name, f"m.{name}", *out, dropped=dropped, unwired=unwired))
    return plan_of(*stages, disabled={"gone": "param 'x' is false"})


@st.composite
def passages(draw):
    plan = draw(plans())
    stage = plan.stages[draw(st.sampled_from(STAGES))]
    ports = PORTS if stage.end else stage.ports
    emitted = [
        (port, job_of(entities=[document(number)]), None)
        for number, port in enumerate(draw(st.lists(st.sampled_from(ports), max_size=6)))
    ]
    keys = [f"{stage.name}.{edge.port}>{edge.to}" for edge in stage.edges if edge.recurse]
    depth = {key: draw(st.integers(0, 4)) for key in keys}
    arrived = job_of(oaflow={"run": "r", "stage": stage.name, "depth": depth})
    return plan, stage, arrived, emitted


@given(passages())
def test_every_emitted_job_is_routed_along_each_edge_of_its_port_or_counted_as_one_loss(passage):
    plan, stage, arrived, emitted = passage
    routed = route(plan, stage.name, arrived, emitted, run="r", job_id=7)
    for number, (port, _, _) in enumerate(emitted):
        taken = [way for way in routed.routes if way.documents == (f"doc-{number}",)]
        losses = [loss for loss in routed.losses if loss.documents == (f"doc-{number}",)]
        wired = [edge.to for edge in stage.edges if edge.port == port]
        deep = [loss for loss in losses if loss.kind == "too_deep"]
        if wired:
            assert len(taken) + len(deep) == len(wired)
            assert losses == deep
        else:
            expected = "ended" if stage.end else "dropped" if port in stage.dropped else "unmatched"
            assert not taken
            assert [loss.kind for loss in losses] == [expected]
            assert losses[0].reason


@given(passages())
def test_what_is_routed_is_stamped_with_its_run_and_goes_where_the_plan_says(passage):
    plan, stage, arrived, emitted = passage
    for way in route(plan, stage.name, arrived, emitted, run="r", job_id=7).routes:
        target = plan.stages[way.stage]
        assert (way.queue, way.task, way.priority) == (target.queue, target.task, target.priority)
        wire = read_job(orjson.loads(orjson.dumps(way.job.to_wire())))
        assert isinstance(wire, DatasetJob)
        assert (wire.queue, wire.task, wire.batch) == (target.queue, target.task, "r")
        mark = wire.context["oaflow"]
        assert (mark["run"], mark["stage"], mark["parent"]) == ("r", way.stage, 7)


@given(passages())
def test_depth_rises_by_one_on_a_recursive_edge_and_never_beyond_what_it_allows(passage):
    plan, stage, arrived, emitted = passage
    before = arrived.context["oaflow"]["depth"]
    for way in route(plan, stage.name, arrived, emitted, run="r", job_id=7).routes:
        after = way.job.context["oaflow"].get("depth", {})
        risen = {key for key in after if after[key] != before.get(key, 0)}
        assert len(risen) <= 1
        for key in risen:
            assert after[key] == before.get(key, 0) + 1
            allowed = [e.recurse for e in stage.edges if f"{stage.name}.{e.port}>{e.to}" == key and e.recurse]
            assert after[key] <= max(allowed)


@given(passages())
def test_routing_changes_nothing_that_it_was_given(passage):
    plan, stage, arrived, emitted = passage
    before = copy.deepcopy((arrived.model_dump(), [(port, job.model_dump()) for port, job, _ in emitted]))
    first = route(plan, stage.name, arrived, emitted, run="r", job_id=7)
    assert route(plan, stage.name, arrived, emitted, run="r", job_id=7) == first
    assert (arrived.model_dump(), [(port, job.model_dump()) for port, job, _ in emitted]) == before


CHAIN = plan_of(
    bound_stage("a", "m.a", PlannedEdge(to="b"), PlannedEdge(to="c"), PlannedEdge(to="a", port="more", recurse=2)),
    bound_stage("b", "m.b"),
    bound_stage("c", "m.c", on_error="b"),
)


def test_an_undeclared_port_is_an_error_that_names_what_is_wired():
    with pytest.raises(
        UnknownPortError, match=r"'a' emitted on port 'other', but the plan wires: default, more"
    ) as said:
        route(CHAIN, "a", job_of(), [("other", job_of(), None)], run="r", job_id=1)

    assert str(said.value.help).startswith("give port 'other' a stage, under 'next' of 'a'; ")
    assert str(said.value.help).endswith("; then begin a new run, as a retry keeps the wiring")


def test_a_stage_that_the_plan_does_not_have_is_an_error_that_names_those_it_has():
    with pytest.raises(UnknownStageError, match=r"no stage 'z'; it has: a, b, c"):
        route(CHAIN, "z", job_of(), [], run="r", job_id=1)


@pytest.mark.parametrize("other", ["else", None])
def test_a_job_of_another_dataset_or_of_none_is_an_error(other):
    with pytest.raises(ForeignDatasetError, match="the run is about dataset 'd'"):
        route(CHAIN, "a", job_of(), [("default", job_of(other), None)], run="r", job_id=1)


def test_a_cycle_ends_at_its_depth_and_says_so():
    job, levels = job_of(), 0
    while True:
        routed = route(CHAIN, "a", job, [("more", job, None)], run="r", job_id=1)
        if not routed.routes:
            break
        job, levels = routed.routes[0].job, levels + 1
    assert levels == 2
    assert [loss.kind for loss in routed.losses] == ["too_deep"]
    assert "deeper than 2" in routed.losses[0].reason


def test_a_queue_that_is_neither_where_it_came_from_nor_where_it_goes_is_reported_and_ignored():
    arrived = job_of()
    assert route(CHAIN, "a", arrived, [("default", job_of(), None)], run="r", job_id=1).stray is None
    to_b = job_of(queue="queue-b", task="m.b")
    assert route(CHAIN, "a", arrived, [("default", to_b, None)], run="r", job_id=1).stray is None
    astray = job_of(queue="elsewhere", task="x.y")
    routed = route(CHAIN, "a", arrived, [("default", astray, None)], run="r", job_id=1)
    assert routed.stray == ("elsewhere", "x.y")
    assert [way.stage for way in routed.routes] == ["b", "c"]


def test_what_only_disabled_stages_would_take_is_unmatched_with_the_reason():
    plan = plan_of(bound_stage("a", "m.a", unwired=("default",)), disabled={"b": "param 'translate' is false"})
    routed = route(plan, "a", job_of(), [("default", job_of(), None)], run="r", job_id=1)
    assert [loss.kind for loss in routed.losses] == ["unmatched"]
    assert "param 'translate' is false" in routed.losses[0].reason


def test_reserved_keys_that_came_in_stay_behind_and_new_ones_are_refused():
    arrived = read_job({"queue": "q", "task": "t", "dataset": "d", "payload": {"context": {"batch": "b", "x": 1}}})
    routed = route(CHAIN, "a", arrived, [("default", arrived, None)], run="r", job_id=1)
    assert set(routed.routes[0].job.context) == {"x", "oaflow"}
    with pytest.raises(ReservedKeyError, match="batch"):
        route(CHAIN, "a", job_of(), [("default", arrived, None)], run="r", job_id=1)


def test_a_diverted_job_goes_as_it_arrived_with_the_error_beside_it():
    arrived = job_of(entities=[document(1)], languages=["eng"])
    (way,) = divert(CHAIN, "c", arrived, {"type": "ValueError", "message": "x"}, attempts=6, run="r", job_id=9)
    assert (way.stage, way.queue, way.documents) == ("b", "queue-b", ("doc-1",))
    assert way.job.context["error"] == {"stage": "c", "type": "ValueError", "message": "x", "attempts": 6}
    assert way.job.context["languages"] == ["eng"]
    assert divert(CHAIN, "a", arrived, {}, attempts=1, run="r", job_id=9) == []


def test_the_first_job_of_a_run_has_no_parent():
    (way,) = enter(CHAIN, "a", job_of(), run="r")
    assert way.job.context["oaflow"] == {"run": "r", "stage": "a"}
    assert (way.queue, way.task) == ("queue-a", "m.a")


@given(st.integers(0, 12), st.integers(1, 5))
def test_a_stage_that_collects_gets_each_entity_once_and_never_too_many(count: int, most: int):
    target = bound_stage("b", "m.b", collect=BoundCollect(size=most, wait=1.0))
    plan = plan_of(bound_stage("a", "m.a", PlannedEdge(to="b")), target)
    job = job_of(entities=[document(number) for number in range(count)])

    ways = route(plan, "a", job_of(), [("default", job, None)], run="r", job_id=1).routes

    parts = [way.job.entities for way in ways]
    assert [entity["id"] for part in parts for entity in part] == [f"doc-{number}" for number in range(count)]
    assert all(len(part) <= most for part in parts)
    # Without entities there is nothing to put together.
    assert [way.collect is None for way in ways] == [count == 0] * len(ways)
    failing = plan_of(bound_stage("a", "m.a", on_error="b"), target)
    for others in (enter(plan, "b", job, run="r"), divert(failing, "a", job, {}, attempts=1, run="r", job_id=1)):
        assert [way.job.entities for way in others] == parts
        assert [way.collect is None for way in others] == [count == 0] * len(ways)


def test_jobs_are_put_together_that_differ_in_nothing_but_entities_and_parent():
    target = bound_stage("b", "m.b", collect=BoundCollect(size=5, wait=1.0))
    plan = plan_of(bound_stage("a", "m.a", PlannedEdge(to="b")), target)

    def key(number: int, parent: int, **context: Any) -> str:
        job = job_of(entities=[document(number)], **context)
        (way,) = route(plan, "a", job_of(), [("default", job, None)], run="r", job_id=parent).routes
        found, documents = orjson.loads(way.collect or "")
        assert documents == [f"doc-{number}"]
        return found

    assert key(1, 1) == key(2, 2)
    assert key(1, 1, color="red") == key(2, 1, color="red")
    assert key(1, 1, color="red") != key(1, 1)
    assert key(1, 1, color="red") != key(1, 1, color="blue")


@given(st.integers(0, 12), st.integers(1, 5), st.booleans())
def test_a_stage_that_splits_gets_each_entity_once_in_order_and_never_too_many(count: int, most: int, first: bool):
    target = bound_stage("b", "m.b", split=most)
    plan = plan_of(bound_stage("a", "m.a", PlannedEdge(to="b")), target)
    job = job_of(entities=[document(number) for number in range(count)], color="red")

    if first:
        ways = enter(plan, "b", job, run="r")
    else:
        ways = list(route(plan, "a", job_of(), [("default", job, None)], run="r", job_id=1).routes)

    parts = [way.job.entities for way in ways]
    assert [entity["id"] for part in parts for entity in part] == [f"doc-{number}" for number in range(count)]
    assert all(len(part) <= most for part in parts)
    assert len(parts) == max(1, -(-count // most))
    assert [list(way.documents) for way in ways] == [[entity["id"] for entity in part] for part in parts]
    assert all(way.job.context["color"] == "red" for way in ways)
