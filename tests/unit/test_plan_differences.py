from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import OaflowError
from oaflow.plan import Plan, PlannedCollect, PlannedEdge, PlannedParam, PlannedRetry, PlannedStage, bind
from oaflow.plan.differences import _KEYS, changes
from oaflow.plan.moving import obstacles
from tests.unit.plans import params, plans, shuffled, stages

A = PlannedStage(task="m.a", queue="a", edges=(PlannedEdge(to="b"),))
B = PlannedStage(task="m.b", queue="b")


def plan_of(*, start: tuple[str, ...] = ("a",), declared: dict[str, PlannedParam] | None = None, **stages) -> Plan:
    return Plan(pipeline="p", start=start, params=declared or {}, stages=stages)


def texts(old: Plan, new: Plan) -> list[str]:
    return [f"{one.stage or one.param} {one.text}" for one in changes(old, new)]


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Plan, Plan]:
    """
    Two plans, of which one has a stage or two of its own.
    """
    old = draw(plans())
    names = tuple(old.stages)
    kept = {name: draw(st.just(stage) | stages(names)) for name, stage in old.stages.items()}
    return old, old.model_copy(update={"stages": kept, "params": draw(st.just(old.params) | params)})


@given(neighbours())
def test_something_is_said_exactly_where_the_digests_differ(pair):
    old, new = pair

    assert bool(changes(old, new)) == (old.digest != new.digest)


@given(plans(), plans())
def test_of_any_two_plans_something_is_said_exactly_where_the_digests_differ(old, new):
    assert bool(changes(old, new)) == (old.digest != new.digest)


@given(plans(), st.randoms())
def test_the_order_of_keys_is_no_change_and_no_obstacle(plan, random):
    other = shuffled(plan, random)

    assert (changes(plan, other), obstacles(plan, other)) == ([], [])


def test_every_key_of_a_stage_has_its_words():
    assert {*_KEYS, "edges", "dropped", "options", "retry"} == set(PlannedStage.model_fields)


def test_a_number_is_not_the_truth_that_it_equals_in_python():
    one, yes = (plan_of(a=A.model_copy(update={"options": {"n": value}}), b=B) for value in (1, True))

    assert texts(one, yes) == ["a option n is true, was 1"]


def test_edges_are_told_by_what_became_of_them():
    edges = [PlannedEdge(to="b"), PlannedEdge(to="c", where="is_a(e, 'Person')"), PlannedEdge(to="d", port="media")]
    old = A.model_copy(update={"edges": tuple(edges)})
    new = A.model_copy(
        update={
            "edges": (
                PlannedEdge(to="c", where="is_a(e, 'Company')", load=True),
                PlannedEdge(to="b"),
                PlannedEdge(to="e", rest=True),
                PlannedEdge(to="a", port="again", recurse=3),
            ),
            "dropped": ("media",),
        }
    )
    rest = dict.fromkeys("bcde", B)

    assert texts(plan_of(a=old, **rest), plan_of(a=new, **rest)) == [
        "a the edge to 'c' takes where is_a(e, 'Company'), took where is_a(e, 'Person')",
        "a the edge to 'c' reads the entities from the store before it decides",
        "a leads to 'e' (else)",
        "a tries its edges in the order 'c', 'b', was 'b', 'c'",
        "a no longer leads to 'd' on port 'media'",
        "a leads to 'a' on port 'again' (at most 3 deep)",
        "a what is emitted on port 'media' is dropped",
    ]


def test_limits_and_retries_are_told_as_an_author_writes_them():
    new = B.model_copy(
        update={
            "timeout": 5400.0,
            "memory": 2**32,
            "rate": 1000 / 60,
            "retry": PlannedRetry(max="${params.n}", base=0.5),
            "collect": PlannedCollect(size=100),
        }
    )

    assert texts(plan_of(a=A, b=B), plan_of(a=A, b=new)) == [
        "b timeout is 1h30m, was none",
        "b memory is 4GiB, was 2GiB",
        "b rate is 1000/m, was none",
        "b collect is 100 within 2s, was off",
        "b retry: max is ${params.n}, was 5",
        "b retry: base is 500ms, was 2s",
    ]


