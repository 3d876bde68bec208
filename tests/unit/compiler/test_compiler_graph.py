"""
The graph checks, held against networkx and against what binding a plan does.
"""

from collections.abc import Collection
from itertools import product

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from oaflow.compiler.graph import (
    check_graph,
    graph_of,
    on_one_way_round,
    path_between,
    reached_from,
    without_ends,
)
from oaflow.compiler.planning import plan_of
from oaflow.compiler.switches import switches_of
from oaflow.diagnostics import NO_SPANS
from oaflow.errors import UsageError
from oaflow.expressions import compile_expression
from oaflow.model import Edge, Param, Pipeline, Stage
from oaflow.plan import bind, check_params

NAMES = ("a", "b", "c", "d", "e")
PARAMS = ("p", "q")
KINDS = ("one", "two")
ENABLED = (
    "params.p",
    "params.q",
    "not params.p",
    "params.p and params.q",
    "params.kind == 'one'",
    "params.kind != 'one'",
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    edges = st.builds(
        Edge,
        to=st.sampled_from(names),
        port=st.sampled_from(["default", "media"]),
        recurse=st.none() | st.integers(1, 3),
    )
    stages = {
        name: Stage(
            task="m.f",
            next=tuple(draw(st.lists(edges, max_size=3, unique_by=lambda edge: (edge.to, edge.port)))),
            on_error=draw(st.none() | st.none() | st.sampled_from(names)),
            enabled=draw(st.just(True) | st.booleans() | st.sampled_from(ENABLED)),
        )
        for name in names
    }
    start = tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=2)))
    params = {name: Param(type="bool") for name in PARAMS} | {
        "kind": Param(type="choice", choices=KINDS, default="one")
    }
    return Pipeline(name="p", params=params, start=start, stages=stages)


def told(pipeline: Pipeline, code: str) -> list[str]:
    """
    The stages that diagnostics of a code are about.
    """
    return [str(one.span.path[1]) for one in check_graph(pipeline, NO_SPANS) if one.code == code]


def networkx_of(pipeline: Pipeline, *, recurse: bool = True, on_error: bool = True) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(pipeline.stages)
    for name, stage in pipeline.stages.items():
        graph.add_edges_from((name, edge.to) for edge in stage.next if recurse or edge.recurse is None)
        if on_error and stage.on_error:
            graph.add_edge(name, stage.on_error)
    return graph


@given(pipelines())
def test_what_lies_on_one_way_round_is_what_networkx_says(pipeline: Pipeline):
    numbers = on_one_way_round(graph_of(pipeline))

    theirs = nx.strongly_connected_components(networkx_of(pipeline))
    ours = {frozenset(name for name, one in numbers.items() if one == number) for number in numbers.values()}
    assert ours == {frozenset(group) for group in theirs}


@given(pipelines())
def test_reachability_is_what_networkx_says(pipeline: Pipeline):
    ours, theirs = graph_of(pipeline), networkx_of(pipeline)

    for name in pipeline.stages:
        assert reached_from(ours, [name]) == {name, *nx.descendants(theirs, name)}
        for other in pipeline.stages:
            way = path_between(ours, name, other)
            if name != other and nx.has_path(theirs, name, other):
                assert way is not None
                assert len(way) == len(nx.shortest_path(theirs, name, other))
                assert nx.is_path(theirs, way)
            elif name != other:
                assert way is None


@given(pipelines())
def test_what_is_left_without_ends_is_nothing_exactly_if_there_is_no_cycle(pipeline: Pipeline):
    left = without_ends(graph_of(pipeline))

    assert (not left) == nx.is_directed_acyclic_graph(networkx_of(pipeline))
    assert all(target in left for targets in left.values() for target in targets)


@given(pipelines())
def test_a_cycle_is_reported_exactly_when_a_stage_reaches_itself(pipeline: Pipeline):
    graph = networkx_of(pipeline, recurse=False, on_error=False)

    assert bool(told(pipeline, "OAF301")) == (not nx.is_directed_acyclic_graph(graph))


@given(pipelines())
def test_each_group_of_stages_that_reach_each_other_is_told_once(pipeline: Pipeline):
    graph = networkx_of(pipeline, recurse=False, on_error=False)
    groups = [
        group for group in nx.strongly_connected_components(graph) if len(group) > 1 or graph.has_edge(*(2 * [*group]))
    ]

    assert len(told(pipeline, "OAF301")) == len(groups)


@given(pipelines())
def test_recurse_is_idle_exactly_on_edges_that_lie_on_no_cycle(pipeline: Pipeline):
    graph = networkx_of(pipeline, on_error=False)
    idle = [
        name
        for name, stage in pipeline.stages.items()
        for edge in stage.next
        if edge.recurse is not None and not nx.has_path(graph, edge.to, name)
    ]

    assert told(pipeline, "OAF302") == idle


