"""
An expression means what plain Python makes of it, over objects that know what is missing.
"""

import os
from collections import Counter
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from oaflow.expressions import EvaluationError, ExpressionError, compile_expression, of_param
from tests.unit.expressions.plain import evaluate

# As many as there is time for.
EXAMPLES = int(os.environ.get("OAFLOW_TEST_EXAMPLES", "300"))

WORDS = ("eng", "deu", "Letter.PDF", "2020-01-01", "7", "1e3", "", "ß")
PROPERTIES = ("language", "fileName", "date", "fileSize")
# Each type of params, and of the items of a list, with values that it has.
SCALARS: dict[str, tuple[Any, ...]] = {
    "string": WORDS,
    "path": WORDS,
    "int": (-3, 9, 0),
    "float": (0.5, 7.0),
    "duration": (0.5, 7.0),
    "size": (0, 1000),
    "bool": (True, False),
}
CHOICES: dict[str, tuple[Any, ...]] = {"letters": ("eng", "deu"), "digits": (1, 2), "mixed": ("eng", 1, True)}
ONE = {f"a_{kind}": given for kind, given in SCALARS.items()} | {f"one_of_{name}": c for name, c in CHOICES.items()}
SOME = {f"some_{kind}": given for kind, given in SCALARS.items()} | {
    f"some_of_{name}": c for name, c in CHOICES.items()
}
PARAMS = {
    "word": of_param("string"),
    "total": of_param("int"),
    "words": of_param("list", of="string"),
    **{f"a_{kind}": of_param(kind) for kind in SCALARS},
    **{f"one_of_{name}": of_param("choice", choices) for name, choices in CHOICES.items()},
    **{f"some_{kind}": of_param("list", of=kind) for kind in SCALARS},
    **{f"some_of_{name}": of_param("list", choices, "choice") for name, choices in CHOICES.items()},
}

words = st.sampled_from(WORDS)
numbers = st.one_of(st.integers(-3, 9), st.sampled_from([0.5, 7.0, 1000.0]))
scalars = st.one_of(st.none(), words, numbers, st.booleans())
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=2)),
    max_leaves=4,
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, usual, anything)


entities = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b"]),
        "schema": st.sampled_from(["Document", "Email", "Person", "Page"]),
        "properties": st.dictionaries(st.sampled_from(PROPERTIES), st.lists(words, max_size=3), max_size=4),
    },
    optional={"caption": words},
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "word": mostly(words),
        "total": mostly(numbers),
        "flag": mostly(st.booleans()),
        "words": mostly(st.lists(words, max_size=3)),
        # Truth has no attributes in plain Python, where all else is given some.
        "deep": st.dictionaries(st.sampled_from(["word", "total", "words"]), mostly(words), max_size=3),
    },
)
params = st.fixed_dictionaries(
    {
        "word": st.one_of(st.none(), words),
        "total": st.one_of(st.none(), st.integers(-3, 9)),
        "words": st.one_of(st.none(), st.lists(words, max_size=3)),
        "one_of_mixed": st.one_of(st.none(), st.sampled_from(CHOICES["mixed"])),
    }
)


def joined(*parts: Any) -> st.SearchStrategy[str]:
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map("".join)


