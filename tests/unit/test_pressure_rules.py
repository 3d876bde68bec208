"""
Which streams rest, and when.
"""

from typing import Any

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from oaflow.plan import BoundPlan, PlannedEdge
from oaflow.plan.joins import followers_of
from oaflow.plan.plans import BoundCollect
from oaflow.runtime.pressure import Pressure
from tests.integration.pools import bound_stage, plan_of
from tests.unit.test_joins import Node, graphs

EDGE = PlannedEdge(to="sink")
PLAN = plan_of(bound_stage("source", "t.a", EDGE, emit="stream"), bound_stage("sink", "t.b"))


def resting(plan: BoundPlan) -> dict[str, set[str]]:
    return {name: set(after) for name, after in plan.rests.items()}


@given(graphs())
def test_what_follows_a_stage_is_all_that_it_leads_to_and_that_does_not_lead_back(stages: dict[str, Node]):
    graph = nx.DiGraph({name: list(stage.targets) for name, stage in stages.items()})

    for name in stages:
        assert followers_of(stages, name) == nx.descendants(graph, name) - nx.ancestors(graph, name) - {name}


@given(graphs(), st.data())
def test_streams_that_rest_never_wait_for_each_other_in_a_circle(stages: dict[str, Node], data: st.DataObject):
    streams = data.draw(st.sets(st.sampled_from(sorted(stages))))
    plan = plan_of(
        *(
            bound_stage(
                name,
                f"t.{name}",
                *(PlannedEdge(to=to) for to in stage.targets),
                emit="stream" if name in streams else "success",
            )
            for name, stage in stages.items()
        )
    )

    waits = nx.DiGraph({name: [other for other in after if other in plan.rests] for name, after in plan.rests.items()})
    assert nx.is_directed_acyclic_graph(waits)


def test_a_stream_that_would_wait_for_itself_does_not_rest():
    end = bound_stage("sink", "t.b")
    stream: dict[str, Any] = {"emit": "stream"}

    assert resting(PLAN) == {"source": {"sink"}}
    assert resting(plan_of(bound_stage("source", "t.a", EDGE), end)) == {}
    assert resting(plan_of(bound_stage("source", "t.a", **stream), end)) == {}
    # What follows would wait for the lock of the one that waits for it, or for its place among those of the task.
    assert resting(plan_of(bound_stage("source", "t.a", EDGE, lock="job.dataset", **stream), end)) == {}
    same = bound_stage("source", "t.a", PlannedEdge(to="again"), **stream)
    other = bound_stage("again", "t.a")
    assert resting(plan_of(same, other.model_copy(update={"queue": same.queue}))) == {}
    assert resting(plan_of(same, other)) == {"source": {"again"}}
    # One that leads to itself would keep itself from being drained.
    into_itself = PlannedEdge(to="source", port="children", recurse=9)
    assert resting(plan_of(bound_stage("source", "t.a", EDGE, into_itself, **stream), end)) == {"source": {"sink"}}


def test_a_stream_rests_above_the_limit_and_goes_on_at_half_of_it():
    pressure = Pressure(100)

    for opened, rests in ((100, False), (101, True), (60, True), (51, True), (50, False), (80, False)):
        pressure.saw(PLAN, "r", {"source": 1000, "sink": opened})
        assert pressure.rests("r", "source") == rests, opened


def test_it_is_looked_only_where_it_may_be_too_much():
    pressure = Pressure(100)

    assert not pressure.handed(PLAN, "r", "source", 60)
    assert not pressure.handed(PLAN, "other", "source", 60)
    assert not pressure.handed(PLAN, "r", "sink", 1000)
    assert pressure.handed(PLAN, "r", "source", 60)
    pressure.saw(PLAN, "r", {"sink": 10})
    assert not pressure.handed(PLAN, "r", "source", 60)


def test_what_waits_to_be_put_together_is_not_kept_from_it():
    collecting = bound_stage("sink", "t.b", collect=BoundCollect(size=500, wait=600.0))
    plan = plan_of(bound_stage("source", "t.a", EDGE, emit="stream"), collecting)
    pressure = Pressure(100)

    pressure.saw(plan, "r", {"sink": 599})

    assert not pressure.rests("r", "source")


def test_no_more_of_a_stream_that_rests_is_begun_in_its_run():
    pressure = Pressure(100)
    pressure.saw(PLAN, "r", {"sink": 101})
    pressure.saw(PLAN, "other", {"sink": 3})

    assert pressure.closed({"r": PLAN, "other": PLAN}) == {("queue-source", "t.a", "r")}
    assert pressure.closed({"other": PLAN}) == set()
    pressure.forget("r")
    assert pressure.resting == frozenset()