def test_params_and_stages_that_come_and_go_are_told():
    old = plan_of(a=A, b=B, declared={"n": PlannedParam(type="int", default=1), "gone": PlannedParam(type="path")})
    new = plan_of(a=A, c=B, declared={"n": PlannedParam(type="int", default=2), "new": PlannedParam(type="path")})

    assert texts(old, new) == [
        "gone is gone",
        "n default is 2, was 1",
        "new is new: type path",
        "b is gone: m.b on queue 'b'",
        "c is new: m.b on queue 'b'",
    ]


@st.composite
def rewired(draw: st.DrawFn) -> tuple[Plan, Plan]:
    """
    A plan, and the same with other edges, and other stages that can be off.
    """
    names = "abcd"

    def wired() -> dict:
        edges = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
        on = draw(st.sampled_from([True, True, "params.flag", False]))
        return {"edges": tuple(PlannedEdge(to=name) for name in edges), "enabled": on}

    old = {name: PlannedStage(task=f"m.{name}", queue=name, **wired()) for name in names}
    touched = draw(st.sets(st.sampled_from(names), max_size=2))
    new = {name: stage.model_copy(update=wired() if name in touched else {}) for name, stage in old.items()}
    declared = {"flag": PlannedParam(type="bool")}
    return plan_of(declared=declared, **old), plan_of(declared=declared, **new)


@given(rewired(), st.booleans())
def test_where_a_job_would_be_lost_something_holds_its_run_back(pair, flag):
    old, new = pair
    try:
        before, after = bind(old, {"flag": flag}), bind(new, {"flag": flag})
    except OaflowError:
        return  # one of the two has no such run
    left = [name for name in before.stages if name not in after.stages]

    assert not left or obstacles(old, new)


def test_a_stage_that_could_be_off_before_and_is_never_reached_now_holds_runs_back():
    on = {f"p{number}": PlannedParam(type="bool") for number in range(9)}
    alone = {"enabled": "params.p0"}
    many = {"enabled": " and ".join(f"params.{name}" for name in on)}
    lost = ["stage 'b' may be off, but jobs may wait at it"]

    for enabled in (alone, many):
        before = plan_of(a=A, b=B.model_copy(update=enabled), declared=on)
        after = plan_of(a=A.model_copy(update={"edges": ()}), b=B.model_copy(update=enabled), declared=on)
        assert obstacles(before, after) == lost
        # What could be off, and can be so by the same expression, is where it was.
        assert obstacles(before, plan_of(a=A, b=B.model_copy(update={**enabled, "timeout": 1.0}), declared=on)) == []


def test_what_keeps_a_run_from_going_over_is_said_with_its_reason():
    on = {"on": PlannedParam(type="bool")}
    base = plan_of(a=A, b=B, declared=on)

    def becomes(start=("a",), declared=on, **changed):
        return obstacles(base, plan_of(start=start, declared=declared, **({"a": A, "b": B} | changed)))

    assert becomes() == []
    assert becomes(c=B, b=B.model_copy(update={"timeout": 1.0, "retry": PlannedRetry(max=0)})) == []
    assert becomes(b=B.model_copy(update={"queue": "other"})) == [
        "stage 'b' is another task, but jobs may wait on queue 'b' for m.b"
    ]
    assert becomes(b=B.model_copy(update={"origin": "x"})) == [
        "stage 'b' writes under another origin, but what it wrote stays under the old one"
    ]
    assert becomes(b=B.model_copy(update={"enabled": "params.on"})) == ["stage 'b' may be off, but jobs may wait at it"]
    assert becomes(a=A.model_copy(update={"edges": ()})) == ["stage 'b' may be off, but jobs may wait at it"]
    # A copy would have the digest of what it is copied from.
    other = Plan(pipeline="q", start=base.start, params=base.params, stages=base.stages)
    assert obstacles(base, other) == ["it is a run of pipeline 'p', whose name signs what it writes"]
    assert becomes(start=("a", "b")) == ["it has started, and stage 'b' would get no first job"]
    assert becomes(declared=on | {"must": PlannedParam(type="int", required=True)}) == [
        "param 'must' is required, and the run has no value for it"
    ]
    assert becomes(declared={"on": PlannedParam(type="string")}) == [
        "the run's value of param 'on' may no longer be allowed"
    ]
    assert obstacles(base, plan_of(a=A.model_copy(update={"edges": ()}))) == [
        "stage 'b' is gone, but jobs may wait at it"
    ]


