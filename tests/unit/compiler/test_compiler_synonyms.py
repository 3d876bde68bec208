"""
Who knows other programs is told what is written here, and once.
"""

import pytest

from oaflow.compiler import keys, synonyms
from oaflow.compiler.shape import parse_pipeline
from oaflow.model import ParamType

KINDS = {
    "pipeline": (synonyms.PIPELINE, keys.PIPELINE),
    "stage": (synonyms.STAGE, keys.STAGE),
    "param": (synonyms.PARAM, keys.PARAM),
    "retry": (synonyms.RETRY, keys.RETRY),
    "collect": (synonyms.COLLECT, keys.COLLECT),
    "edge": (synonyms.EDGE, keys.EDGE),
    "case": (synonyms.CASE, keys.CASE),
    "entity": (synonyms.ENTITY, keys.ENTITY),
}


@pytest.mark.parametrize(("words", "known"), KINDS.values(), ids=KINDS)
def test_each_word_of_another_program_is_none_of_ours_and_leads_to_one_that_is(words, known):
    assert set(words.keys.values()) <= set(known)
    assert (set(words.keys) | set(words.helps)) & set(known) == set()


def test_each_type_of_another_program_leads_to_one_of_ours():
    assert set(synonyms.TYPES.values()) <= set(ParamType.__args__)
    assert set(synonyms.TYPES) & set(ParamType.__args__) == set()


@pytest.mark.parametrize(
    ("data", "helps"),
    [
        (
            {"dag_id": "letters", "tasks": {"read": {"python_callable": "letters.read"}}},
            ["did you mean 'pipeline'?", "did you mean 'stages'?"],
        ),
        (
            {"name": "letters", "stages": {"read": {"uses": "letters.read", "when": "x"}}},
            [
                "the name of a pipeline goes under `pipeline`",
                "did you mean 'task'?",
                synonyms.STAGE.helps["when"],
            ],
        ),
        (
            {"pipeline": "letters", "defaults": {"uses": "letters.read"}, "stages": {"read": {"task": "letters.read"}}},
            ["the keys are: queue, choose, retry, timeout, memory, priority, emit, collect, lock, concurrency, rate"],
        ),
        (
            {"pipeline": "letters", "stages": {"read": {"task": "letters.read", "source": "x"}}},
            [f"options of the function go under `with`; the keys are: {', '.join(keys.STAGE)}"],
        ),
        (
            {"pipeline": "letters", "stages": {"read": {"task": "letters.read", "next": {"media": None}}}},
            ["`media: drop` if nothing should follow"],
        ),
        (
            {"pipeline": "letters", "stages": {"read:{task": "letters.read}"}},
            ["a space is missing after `read:`"],
        ),
        (
            {"pipeline": "letters", "stages": {"read": "letters.read"}},
            ["read: {task: letters.read}"],
        ),
        (
            {"pipeline": "letters", "stages": {"read": {"task": "letters.read", "collect": {"batch_size": 3}}}},
            ["did you mean 'size'?"],
        ),
    ],
)
def test_what_is_called_otherwise_elsewhere_is_told_once_and_not_missed_as_well(data, helps):
    _, found = parse_pipeline(data)

    assert sorted(one.help or "" for one in found) == sorted(helps)


@pytest.mark.parametrize(
    ("case", "helps"),
    [
        ({"stage": "read", "given": {}, "expected": {}}, ["at", "job", "expect"]),
        ({"name": "x", "at": "read", "expect": {}}, ["description"]),
    ],
)
def test_so_it_is_in_tests_of_a_pipeline(case, helps):
    _, found = parse_pipeline({"pipeline": "letters", "stages": {"read": {"task": "letters.read"}}, "tests": [case]})

    assert [one.help for one in found] == [f"did you mean {help!r}?" for help in helps]


def test_a_property_beside_the_schema_and_a_list_in_place_of_a_job_are_told_with_their_place():
    cases = [
        {"at": "read", "job": {"entities": [{"schema": "Document", "language": "eng"}]}, "expect": {}},
        {"at": "read", "job": [{"schema": "Document"}], "expect": {}},
    ]
    _, found = parse_pipeline({"pipeline": "letters", "stages": {"read": {"task": "letters.read"}}, "tests": cases})

    assert [one.help for one in found] == [
        "properties of FollowTheMoney go under `properties`; the keys are: id, schema, caption, properties",
        "job: {entities: [...]}",
    ]
