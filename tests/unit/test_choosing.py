"""
Laws and cases of conditions on edges: what is decided, and what the router makes of it.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.jobs import DatasetJob, Job
from oaflow.plan import BoundCollect, BoundPlan, Plan, PlannedEdge, PlannedStage, bind
from oaflow.runtime.choosing import ConditionError, choose
from oaflow.runtime.router import entities_of, facts_of, route
from tests.integration.pools import bound_stage, plan_of

TARGETS = ("b", "c", "d", "e", "f")

# Conditions, each with what it means in plain words of Python.
WHERE: list[tuple[Any, Callable[[dict[str, Any]], bool]]] = [
    ("is_a(e, 'Document')", lambda e: e["schema"] in ("Document", "Email")),
    ("has(e.language, 'rus', 'ukr')", lambda e: bool({"rus", "ukr"} & set(e["properties"].get("language", ())))),
    ("lacks(e.language, 'eng')", lambda e: "eng" not in e["properties"].get("language", ())),
    ({"schema": ("Person",)}, lambda e: e["schema"] == "Person"),
    ({"language": ("r*",)}, lambda e: any(text.startswith("r") for text in e["properties"].get("language", ()))),
    ({"not": {"schema": ("Email",)}}, lambda e: e["schema"] != "Email"),
]
WHEN: list[tuple[str, bool]] = [("job.context.deep", True), ("not job.context.deep", False), ("params.x == 1", True)]

entities = st.lists(
    st.builds(
        lambda schema, languages: {"schema": schema, "properties": {"language": languages} if languages else {}},
        st.sampled_from(["Document", "Email", "Person"]),
        st.lists(st.sampled_from(["rus", "eng", "ukr"]), unique=True, max_size=2),
    ),
    max_size=6,
).map(lambda found: [{"id": f"e{number}", **entity} for number, entity in enumerate(found)])


@st.composite
def edges(draw: st.DrawFn) -> tuple[list[PlannedEdge], list[Callable[[dict[str, Any] | None], bool]]]:
    """
    Edges of one port to different stages, and beside each what it takes: of an entity, or of a job without one.
    """
    made: list[PlannedEdge] = []
    meant: list[Callable[[dict[str, Any] | None], bool]] = []
    targets = TARGETS[: draw(st.integers(1, 4))]
    rest = draw(st.none() | st.integers(0, len(targets)))
    for number, to in enumerate(targets):
        if number == rest:
            made.append(PlannedEdge(to=to, rest=True))
            meant.append(lambda _: False)
            continue
        when, passes = draw(st.just((None, True)) | st.sampled_from(WHEN))
        where, holds = draw(st.just((None, None)) | st.sampled_from(WHERE))
        made.append(PlannedEdge(to=to, when=when, where=where))
        meant.append(lambda e, passes=passes, holds=holds: passes and (holds is None or (e is not None and holds(e))))
    return made, meant


def plan_with(made: list[PlannedEdge], *, first: bool = False, **target: Any) -> BoundPlan:
    source = bound_stage("a", "m.a", *made, choose="first" if first else "all")
    plan = plan_of(source, *(bound_stage(name, f"m.{name}", **target) for name in TARGETS))
    return plan.model_copy(update={"params": {"x": 1}})


def job_of(found: list[dict[str, Any]]) -> DatasetJob:
    return DatasetJob(dataset="d", queue="q", task="t", payload={"entities": found, "context": {"deep": True}})


def routed(plan: BoundPlan, job: Job, loaded: list[dict[str, Any]] | None = None):
    stage = plan.stages["a"]
    choice = None
    if "default" in stage.conditions:
        choice = choose(stage, "default", entities_of(job), facts_of(plan, job, "r"), loaded)
    return route(plan, "a", job_of([]), [("default", job, choice)], run="r", job_id=1)


def ids(job: Job) -> list[str]:
    return [entity["id"] for entity in entities_of(job)]


def expected(made: list[PlannedEdge], meant: list[Any], found: list[Any], first: bool) -> dict[str, list[Any]]:
    """
    By stage what goes there, and under None what goes nowhere, decided for one after the other.
    """
    shares: dict[Any, list[Any]] = {edge.to: [] for edge in made} | {None: []}
    for one in found:
        takers = [edge.to for edge, takes in zip(made, meant, strict=True) if takes(one)]
        takers = takers[:1] if first else takers
        for name in takers or [next((edge.to for edge in made if edge.rest), None)]:
            shares[name].append(one["id"] if one else None)
    return shares


@given(edges(), entities, st.booleans())
def test_an_entity_is_on_each_edge_that_takes_it_and_on_no_other(drawn, found, first):
    made, meant = drawn
    outcome = routed(plan_with(made, first=first), job_of(found))
    shares = expected(made, meant, found or [None], first)

    for edge in made:
        ways = [way for way in outcome.routes if way.stage == edge.to]
        if not found:
            assert len(ways) == len(shares[edge.to])
        else:
            # No job without entities comes of one that had some.
            assert [ids(way.job) for way in ways] == ([shares[edge.to]] if shares[edge.to] else [])
    assert sum(loss.size for loss in outcome.losses) == len(shares[None])
    assert all(loss.kind == "unmatched" and loss.reason for loss in outcome.losses)


@given(edges(), entities, st.booleans())
def test_nothing_is_both_taken_and_unmatched_and_nothing_is_neither(drawn, found, first):
    made, _ = drawn
    outcome = routed(plan_with(made, first=first), job_of(found))

    taken = {one for way in outcome.routes for one in ids(way.job)}
    lost = {one for loss in outcome.losses for one in loss.documents}
    assert not taken & lost
    assert len(taken) + sum(loss.size for loss in outcome.losses if found) == len(found)
    if not found:
        assert bool(outcome.routes) != bool(outcome.losses)


@given(edges(), entities)
def test_else_takes_what_no_other_edge_took(drawn, found):
    made, _ = drawn
    outcome = routed(plan_with(made), job_of(found))
    rest = next((edge.to for edge in made if edge.rest), None)
    if rest is None:
        return

    others = {one for way in outcome.routes if way.stage != rest for one in ids(way.job)}
    taken = [one for way in outcome.routes if way.stage == rest for one in ids(way.job)]
    assert taken == [entity["id"] for entity in found if entity["id"] not in others]
    assert outcome.losses == ()


@given(edges(), entities, st.booleans(), st.integers(1, 3))
def test_what_is_split_or_collected_loses_and_doubles_nothing(drawn, found, first, most):
    made, _ = drawn
    whole = routed(plan_with(made, first=first), job_of(found))
    for limits in ({"split": most}, {"collect": BoundCollect(size=most, wait=1.0)}):
        cut = routed(plan_with(made, first=first, **limits), job_of(found))
        for name in TARGETS:
            parts = [ids(way.job) for way in cut.routes if way.stage == name]
            assert [one for part in parts for one in part] == [
                one for way in whole.routes if way.stage == name for one in ids(way.job)
            ]
            assert all(len(part) <= most for part in parts)
        assert cut.losses == whole.losses


@given(edges(), entities, st.booleans(), st.sampled_from(TARGETS))
def test_disabling_a_stage_is_as_if_the_pipeline_were_written_without_it(drawn, found, first, off):
    made, _ = drawn

    def bound(edges: list[PlannedEdge], stages: tuple[str, ...], disable: tuple[str, ...]) -> BoundPlan:
        planned = {name: PlannedStage(task=f"m.{name}", queue=name) for name in stages}
        choose = "first" if first else "all"
        planned["a"] = PlannedStage(task="m.a", queue="a", edges=tuple(edges), choose=choose)
        return bind(Plan(pipeline="p", start=("a",), stages=planned), {"x": 1}, disable=disable)

    reached = {edge.to for edge in made}
    left = [edge for edge in made if edge.to != off]
    if off not in reached or not left:
        return
    disabled = routed(bound(made, tuple(reached), (off,)), job_of(found))
    without = routed(bound(left, tuple(reached - {off}), ()), job_of(found))

    assert disabled == without


def test_a_job_that_no_edge_takes_is_unmatched_with_the_conditions():
    made = [PlannedEdge(to="b", when="job.context.ocr"), PlannedEdge(to="c", where={"schema": ("Person",)})]
    found = [{"id": "1", "schema": "Document", "properties": {}}, {"id": "2", "schema": "Email", "properties": {}}]

    (loss,) = routed(plan_with(made), job_of(found)).losses
    (empty,) = routed(plan_with(made), job_of([])).losses

    assert (loss.kind, loss.port, loss.size, loss.documents) == ("unmatched", "default", 2, ("1", "2"))
    assert loss.reason == (
        "port 'default' of stage 'a' has no edge for such entities (b: when job.context.ocr; c: where {schema: Person})"
    )
    assert (empty.size, "a job without entities" in empty.reason) == (1, True)


def test_what_no_edge_takes_is_counted_at_the_port_that_it_came_out_of():
    edge = PlannedEdge(to="b", port="images", where={"schema": ("Image",)})
    plan = plan_with([edge, PlannedEdge(to="c")])
    job = job_of([{"id": "1", "schema": "Email", "properties": {}}])
    choice = choose(plan.stages["a"], "images", entities_of(job), facts_of(plan, job, "r"))

    (loss,) = route(plan, "a", job_of([]), [("images", job, choice)], run="r", job_id=1).losses

    assert (loss.kind, loss.port, loss.documents) == ("unmatched", "images", ("1",))
    assert loss.reason.startswith("port 'images' of stage 'a' has no edge")


def test_what_an_edge_takes_lies_too_deep_and_is_not_unmatched():
    made = [PlannedEdge(to="a", where={"schema": ("Email",)}, recurse=1), PlannedEdge(to="b", rest=True)]
    found = [{"id": "1", "schema": "Email", "properties": {}}, {"id": "2", "schema": "Document", "properties": {}}]
    plan = plan_with(made)
    choice = choose(plan.stages["a"], "default", found, facts_of(plan, job_of(found), "r"))
    deep = job_of([])
    deep.payload["context"]["oaflow"] = {"depth": {"a.default>a": 1}}

    outcome = route(plan, "a", deep, [("default", job_of(found), choice)], run="r", job_id=1)

    assert [(loss.kind, loss.documents) for loss in outcome.losses] == [("too_deep", ("1",))]
    assert [(way.stage, ids(way.job)) for way in outcome.routes] == [("b", ["2"])]


def test_an_edge_that_loads_sees_what_was_read_and_sends_what_was_returned():
    made = [PlannedEdge(to="b", where="contains(e.bodyText, 'EUR')", load=True), PlannedEdge(to="c", rest=True)]
    found = [{"id": "1", "schema": "Document", "properties": {}}, {"id": "2", "schema": "Document", "properties": {}}]
    loaded = [{**found[0], "properties": {"bodyText": ["12 EUR"]}}, found[1]]

    outcome = routed(plan_with(made), job_of(found), loaded)

    assert [(way.stage, entities_of(way.job)) for way in outcome.routes] == [("b", [found[0]]), ("c", [found[1]])]


def test_a_condition_that_cannot_be_evaluated_says_where_it_stands():
    made = [PlannedEdge(to="b", where="job.context.limit < 3")]
    job = job_of([{"id": "1", "schema": "Document", "properties": {}}])
    job.payload["context"]["limit"] = "many"

    with pytest.raises(ConditionError, match=r"`where` of the edge from stage 'a', port 'default', to 'b': .*limit"):
        routed(plan_with(made), job)


def test_a_plain_job_is_decided_over_by_when_alone():
    made = [PlannedEdge(to="b", where={"schema": ("Person",)}), PlannedEdge(to="c", when="params.x == 1")]
    plain = Job(queue="q", task="t", payload={"context": {}})
    plan = plan_with(made)
    choice = choose(plan.stages["a"], "default", entities_of(plain), facts_of(plan, plain, "r"))

    assert choice.shares == ((), None)
    assert choice.untaken == ()
