import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import UsageError
from oaflow.model import Retry
from oaflow.plan import BoundPlan, Plan, PlannedEdge, PlannedParam, PlannedRetry, PlannedStage, bind, references
from tests.unit.plans import plans

ANY = PlannedParam(type="string")


def stage(name: str, *to: str, **keys) -> PlannedStage:
    return PlannedStage(task=f"m.{name}", queue=name, edges=tuple(PlannedEdge(to=target) for target in to), **keys)


def plan_of(**stages: PlannedStage) -> Plan:
    return Plan(pipeline="p", start=(next(iter(stages)),), stages=stages)


def bound_options(options, **values):
    return bind(plan_of(a=stage("a", options=options)), values).stages["a"].options


def test_a_whole_value_keeps_its_type_and_inside_a_text_it_is_text():
    options = {"n": "${params.n}", "text": "n=${params.n}, b=${params.b}", "deep": {"list": ["${params.l}"]}}

    assert bound_options(options, n=3, b=True, l=["x"]) == {"n": 3, "text": "n=3, b=true", "deep": {"list": [["x"]]}}


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("$${HOME}/x", "${HOME}/x"),
        ("$${params.b}", "${params.b}"),
        ("$$${params.b}", "$${params.b}"),
        ("${params.b}$${params.b}${params.b}", "$${B}${params.b}$${B}"),
        ("$5 $ $$", "$5 $ $$"),
        ("${params.b}", "$${B}"),
    ],
)
def test_two_dollars_before_a_bracket_are_one_and_nothing_is_filled_in(written, given):
    assert bound_options({"text": written}, b="$${B}") == {"text": given}
    edge = PlannedEdge(to="b", where={"name": (written,)})
    bound = bind(plan_of(a=PlannedStage(task="m.a", queue="a", edges=(edge,)), b=stage("b")), {"b": "$${B}"})
    assert bound.stages["a"].edges[0].where == {"name": (given,)}


@pytest.mark.parametrize("value", ["", ["eng", ""]])
def test_a_condition_that_a_param_makes_empty_names_the_edge_and_the_param(value):
    edge = PlannedEdge(to="b", where={"not": {"language": ("${params.lang}",)}})
    plan = plan_of(a=PlannedStage(task="m.a", queue="a", edges=(edge,)), b=stage("b"))

    with pytest.raises(
        UsageError, match="`where` of the edge from stage 'a' to 'b' asks 'language' for an empty"
    ) as told:
        bind(plan, {"lang": value})

    assert told.value.help == "-p lang=VALUE"


def test_an_option_whose_param_has_no_value_is_left_out_and_a_written_null_is_not():
    assert bound_options({"a": "${params.a}", "b": None}, a=None) == {"b": None}


def test_a_param_without_a_value_cannot_be_part_of_a_text():
    with pytest.raises(UsageError, match="option 'path' of stage 'a' needs param 'base', which has no value") as caught:
        bound_options({"path": "${params.base}/x"}, base=None)

    assert caught.value.help == "-p base=VALUE"


def test_a_list_cannot_be_part_of_a_text():
    with pytest.raises(UsageError, match="its value is a list"):
        bound_options({"path": "x-${params.many}"}, many=["a"])


def test_timeout_memory_priority_and_retry_are_filled_in():
    planned = stage(
        "a",
        timeout="${params.t}",
        memory="${params.m}",
        priority="${params.p}",
        concurrency="${params.n}",
        rate="${params.r}",
        retry=PlannedRetry(max="${params.n}", base="${params.t}", cap="${params.t}"),
    )

    bound = bind(plan_of(a=planned), {"t": 2.5, "m": 1024, "p": 7, "n": 1, "r": "120/m"}).stages["a"]

    assert (bound.timeout, bound.memory, bound.priority) == (2.5, 1024, 7)
    assert (bound.concurrency, bound.rate) == (1, 2.0)
    assert bound.retry == Retry(max=1, base=2.5, cap=2.5)


def test_a_param_without_a_value_leaves_the_default():
    planned = stage("a", timeout="${params.x}", memory="${params.x}", retry=PlannedRetry(max="${params.x}"))

    bound = bind(plan_of(a=planned), {"x": None}).stages["a"]

    assert (bound.timeout, bound.memory, bound.retry) == (None, 2 * 1024**3, Retry())


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        ({"timeout": "${params.x}"}, 0, "timeout of stage 'a' is 0, but must be a duration above 0"),
        ({"timeout": "${params.x}"}, "1h", "timeout of stage 'a' is '1h', but must be a duration above 0"),
        ({"memory": "${params.x}"}, 0, "memory of stage 'a' is 0, but must be a size above 0"),
        ({"concurrency": "${params.x}"}, 0, "concurrency of stage 'a' is 0, but must be a whole number, 1 or more"),
        ({"rate": "${params.x}"}, "often", "rate of stage 'a' is 'often', but must be a number per period, like 50/s"),
        ({"priority": "${params.x}"}, 1.5, "priority of stage 'a' is 1.5, but must be a whole number"),
        ({"priority": "${params.x}"}, 2**31, "must be a whole number"),
        ({"retry": PlannedRetry(max="${params.x}")}, -1, "retry.max of stage 'a' is -1"),
        ({"retry": PlannedRetry(max="${params.x}")}, True, "retry.max of stage 'a' is true"),
    ],
)
def test_a_value_that_does_not_fit_where_it_stands_is_refused(keys, value, sentence):
    with pytest.raises(UsageError) as caught:
        bind(plan_of(a=stage("a", **keys)), {"x": value})

    assert sentence in str(caught.value)