@given(pipelines())
def test_an_error_cycle_is_reported_exactly_when_an_on_error_leads_back(pipeline: Pipeline):
    graph = networkx_of(pipeline)
    back = [
        name
        for name, stage in pipeline.stages.items()
        if stage.on_error is not None and nx.has_path(graph, stage.on_error, name)
    ]

    assert bool(told(pipeline, "OAF306")) == bool(back)
    assert set(told(pipeline, "OAF306")) <= set(back)


@given(pipelines())
def test_a_stage_is_unreachable_exactly_when_no_start_leads_to_it(pipeline: Pipeline):
    graph = networkx_of(pipeline)
    start = pipeline.start or tuple(
        name for name in pipeline.stages if all(before == name for before in graph.predecessors(name))
    )
    reached = set(start).union(*(nx.descendants(graph, name) for name in start))

    assert told(pipeline, "OAF303") == [name for name in pipeline.stages if start and name not in reached]


@given(pipelines())
def test_a_port_is_told_exactly_when_some_params_leave_it_without_a_way(pipeline: Pipeline):
    plan = plan_of(pipeline, {})
    lost: set[str] = set()
    for p, q, kind in product([True, False], [True, False], KINDS):
        try:
            bound = bind(plan, check_params(plan, {"p": p, "q": q, "kind": kind}))
        except UsageError:
            continue  # nothing is left to run, so nothing gets lost
        lost |= {name for name, stage in bound.stages.items() if stage.unwired}

    assert set(told(pipeline, "OAF307")) == lost


@given(pipelines())
def test_where_a_run_starts_is_clear_or_said_to_be_unclear(pipeline: Pipeline):
    found = {one.code for one in check_graph(pipeline, NO_SPANS)}
    start = plan_of(pipeline, {}).start

    assert ("OAF305" in found) == (not start)
    assert ("OAF304" in found) == (len(start) > 1 and not pipeline.start)


def two_ways(first: str, second: str, **params: Param) -> list[str]:
    stages = {
        "a": Stage(task="m.f", next=(Edge(to="b"), Edge(to="c"))),
        "b": Stage(task="m.f", enabled=first),
        "c": Stage(task="m.f", enabled=second),
    }
    return told(Pipeline(name="p", params=params, stages=stages), "OAF307")


def test_of_two_stages_one_may_always_be_on():
    kind = Param(type="choice", choices=KINDS, default="one")

    assert two_ways("params.on", "not params.on", on=Param(type="bool")) == []
    assert two_ways("params.kind == 'one'", "params.kind == 'two'", kind=kind) == []
    # Without a default it may be neither.
    loose = Param(type="choice", choices=KINDS)
    assert two_ways("params.kind == 'one'", "params.kind == 'two'", kind=loose) == ["a"]


def test_values_of_every_type_are_tried_that_are_all_that_is_asked():
    assert two_ways("params.text == 'a'", "params.text != 'a'", text=Param()) == []
    assert two_ways("params.text != 'a'", "params.text != 'b'", text=Param()) == []
    assert two_ways("params.text == 'a'", "params.text == 'b'", text=Param(default="a")) == ["a"]
    assert two_ways("params.text in ('a', 'b')", "params.text not in ['a']", text=Param()) == []
    assert two_ways("params.text", "not params.text", text=Param()) == []
    assert two_ways("params.text <= 'a'", "params.text >= 'b'", text=Param(default="a")) == ["a"]
    assert two_ways("params.n > 3", "params.n <= 3", n=Param(type="int", default=1)) == []
    # What is missing is neither above nor below.
    assert two_ways("params.n > 3", "params.n <= 3", n=Param(type="int")) == ["a"]
    assert two_ways("params.n > 3", "params.n < 4", n=Param(type="int", default=1)) == []
    assert two_ways("params.n > 3", "params.n < 4", n=Param(type="float", default=1)) == []
    assert two_ways("params.n > 3", "params.n < 3", n=Param(type="float", default=1)) == ["a"]
    assert two_ways("1 < params.n < 3", "params.n >= 3 or params.n <= 1", n=Param(type="duration", required=True)) == []
    assert two_ways("params.all", "not params.all", all=Param(type="list")) == []
    on = Param(type="bool")
    assert (
        two_ways("params.on and params.text == 'a'", "not params.on or params.text != 'a'", on=on, text=Param()) == []
    )


def test_what_cannot_be_tried_is_taken_to_be_on_or_off_by_itself():
    assert two_ways("startswith(params.text, 'a')", "not startswith(params.text, 'a')", text=Param()) == ["a"]
    assert two_ways("'a' in params.text", "not params.text", text=Param(default="b")) == ["a"]
    assert two_ways("params.text == params.more", "params.text != params.more", text=Param(), more=Param()) == ["a"]
    many = {f"p{number}": Param(type="bool") for number in range(9)}
    assert two_ways(" and ".join(f"params.{name}" for name in many), "not params.p0", **many) == ["a"]
    on = Param(type="bool")
    assert two_ways("params.on and len(params.text) > 1", "not params.on", on=on, text=Param()) == ["a"]


