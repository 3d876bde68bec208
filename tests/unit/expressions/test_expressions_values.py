"""
What expressions evaluate to, and what they do with what is missing or of another kind.
"""

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.expressions import EvaluationError, compared, compile_expression

EMAIL = {
    "id": "mail-1",
    "schema": "Email",
    "properties": {
        "language": ["eng", "deu"],
        "fileName": ["Letter.EML"],
        "fileSize": ["900", "12000"],
        "from": ["a@b"],
    },
}
JOB = {
    "queue": "ingest",
    "task": "letters.read",
    "dataset": "letters",
    "batch": "r-1",
    "payload": {"entities": [EMAIL, {"id": "p", "schema": "Page"}], "context": {"ocr": True, "tags": ["a", 1], "n": 3}},
}
RUN = {"id": "r-1", "pipeline": "letters", "dataset": "letters"}
GIVEN = {"target": "eng", "langs": ["eng", "fra"], "none": None, "size": 5}


def value(source, e=EMAIL, kind="where"):
    return compile_expression(source, kind, GIVEN.keys()).value(e=e, job=JOB, params=GIVEN, run=RUN)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("e.id", "mail-1"),
        ("e.caption", None),
        ("e.name", []),
        ('e["from"]', ["a@b"]),
        ('e.schema == "Email"', True),
        ('e.schema in ["Email", "Page"]', True),
        ('e.schema not in {"Page"}', True),
        ('is_a(e, "Document")', True),
        ('is_a(e, "Person", "Folder")', True),
        ('is_a(e, "Person")', False),
        ("is_a(e, params.target)", False),
        ('"eng" in e.language', True),
        ('has(e.language, "eng")', True),
        ('has(e.language, "fra", "deu")', True),
        ('has(e.language, "fra")', False),
        ("has(e.language, params.target)", True),
        ("has(e.language, params.langs)", True),
        ("has(e.language, params.none)", False),
        ('has(e.name, "x")', False),
        ('lacks(e.language, "fra")', True),
        ('lacks(e.language, "fra", "eng")', False),
        ('lacks(e.name, "x")', True),
        ("lacks(e.language, params.langs)", False),
        ('others(e.language, "eng")', True),
        ('others(e.language, "eng", "deu")', False),
        ('others(e.name, "x")', False),
        ("others(e.language, params.target)", True),
        ("others(e.language, params.none)", True),
        ('startswith(e.fileName, "Let", "x")', True),
        ('startswith(e.fileName, "let")', False),
        ('endswith(lower(e.fileName), ".eml")', True),
        ('contains(e.fileName, "tter")', True),
        ('contains(e.schema, "mai")', True),
        ('contains(e.caption, "x")', False),
        ('matches(e.fileName, r"^L\\w+[.]EML$")', True),
        ('matches(e.fileName, r"(?i)eml")', True),
        ('matches(e.fileName, r"^EML")', False),
        ("number(e.fileSize)", 12000),
        ("number(e.fileSize) > 1000", True),
        ("number(e.name)", None),
        ("number(e.name) > 1000", False),
        ("number(e.name) <= 1000", False),
        ("1000 < number(e.fileSize) < 20000", True),
        ("1000 < number(e.name) < 20000", False),
        ('min(e.fileSize) < "2"', True),
        ("min(e.name)", None),
        ('max(e.name) < "2"', False),
        ("len(e.language)", 2),
        ("len(e.name)", 0),
        ("len(e.caption)", 0),
        ("0 < len(e.language) < 3", True),
        ("any(x == 'deu' for x in e.language)", True),
        ("all(x == 'deu' for x in e.language)", False),
        ("any(e.name)", False),
        ("len(x for x in e.language if x != 'eng')", 1),
        ("min(len(x) for x in e.fileSize)", 3),
        ("not e.name", True),
        ("e.name or e.language", ["eng", "deu"]),
        ("e.id if e.name else e.schema", "Email"),
        ("job.queue", "ingest"),
        ("job.context.ocr", True),
        ('job.payload["context"]["ocr"]', True),
        ("job.context.tags[1]", 1),
        ("job.context.tags[-2]", "a"),
        ("job.context.tags[7]", None),
        ("job.context.missing.deeper[3].still", None),
        ("job.context.missing == None", True),
        ("job.context.n is not None", True),
        ("job.context.n < 4", True),
        ("job.context.n < 3", False),
        ("job.context.n <= 3", True),
        ("job.context.n > 3", False),
        ("job.context.n >= 3", True),
        ("job.context.n <= 2", False),
        ("job.context.n >= 4", False),
        ("job.context.missing < 4", False),
        ("job.context.missing >= 4", False),
        ("'a' in job.context.tags", True),
        ("'a' in job.context.missing", False),
        ("'ocr' in job.context", True),
        ("job.context.tags in {'a'}", False),
        ("has(job.context.tags, 1)", True),
        ("has(job.context.missing, 1)", False),
        ("len(job.entities)", 2),
        ("len(job.payload.entities)", 2),
        ("len(x for x in job.entities if is_a(x, 'Document'))", 1),
        ("any(has(x.language, 'deu') for x in job.entities)", True),
        ("job.entities[1].schema", "Page"),
        ("job.entities[5].schema", None),
        ("all(x for x in job.entities)", True),
        ("run.id", "r-1"),
        ("params.none", None),
        ("params.size > 4", True),
        ("job.context.tags == ('a', 1)", True),
        ("'x' in {job.queue, 'x'}", True),
        ("-1 < job.context.n", True),
    ],
)
def test_what_an_expression_evaluates_to(source, expected):
    assert value(source) == expected