def test_a_disabled_stage_takes_those_with_it_that_only_it_leads_to():
    plan = plan_of(
        a=stage("a", "b", "c"),
        b=stage("b", "d", "e", enabled="params.on"),
        c=stage("c", "e"),
        d=stage("d"),
        e=stage("e"),
    )

    bound = bind(plan, {"on": False})

    assert list(bound.stages) == ["a", "c", "e"]
    assert bound.disabled == {"b": "param 'on' is false", "d": "no stage that runs leads to it (only b)"}
    assert [edge.to for edge in bound.stages["a"].edges] == ["c"]
    assert list(bind(plan, {"on": True}).stages) == ["a", "b", "c", "d", "e"]


def test_an_on_error_to_a_disabled_stage_counts_as_not_written_and_one_to_a_live_stage_keeps_it():
    plan = plan_of(a=stage("a", on_error="q"), q=stage("q", "r", enabled=False), r=stage("r"))
    kept = plan_of(a=stage("a", on_error="q"), q=stage("q", "r"), r=stage("r"))

    assert bind(plan, {}).stages["a"].on_error is None
    assert bind(plan, {}).disabled == {"q": "enabled is false", "r": "no stage that runs leads to it (only q)"}
    assert list(bind(kept, {}).stages) == ["a", "q", "r"]


def test_a_port_that_led_only_to_disabled_stages_may_still_be_emitted_on_and_the_stage_is_no_end():
    plan = plan_of(a=stage("a", "b"), b=stage("b", enabled=False))

    bound = bind(plan, {}).stages["a"]

    assert bound.unwired == ("default",)
    assert bound.ports == ("default",)
    assert not bound.end


def test_a_port_with_one_edge_left_is_wired():
    plan = plan_of(a=stage("a", "b", "c"), b=stage("b", enabled=False), c=stage("c"))

    assert bind(plan, {}).stages["a"].unwired == ()


def test_a_stage_that_only_leads_to_itself_does_not_keep_itself():
    plan = plan_of(a=stage("a", "b"), b=stage("b", "c", enabled=False), c=stage("c", "c"))

    assert list(bind(plan, {}).stages) == ["a"]


def test_a_run_can_leave_out_further_stages():
    plan = plan_of(a=stage("a", "b"), b=stage("b"))

    assert bind(plan, {}, disable=["b"]).disabled == {"b": "left out of this run"}
    with pytest.raises(UsageError, match="no stage is named 'bb'") as caught:
        bind(plan, {}, disable=["bb"])
    assert caught.value.help == "did you mean 'b'?"


def test_a_run_of_which_nothing_is_left_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="no stage of pipeline 'p' is left to run: stage 'a': param 'on' is false"):
        bind(plan_of(a=stage("a", enabled="params.on")), {"on": False})


def test_the_origin_is_pipeline_and_stage_unless_it_is_said():
    bound = bind(plan_of(a=stage("a", "b"), b=stage("b", origin="mine")), {})

    assert [planned.origin for planned in bound.stages.values()] == ["p/a", "mine"]


@pytest.mark.parametrize(
    ("wanted", "filled"),
    [
        ({"country": ("${params.one}",)}, {"country": ("de",)}),
        ({"country": ("x-${params.one}", "at")}, {"country": ("x-de", "at")}),
        ({"country": ("${params.many}", "at")}, {"country": ("de", "fr", "at")}),
        ({"country": ("${params.number}", "${params.flag}")}, {"country": ("3", "true")}),
        # As an option, what has no value is left out.
        ({"country": ("${params.none}",), "schema": ("Person",)}, {"schema": ("Person",)}),
        ({"not": {"country": ("${params.none}",)}}, None),
        ({"not": {"country": ("${params.many}",)}}, {"not": {"country": ("de", "fr")}}),
    ],
)
def test_params_are_filled_in_where_a_mapping_names_them(wanted, filled):
    edge = PlannedEdge(to="b", where=wanted)
    values = {"one": "de", "many": ["de", "fr"], "number": 3, "flag": True, "none": None}

    bound = bind(plan_of(a=PlannedStage(task="m.a", queue="a", edges=(edge,)), b=stage("b")), values)

    assert bound.stages["a"].edges[0].where == filled