def literal(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return values.map(repr)


properties = st.sampled_from([f"e.{name}" for name in PROPERTIES])
texts = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["e.id", "e.schema", "e.caption", "job.context.word", "params.word", "job.context.deep.word"]),
        literal(words),
        joined("lower(", texts, ")"),
        joined(st.sampled_from(["min", "max"]), "(", properties, ")"),
    )
)
quantities = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["job.context.total", "params.total", "job.context.deep.total", "len(job.entities)"]),
        literal(numbers),
        joined("len(", lists, ")"),
        joined("number(", st.one_of(properties, texts), ")"),
        joined(st.sampled_from(["min", "max"]), "(len(x) for x in ", lists, ")"),
    )
)
lists = st.deferred(
    lambda: st.one_of(
        properties,
        st.sampled_from(["job.context.words", "params.words", "job.context.deep.words"]),
        joined("[", st.lists(st.one_of(texts, quantities), min_size=1, max_size=2).map(", ".join), "]"),
        joined("lower(", properties, ")"),
    )
)
unknown = st.sampled_from(
    ["job.context.word", "job.context.words", "job.context.flag", "job.context.total", "job.context.absent.word[1]",
     "job.context.words[0]", "job.context.words[-1]", "params.one_of_mixed", "job.context.deep"]
)  # fmt: skip
values = st.one_of(texts, quantities, lists, unknown)
arguments = st.lists(st.one_of(texts, st.just("params.words")), min_size=1, max_size=2).map(", ".join)
orders = st.sampled_from([" < ", " <= ", " > ", " >= "])
equals = st.sampled_from([" == ", " != "])
elements = st.one_of(
    joined("x", st.one_of(equals, orders), texts),
    joined("x in ", lists),
    joined("len(x)", orders, quantities),
    st.just("x"),
)
conditions = st.deferred(
    lambda: st.one_of(
        joined(texts, st.one_of(equals, orders), texts),
        joined(quantities, st.one_of(equals, orders), quantities),
        joined(quantities, orders, quantities, orders, quantities),
        joined(texts, equals, texts, equals, unknown),
        joined(unknown, st.one_of(equals, orders), values),
        joined(values, st.sampled_from([" in ", " not in "]), st.one_of(lists, texts, unknown)),
        joined(
            st.sampled_from(["has", "lacks", "others"]), "(", st.one_of(lists, texts, unknown), ", ", arguments, ")"
        ),
        joined(st.sampled_from(["startswith", "endswith", "contains"]), "(", values, ", ", arguments, ")"),
        joined('is_a(e, "', st.sampled_from(["Document", "Person", "Thing"]), '")'),
        joined(st.sampled_from(["any", "all"]), "(", elements, " for x in ", st.one_of(lists, unknown), ")"),
        joined("any(has(x.language, ", texts, ") for x in job.entities if x.schema != e.schema)"),
        joined(st.sampled_from(["any", "all"]), "(", st.one_of(lists, unknown), ")"),
        st.one_of(properties, unknown),
        joined("not (", conditions, ")"),
        joined("(", conditions, st.sampled_from([" and ", " or "]), conditions, ")"),
        joined("(", conditions, " if ", conditions, " else ", conditions, ")"),
    )
)

# What the compiler could see: nothing of this is left for a run.
SEEN = {"list-compared", "never", "always", "wrong-argument", "unknown-schema", "not-allowed"}


def compiled(source, kind="where"):
    """
    The expression, or else which kinds of mistakes it has.
    """
    try:
        return compile_expression(source, kind, PARAMS), set()
    except ExpressionError as refused:
        return None, {mistake.kind for mistake in refused.mistakes}


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(conditions, st.lists(entities, min_size=1, max_size=3), contexts, params)
def test_an_expression_means_what_plain_python_makes_of_it(source, found, context, given_params):
    job = {"payload": {"entities": found, "context": context}}
    expression, kinds = compiled(source)
    if expression is None:
        event("refused")
        assert kinds <= SEEN
        return
    try:
        plain = evaluate(source, e=found[0], job={"entities": found, "context": context}, params=given_params)
    except TypeError:
        event("fails")
        with pytest.raises(EvaluationError):
            expression.value(e=found[0], job=job, params=given_params)
        return

    event("agrees")
    assert expression.value(e=found[0], job=job, params=given_params) == plain


# Whatever stands where, of values whose kinds are all known before a run. What is in a context is not.
known = st.one_of(
    st.sampled_from([f"params.{name}" for name in (*ONE, *SOME)]),
    st.sampled_from([f"params.{name}[0]" for name in SOME]),
    st.sampled_from(["e.id", "e.caption", "e.language", "job.context", "job.dataset", "run.id", "True", "None"]),
    literal(st.one_of(words, numbers)),
)


def within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    of_each = st.sampled_from(["x", "len(x)", "lower(x)"])
    return st.one_of(
        inner,
        joined(st.sampled_from(["min", "max", "len", "any", "lower", "number"]), "(", inner, ")"),
        joined(st.sampled_from(["min", "max"]), "(", of_each, " for x in ", inner, ")"),
        joined(st.sampled_from("[{"), inner, ", ", inner).map(lambda text: text + {"[": "]", "{": "}"}[text[0]]),
        joined("(", inner, st.sampled_from([" or ", " and ", " if params.a_bool else "]), inner, ")"),
    )