def test_a_function_that_takes_another_type_keeps_a_run_where_it_is():
    def from_to(before: str | None, after: str | None) -> list[str]:
        old, new = (B.model_copy(update={"takes": takes}) for takes in (before, after))
        return obstacles(plan_of(a=A, b=old), plan_of(a=A, b=new))

    assert from_to("m.Page", "m.Sound") == ["stage 'b' takes m.Sound now, but the waiting jobs may be of type m.Page"]
    assert from_to("m.Page | m.Sound", "m.Page") != []
    assert from_to("Job", "DatasetJob") != []
    assert from_to(None, "m.Page") == ["stage 'b' takes m.Page now, but the waiting jobs may be any"]
    wider = [("m.Page", "Job"), ("m.Page", None), ("m.Page", "m.Sound | m.Page"), (None, None), (None, "Job")]
    assert [pair for pair in wider if from_to(*pair)] == []


def test_what_a_stage_holds_between_two_jobs_keeps_a_run_where_it_is():
    def from_to(before: dict, after: dict) -> list[str]:
        return obstacles(plan_of(a=A, b=B.model_copy(update=before)), plan_of(a=A, b=B.model_copy(update=after)))

    collecting = {"collect": PlannedCollect(size=10)}
    assert from_to({}, collecting) == []
    assert from_to(collecting, {}) == ["stage 'b' no longer collects jobs, but some may wait to be collected"]
    assert from_to({}, {"emit": "stream"}) == []
    assert from_to({"emit": "stream"}, {}) == [
        "stage 'b' hands over with `emit: success`, but a job may have handed over chunks, which it would repeat"
    ]
    assert from_to({"lock": "job.dataset"}, {}) == []
    assert from_to({}, {"lock": "job.dataset"}) == ["stage 'b' has another lock, but the waiting jobs keep the old one"]
    assert from_to({}, {"join": ("a",)}) == ["stage 'b' becomes a join, but jobs may wait at it"]
    assert from_to({"join": ("a",)}, {}) == ["stage 'b' is no longer a join, but may have started"]


@given(rewired(), st.booleans())
def test_what_is_known_of_a_run_holds_it_back_exactly_where_it_would_lose_a_stage(pair, flag):
    old, new = pair
    values = {"flag": flag}
    try:
        before, after = bind(old, values), bind(new, values)
    except OaflowError:
        return
    lost = [f"stage {name!r} may be off, but jobs may wait at it" for name in before.stages if name not in after.stages]

    assert [one for one in obstacles(old, new, values) if "may be off" in one] == lost
    assert not lost or obstacles(old, new)


def test_the_values_of_a_run_decide_in_place_of_what_one_might_have():
    on = {"on": PlannedParam(type="bool"), "many": PlannedParam(type="string")}
    base = plan_of(a=A, b=B, declared=on)
    held = plan_of(a=A, b=B.model_copy(update={"enabled": "params.on"}), declared=on)
    number = plan_of(a=A, b=B, declared=on | {"many": PlannedParam(type="int")})
    must = plan_of(a=A, b=B, declared=on | {"must": PlannedParam(type="string", required=True)})

    assert (obstacles(base, held, {"on": True}), obstacles(base, number, {"many": "3"})) == ([], [])
    assert obstacles(base, held, {"on": False}) == ["stage 'b' may be off, but jobs may wait at it"]
    assert obstacles(base, number, {"many": "few"}) == [
        "the run's value does not fit: param 'many' is 'few', but must be a whole number"
    ]
    assert obstacles(base, must, {"on": None}) == ["param 'must' is required, and the run has no value for it"]
    nothing = plan_of(a=A.model_copy(update={"enabled": "params.on"}), b=B, declared=on)
    assert obstacles(base, nothing, {"on": False}) == [
        "no stage of pipeline 'p' is left to run: stage 'a': param 'on' is false"
    ]


def test_where_a_run_starts_and_how_deep_a_way_goes_is_told():
    loop = A.model_copy(update={"edges": (PlannedEdge(to="a", recurse=3), PlannedEdge(to="b"))})
    deeper = A.model_copy(update={"edges": (PlannedEdge(to="a", recurse=5), PlannedEdge(to="b"))})

    assert texts(plan_of(a=loop, b=B), plan_of(a=deeper, b=B)) == ["a recurse of the edge to 'a' is 5, was 3"]
    assert texts(plan_of(a=A, b=B), plan_of(start=("b",), a=A, b=B)) == ["None a run starts at 'b', was 'a'"]