@pytest.mark.parametrize(
    ("enabled", "reason"),
    [
        ("params.on", "param 'on' is false"),
        ("params.none", "param 'none' is false"),
        ("params.mode == 'full'", "\"params.mode == 'full'\" does not hold, as mode is fast"),
        ("params.on and params.mode == 'fast'", "does not hold, as mode is fast and on is false"),
        ("not params.on", None),
        ("params.mode in ('fast', 'full')", None),
    ],
)
def test_an_expression_on_the_params_decides_whether_a_stage_is_on(enabled, reason):
    plan = plan_of(a=stage("a", "b"), b=stage("b", enabled=enabled))

    disabled = bind(plan, {"on": False, "none": None, "mode": "fast"}).disabled

    assert (reason in disabled["b"]) if reason else disabled == {}


def test_an_enabled_that_cannot_be_evaluated_is_the_fault_of_the_params():
    plan = plan_of(a=stage("a", "b"), b=stage("b", enabled="params.kind > 3"))

    with pytest.raises(UsageError, match=r"`enabled` of stage 'b': .*params.kind > 3"):
        bind(plan, {"kind": "many"})


@given(plans(), st.booleans(), st.lists(st.text(max_size=3), max_size=2), st.none() | st.floats(0.1, 9))
def test_a_bound_plan_is_whole_closed_and_survives_a_passage_through_json(plan, flag, many, wait):
    try:
        bound = bind(plan, {"flag": flag, "many": many, "wait": wait})
    except UsageError as error:
        asks_for_nothing = "" in many and "an empty text" in str(error)
        assert asks_for_nothing or all(plan.stages[name].enabled is not True for name in plan.start)
        return

    assert BoundPlan.from_json(bound.to_json()) == bound
    assert bound.digest == plan.digest
    assert {*bound.stages, *bound.disabled} == set(plan.stages)
    reached = set(bound.start)
    for planned in bound.stages.values():
        targets = {edge.to for edge in planned.edges} | ({planned.on_error} - {None})
        assert targets <= set(bound.stages)
        reached |= targets - {planned.name}
        assert not references(dict(planned.options))
        # Nothing becomes an error that was none in the plan: every port of the plan may still be emitted on.
        assert set(planned.ports) == {edge.port for edge in plan.stages[planned.name].edges} | set(planned.dropped)
        assert planned.end == plan.stages[planned.name].end
    assert reached == set(bound.stages)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Plan, frozenset[str]]:
    """
    A plan whose stages lead to later ones in any way, over ports, `on_error` and joins; and some that are to be off.
    """
    names = [f"s{number}" for number in range(draw(st.integers(2, 8)))]
    stages: dict[str, PlannedStage] = {}
    for number, name in enumerate(names):
        later, earlier = st.sampled_from(names[number + 1 :] or [None]), st.sampled_from(names[:number] or [None])
        waits = draw(st.none() | st.just(("run",)) | st.sets(earlier, min_size=1).map(sorted).map(tuple))
        # Nothing leads to a join, and the first begins.
        join = waits if number and None not in (waits or (None,)) and draw(st.booleans()) else ()
        stages[name] = PlannedStage(
            task=f"m.{name}",
            queue=name,
            edges=tuple(
                PlannedEdge(to=to, port=port)
                for to, port in sorted(
                    draw(st.sets(st.tuples(later, st.sampled_from(["default", "more"])), max_size=4))
                )
                if to is not None
            )
            if number + 1 < len(names)
            else (),
            on_error=draw(st.none() | later),
            join=join,
        )
    joins = {name for name, stage in stages.items() if stage.join}
    stages = {
        name: stage.model_copy(
            update={
                "edges": tuple(edge for edge in stage.edges if edge.to not in joins),
                "on_error": None if stage.on_error in joins else stage.on_error,
            }
        )
        for name, stage in stages.items()
    }
    off = draw(st.frozensets(st.sampled_from(names[1:])))
    return Plan(pipeline="p", start=(names[0],), stages=stages), off


def written_without(plan: Plan, off: frozenset[str]) -> Plan:
    """
    The plan as its author would have written it without some stages, and without what then has no place.
    """
    left = {name: stage for name, stage in plan.stages.items() if name not in off}
    while True:
        left = {
            name: stage.model_copy(
                update={
                    "edges": tuple(edge for edge in stage.edges if edge.to in left),
                    "on_error": stage.on_error if stage.on_error in left else None,
                    "join": tuple(other for other in stage.join if other == "run" or other in left),
                }
            )
            for name, stage in left.items()
        }
        led_to = {target for stage in left.values() for target in stage.targets} | set(plan.start)
        idle = [name for name, stage in left.items() if name not in led_to and not stage.join]
        if not idle:
            return Plan(pipeline=plan.pipeline, start=plan.start, stages=left)
        left = {name: stage for name, stage in left.items() if name not in idle}


@given(graphs())
def test_stages_that_are_off_are_as_if_the_pipeline_were_written_without_them(drawn):
    plan, off = drawn

    bound, without = bind(plan, {}, disable=off), bind(written_without(plan, off), {})

    # A port that led to them only is kept, and nothing takes what is emitted on it.
    assert {name: stage.model_copy(update={"unwired": ()}) for name, stage in bound.stages.items()} == without.stages
    assert bound.start == without.start
    assert (bound.joins, bound.collects) == (without.joins, without.collects)