@pytest.mark.parametrize(
    ("properties", "source", "expected"),
    [
        ({"language": "eng"}, 'has(e.language, "eng")', True),
        ({"language": "eng"}, 'has(e.language, "en")', False),
        ({"language": None}, "len(e.language)", 0),
        ({"language": ("eng",)}, '"eng" in e.language', True),
        ({"language": 3}, "not e.language", True),
        (None, "not e.language", True),
        ([], "not e.language", True),
        ({"language": ["eng", 3]}, "startswith(e.language, 'e')", True),
    ],
)
def test_entities_of_careless_programs_are_read_as_far_as_they_go(properties, source, expected):
    assert value(source, {"id": "x", "schema": "Email", "properties": properties}) == expected


def test_an_entity_without_properties_has_none():
    assert value("not e.language", {"id": "x", "schema": "Email"}) is True


@pytest.mark.parametrize(
    ("source", "piece", "reason"),
    [
        ("job.context.n < 'a'", "job.context.n < 'a'", "the number 3 and the text 'a' have no order"),
        ("e.id and (job.context.tags < 3)", "job.context.tags < 3", "a list and the number 3 have no order"),
        ("len(job.context.n) > 0", "len(job.context.n)", "the number 3 has no length"),
        ("'a' in job.context.n", "'a' in job.context.n", "nothing can be in the number 3"),
        ("any(x for x in job.context.n)", "job.context.n", "the number 3 cannot be iterated"),
        ("max(job.context.tags) == 1", "max(job.context.tags)", "the text 'a' and the number 1 have no order"),
        ("startswith(job.context.n, 'a')", "startswith(job.context.n, 'a')", "the number 3 is no text"),
        ("'x' in {job.context.tags}", "{job.context.tags}", "a list cannot be in a set"),
    ],
)
def test_what_fails_says_which_part_of_it_and_why(source, piece, reason):
    with pytest.raises(EvaluationError) as raised:
        value(source)

    error = raised.value
    assert source[error.offset : error.offset + error.length] == piece
    assert error.reason == reason
    assert error.entity == "mail-1"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_entities_are_split_in_order():
    entities = [{**EMAIL, "id": str(n), "schema": "Email" if n % 3 else "Page"} for n in range(6)]

    taken, left = compile_expression("e.schema == 'Email'", "where").split(entities, JOB, GIVEN, RUN)

    assert [entity["id"] for entity in taken] == ["1", "2", "4", "5"]
    assert [entity["id"] for entity in left] == ["0", "3"]


