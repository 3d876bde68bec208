"""
An expression means what plain Python makes of it, over objects that know what is missing.
"""

import os
from collections import Counter
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
TYPES = {"word": "string", "total": "int", "words": "list", "choice": "choice"}
PARAMS = {name: of_param(kind) for name, kind in TYPES.items()}

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
        "choice": scalars,
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
     "job.context.words[0]", "job.context.words[-1]", "params.choice", "job.context.deep"]
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


def compiled(source):
    """
    The expression, or else which kinds of mistakes it has.
    """
    try:
        return compile_expression(source, "where", PARAMS), set()
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


def test_most_of_what_is_generated_is_evaluated():
    outcomes: Counter[str] = Counter()

    @settings(max_examples=300, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(conditions)
    def look(source):
        expression, _ = compiled(source)
        outcomes["refused" if expression is None else "compiled"] += 1

    look()
    assert outcomes["compiled"] > outcomes["refused"] > 0