COMPARED = {
    "text": ("'a'", "'b'", "'bc'", "''"),
    "n": ("0", "1", "2.5", "-1"),
    "f": ("0", "1", "2.5"),
}


@st.composite
def asking(draw: st.DrawFn) -> str:
    """
    Expressions that compare params with what is written out.
    """
    kind = draw(st.sampled_from(["one", "one", "two", "not", "row"]))
    if kind == "two":
        return f"({draw(asking())} {draw(st.sampled_from(['and', 'or']))} {draw(asking())})"
    if kind == "not":
        return f"(not {draw(asking())})"
    name = draw(st.sampled_from(sorted(COMPARED)))
    value, other = (draw(st.sampled_from(COMPARED[name])) for _ in range(2))
    sign, second = (draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="])) for _ in range(2))
    if kind == "row":
        return f"{value} {sign} params.{name} {second} {other}"
    return draw(
        st.sampled_from(
            [
                f"params.{name}",
                f"params.{name} {sign} {value}",
                f"params.{name} in ({value}, {other})",
                f"params.{name} is None",
            ]
        )
    )


@given(
    st.lists(asking(), min_size=1, max_size=3),
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text("abc", max_size=3),
            "n": st.none() | st.integers(-5, 5),
            "f": st.none() | st.floats(-5, 5),
        }
    ),
)
def test_whatever_a_run_is_given_what_is_off_in_it_was_tried(expressions, params):
    types = {"text": "string", "n": "int", "f": "float"}
    stages = {f"s{number}": Stage(task="m.f", enabled=text) for number, text in enumerate(expressions)}
    declared = {name: Param(type=kind) for name, kind in types.items()}
    switches = switches_of(Pipeline(name="p", params=declared, stages=stages))

    off = {text for text in expressions if not compile_expression(text, "enabled").holds(params=params)}
    assert not switches.known or off in switches.sets


@st.composite
def with_joins(draw: st.DrawFn) -> Pipeline:
    """
    Pipelines of which some stages wait for others.
    """
    pipeline = draw(pipelines())
    waiting = draw(st.sets(st.sampled_from(sorted(pipeline.stages)), max_size=2))
    others = [name for name in pipeline.stages if name not in waiting] or ["run"]
    waits = st.just(("run",)) | st.lists(st.sampled_from(others), min_size=1, max_size=2, unique=True).map(tuple)
    stages = {
        name: stage.model_copy(update={"join": draw(waits)}) if name in waiting else stage
        for name, stage in pipeline.stages.items()
    }
    return pipeline.model_copy(update={"stages": stages})


@given(with_joins(), st.booleans(), st.booleans(), st.sampled_from(KINDS))
def test_no_check_finds_in_what_binding_leaves_what_it_did_not_find_before(pipeline, p, q, kind):
    try:
        bound = bind(plan_of(pipeline, {}), {"p": p, "q": q, "kind": kind})
    except UsageError:
        return
    left = {name: left_of(pipeline.stages[name], bound.stages) for name in bound.stages}
    after = pipeline.model_copy(update={"start": bound.start, "stages": left})

    before, found = ({one.code for one in check_graph(each, NO_SPANS)} for each in (pipeline, after))
    # A limit that has nothing left to limit does no harm.
    assert found - {"OAF302"} <= before
    # Each that is left has something to wait for, but where an edge led to it, which is a mistake.
    assert "OAF309" in before or all(
        bool(stage.join) == bool(pipeline.stages[name].join) for name, stage in left.items()
    )


def left_of(stage: Stage, stages: Collection[str]) -> Stage:
    return stage.model_copy(
        update={
            "next": tuple(edge for edge in stage.next if edge.to in stages),
            "on_error": stage.on_error if stage.on_error in stages else None,
            "join": tuple(other for other in stage.join if other in (*stages, "run")),
            "enabled": True,
        }
    )


def test_a_join_that_has_nothing_left_to_wait_for_falls_away_with_what_follows_it():
    stages = {
        "a": Stage(task="m.f", next=(Edge(to="b"), Edge(to="c"))),
        "b": Stage(task="m.f", enabled="params.p"),
        "c": Stage(task="m.f"),
        "d": Stage(task="m.f", join=("b",), next=(Edge(to="e"),)),
        "e": Stage(task="m.f"),
        "f": Stage(task="m.f", join=("d", "c")),
    }
    plan = plan_of(Pipeline(name="p", params={"p": Param(type="bool")}, stages=stages), {})

    off, on = (bind(plan, {"p": value}) for value in (False, True))
    assert off.disabled == {
        "b": "param 'p' is false",
        "d": "no stage that runs is left for it to wait for (only b)",
        "e": "no stage that runs leads to it (only d)",
    }
    assert (off.joins["f"] >= {"c"}, on.disabled) == (True, {})