pieces = within(within(known))
tests = st.one_of(
    joined(pieces, st.one_of(equals, orders, st.sampled_from([" in ", " not in "])), pieces),
    joined("any(x", st.one_of(equals, orders, st.just(" in ")), pieces, " for x in ", pieces, ")"),
    joined("all(", pieces, " in x for x in ", pieces, ")"),
    joined(
        st.sampled_from(["has", "lacks", "others", "startswith", "endswith", "contains"]),
        *("(", pieces, ", ", pieces, ")"),
    ),
    joined("matches(", pieces, ', "[0-9]+")'),
)

# One run without any value, and others that have each in turn.
RUNS: list[dict[str, Any]] = [dict.fromkeys((*ONE, *SOME))] + [
    {name: given[turn % len(given)] for name, given in ONE.items()}
    | {name: [*given[turn:], *given[:turn]] for name, given in SOME.items()}
    for turn in range(3)
]
JOBS: list[dict[str, Any]] = [
    {"dataset": None, "payload": {"entities": [{"id": "a", "schema": "Page", "properties": {}}], "context": {}}},
    {
        "dataset": "letters",
        "payload": {
            "entities": [
                {"id": "b", "schema": "Email", "caption": "7", "properties": {"language": ["eng", "deu"]}},
            ],
            "context": {"word": "eng"},
        },
    },
]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tests, pieces)
def test_what_the_compiler_could_have_seen_never_fails_at_run_time(condition, lock):
    for source, kind in (condition, "where"), (lock.replace("e.", "job.entities[0]."), "lock"):
        expression, kinds = compiled(source, kind)
        assert kinds <= SEEN
        if expression is None:
            continue
        event(kind)
        for job, values in product(JOBS, RUNS):
            given_run = {"id": "r", "pipeline": "p", "dataset": job["dataset"]}
            if kind == "lock":
                expression.key(params=values, job=job, run=given_run)
            else:
                expression.value(e=job["payload"]["entities"][0], params=values, job=job, run=given_run)


@pytest.mark.parametrize(
    "source",
    [
        "params.some_string[0] > 3",
        "min(params.some_string) > 3",
        "any(x > 3 for x in params.some_path)",
        "params.some_int[0] > 'a'",
        "startswith(e.id, params.some_int)",
        "params.one_of_letters > 3",
        "params.one_of_digits > 'a'",
        "params.one_of_mixed > 1",
        "min(params.some_of_mixed) == 1",
        "min([1, 'a']) == 1",
        "min([[1], [2]])",
        "min(x for x in [1, 'a'])",
        "(e.id or 3) > 2",
        "(e.id if params.a_bool else 3) > 2",
        "3 in (e.id or [1])",
        "(e.id or 3) in e.id",
        "any(e.id or [1])",
        "len(e.id or 3) > 1",
        "contains(e.id or 3, 'a')",
        "e.id in {e.id or [1]}",
        "job.context > 3",
        "job.context == 3",
        "startswith(job.context, 'a')",
        "3 in job.context",
        "job.context[0]",
    ],
)
def test_what_a_run_could_not_do_is_no_expression(source):
    assert compiled(source)[0] is None, source


@pytest.mark.parametrize(
    "source",
    [
        "params.some_int[0] > 3",
        "min(params.some_float) < params.one_of_digits",
        "params.one_of_digits or e.title",
        "params.one_of_mixed == True",
        "(params.a_int or params.a_size) > 3",
        "(e.id or 3) == 3",
        "(params.a_bool or 3) > 2",
        "e.id in (params.some_string or params.some_path)",
        "len(job.context) > 1",
        "any(startswith(x, 'a') for x in job.context)",
        "'word' in job.context",
        "job.context[params.a_string] > 3",
        "job.context == job.payload.context",
        "job.context != None",
        "job.context.total > 3",
    ],
)
def test_what_a_run_can_do_is_an_expression(source):
    expression, mistakes = compiled(source)

    assert expression is not None, mistakes
    for job, values in product(JOBS, RUNS):
        expression.value(e=job["payload"]["entities"][0], params=values, job=job)


def test_most_of_what_is_generated_is_evaluated():
    outcomes: Counter[str] = Counter()

    @settings(max_examples=300, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(conditions)
    def look(source):
        expression, _ = compiled(source)
        outcomes["refused" if expression is None else "compiled"] += 1

    look()
    assert outcomes["compiled"] > outcomes["refused"] > 0
