from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import UsageError
from oaflow.plan import Plan, PlannedParam, PlannedStage, check_params


def plan_with(**params: PlannedParam) -> Plan:
    return Plan(pipeline="p", start=("a",), params=params, stages={"a": PlannedStage(task="m.a", queue="a")})


def check(param: PlannedParam, *values: object, **further):
    return check_params(plan_with(x=param), {"x": list(values)} if values else {}, **further)["x"]


@pytest.mark.parametrize(
    ("kind", "typed", "expected"),
    [
        ("string", "a,b", "a,b"),
        ("string", "", ""),
        ("int", "5", 5),
        ("int", "-7", -7),
        ("int", 5, 5),
        ("float", "0.5", 0.5),
        ("float", 2, 2.0),
        ("bool", "true", True),
        ("bool", "No", False),
        ("bool", False, False),
        ("duration", "1h30m", 5400.0),
        ("size", "2GiB", 2**31),
    ],
)
def test_a_value_is_read_from_a_text_or_taken_as_it_is(kind, typed, expected):
    value = check(PlannedParam(type=kind), typed)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "typed", "sentence"),
    [
        ("int", "five", "param 'x' is 'five', but must be a whole number"),
        ("int", True, "param 'x' is true, but must be a whole number"),
        ("int", "99999999999999999999", "param 'x' is '99999999999999999999', but must be a whole number"),
        ("float", "nan", "param 'x' is 'nan', but must be a number"),
        ("bool", "maybe", "param 'x' is 'maybe', but must be true or false"),
        ("duration", "soon", "param 'x' is 'soon', but must be a duration like 500ms, 2s or 1h30m"),
        ("size", "big", "param 'x' is 'big', but must be a size like 16kB or 2GiB"),
        ("string", "a\0b", "must be a text in UTF-8 without NUL"),
        ("string", 5, "param 'x' is 5, but must be a text"),
        ("string", True, "param 'x' is true, but must be a text"),
        ("int", 2**63, "param 'x' is 9223372036854775808, but must be a whole number of 64 bits"),
        ("path", "caf\udce9", "must be a path in UTF-8"),
        ("path", "", "param 'x' is '', but must be a path in UTF-8"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_what_it_must_be(kind, typed, sentence):
    with pytest.raises(UsageError) as caught:
        check(PlannedParam(type=kind), typed)

    assert sentence in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_unknown_param_gets_did_you_mean():
    with pytest.raises(UsageError, match="the pipeline has no param 'langage'; its params are: language") as caught:
        check_params(plan_with(language=PlannedParam(type="string")), {"langage": ["deu"]})

    assert caught.value.help == "did you mean 'language'?"


def test_repeating_a_param_gives_a_list_and_a_comma_is_a_comma():
    assert check(PlannedParam(type="list", of="string"), "a", "b,c") == ["a", "b,c"]
    assert check(PlannedParam(type="list", of="int"), "1", "2") == [1, 2]


def test_what_takes_one_value_refuses_two():
    with pytest.raises(UsageError, match="param 'x' is given 2 times, but takes one value"):
        check(PlannedParam(type="string"), "a", "b")


def test_a_required_param_without_a_value_says_what_to_type():
    plan = plan_with(source=PlannedParam(type="list", of="path", positional=True, required=True))

    with pytest.raises(UsageError, match="param 'source' of pipeline 'p' needs a value") as caught:
        check_params(plan, {})

    assert caught.value.help == "oaflow run p -d DATASET SOURCE..."


def test_all_missing_params_are_named_at_once():
    plan = plan_with(a=PlannedParam(type="int", required=True), b=PlannedParam(type="int", required=True))

    with pytest.raises(UsageError, match="params 'a', 'b' of pipeline 'p' need values"):
        check_params(plan, {})


def test_all_that_is_wrong_with_params_is_told_at_once():
    required = PlannedParam(type="int", required=True)
    plan = plan_with(n=PlannedParam(type="int"), d=PlannedParam(type="duration"), x=required)

    with pytest.raises(UsageError) as caught:
        check_params(plan, {"nn": ["1"], "n": ["a"], "d": ["soon"]})

    assert str(caught.value).splitlines() == [
        "the pipeline has no param 'nn'; its params are: n, d, x",
        "param 'n' is 'a', but must be a whole number",
        "param 'd' is 'soon', but must be a duration like 500ms, 2s or 1h30m",
        "param 'x' of pipeline 'p' needs a value",
    ]
    assert caught.value.help == "did you mean 'n'?"


def test_a_choice_is_one_of_its_choices():
    param = PlannedParam(type="choice", choices=("fast", "exact"))

    assert check(param, "fast") == "fast"
    with pytest.raises(UsageError, match="param 'x' is 'fsat', but must be one of: fast, exact") as caught:
        check(param, "fsat")
    assert caught.value.help == "did you mean 'fast'?"


def test_choices_bind_the_items_of_a_list():
    param = PlannedParam(type="list", of="int", choices=(1, 2))

    assert check(param, "1", "2") == [1, 2]
    with pytest.raises(UsageError, match="is '3', but must be one of: 1, 2"):
        check(param, "1", "3")


def test_what_is_given_counts_before_environment_before_memory_before_default():
    param = PlannedParam(type="string", default="default", env="X", remember=True)
    env, memory = {"X": "env"}, {"x": "memory"}

    assert check(param, "given", env=env, remembered=memory) == "given"
    assert check(param, env=env, remembered=memory) == "env"
    assert check(param, remembered=memory) == "memory"
    assert check(param) == "default"


def test_only_a_param_that_remembers_looks_at_the_last_run():
    assert check(PlannedParam(type="string"), remembered={"x": "memory"}) is None


def test_a_bad_value_from_the_environment_names_the_variable():
    with pytest.raises(UsageError, match=r"param 'x' \(from WORKERS\) is 'many', but must be a whole number"):
        check(PlannedParam(type="int", env="WORKERS"), env={"WORKERS": "many"})


def test_paths_are_absolute_texts_relative_to_the_current_folder():
    param = PlannedParam(type="path", default="texts")
    here = {"folder": Path("/here")}

    assert check(param, "a/../b", **here) == "/here/b"
    assert check(param, Path("/abs/x"), **here) == "/abs/x"
    assert check(param, **here) == "/here/texts"
    assert check(param, "b") == str(Path.cwd() / "b")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_any_text_comes_through_a_list_of_texts_unchanged(texts):
    assert check(PlannedParam(type="list", of="string"), *texts) == texts


@given(st.dictionaries(st.sampled_from(["i", "f", "b", "s"]), st.none() | st.integers() | st.text() | st.booleans()))
def test_checking_twice_changes_nothing_and_never_fails_otherwise_than_with_a_sentence(given_values):
    plan = plan_with(
        i=PlannedParam(type="int"),
        f=PlannedParam(type="float"),
        b=PlannedParam(type="bool"),
        s=PlannedParam(type="string"),
    )
    try:
        values = check_params(plan, given_values)
    except UsageError:
        return
    assert check_params(plan, values) == values