def test_entities_are_split_by_what_is_empty_too():
    taken, left = compile_expression("e.language", "where").split(
        [EMAIL, {"id": "p", "schema": "Page"}], JOB, GIVEN, RUN
    )

    assert ([one["id"] for one in taken], [one["id"] for one in left]) == (["mail-1"], ["p"])


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("params.a == 1 or not params.a == 2", {"a": frozenset({1, 2})}),
        ("params.a and params.b in ('x', 'y')", {"a": frozenset(), "b": frozenset({"x", "y"})}),
        # More is asked of it than what it equals, before or after.
        ("params.a == 1 and len(params.a) > 2", {"a": None}),
        ("len(params.a) > 2 and params.a == 1", {"a": None}),
        ("'x' in params.a", {"a": None}),
        ("params.a == params.b", {"a": None, "b": None}),
    ],
)
def test_what_params_are_compared_with_is_known_where_nothing_else_is_asked(source, values):
    assert compared(source) == values


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("job.dataset", "letters"),
        ("job.context.missing", None),
        ("job.context.missing or ''", None),
        ("job.context.n", "3"),
        ("[job.dataset, (job.context.n, 2)]", '["letters",[3,2]]'),
        ("'one'", "one"),
        ("job.context", '{"n":3,"ocr":true,"tags":["a",1]}'),
    ],
)
def test_a_lock_has_one_text_for_equal_values(source, key):
    assert compile_expression(source, "lock").key(job=JOB, params=GIVEN, run=RUN) == key


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("found", [nested(300), 2**70, ["\ud800"], {1: 2}, object()])
def test_a_lock_of_what_json_does_not_hold_fails_with_its_place(found):
    expression = compile_expression("job.context.x", "lock")

    with pytest.raises(EvaluationError, match="failed: this is not a value that JSON can hold") as raised:
        expression.key(job={"payload": {"context": {"x": found}}})
    assert (raised.value.offset, raised.value.length) == (0, len("job.context.x"))


LONG = [str(number) for number in range(100_000)]


@pytest.mark.parametrize(
    ("source", "one", "other", "expected"),
    [
        ("has", LONG, [f"-{text}" for text in LONG], False),
        ("has", LONG, [*(f"-{text}" for text in LONG), "7"], True),
        ("lacks", LONG, [f"-{text}" for text in LONG], True),
        ("others", LONG, LONG[::-1], False),
        ("others", [*LONG, "-1"], LONG, True),
    ],
)
def test_two_long_lists_are_compared_in_time_that_grows_with_one_of_them(source, one, other, expected):
    expression = compile_expression(f"{source}(job.context.one, job.context.other)", "when")
    began = time.process_time()

    assert expression.value(job={"payload": {"context": {"one": one, "other": other}}}) is expected
    assert time.process_time() - began < 30  # minutes, where each is looked for in a list


NUMBERS = [*range(40), 40.0, None, "a", True, [1], {"a": [1]}]


@given(
    st.lists(st.sampled_from(NUMBERS), min_size=33, max_size=60),
    st.lists(st.sampled_from(NUMBERS[1:]), min_size=33, max_size=60),
)
def test_what_is_in_long_lists_is_what_is_in_short_ones(one, other):
    def found(function):
        return compile_expression(f"{function}(job.context.one, job.context.other)", "when").value(
            job={"payload": {"context": {"one": one, "other": other}}}
        )

    assert found("has") == any(value in other for value in one)
    assert found("lacks") == (not found("has"))
    assert found("others") == any(value not in other for value in one)


def test_an_expression_says_what_it_reads_and_what_decided():
    expression = compile_expression("others(e.language, params.target) and job.context.n > 2", "where", GIVEN.keys())

    assert {expression.source[read.offset :][: read.length] for read in expression.reads} == {"language"}
    assert (expression.params, expression.uses) == ({"target"}, {"e", "params", "job"})
    assert expression.values(e=EMAIL, job=JOB, params=GIVEN, run=RUN) == {
        "e.language": ["eng", "deu"],
        "params.target": "eng",
        "job.context.n": 3,
    }


def test_an_expression_is_made_again_elsewhere():
    expression = compile_expression("has(e.language, 'eng')", "where")

    assert pickle.loads(pickle.dumps(expression)).holds(e=EMAIL)
