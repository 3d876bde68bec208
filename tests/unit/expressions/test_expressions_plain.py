"""
An expression means what plain Python makes of it, over objects that know what is missing.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oaflow.expressions import EvaluationError, ExpressionError, compile_expression, of_param
from tests.unit.expressions.plain import plain

# As many as there is time for.
EXAMPLES = int(os.environ.get("OAFLOW_TEST_EXAMPLES", "300"))
AT_ONCE = 70

WORDS = ("eng", "deu", "Letter.PDF", "2020-01-01", "7", "1e3", "", "ß", "a\nb")
# Few, so that some are equal: to each other, to lengths and to what the words say.
NUMBERS = (-3, 0, 1, 2, 7, 0.5, 7.0, 1000.0)
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
numbers = st.sampled_from(NUMBERS)
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


# What writes a piece of an expression. Not hypothesis's: it writes a hundred of them in the time of one, and no two
# alike, where hypothesis repeats itself in more than half.
Piece = Callable[[Random], str]


def one_of(*pieces: Piece) -> Piece:
    return lambda random: random.choice(pieces)(random)


def sampled(texts: Iterable[str]) -> Piece:
    given = list(texts)
    return lambda random: random.choice(given)


def joined(*parts: Piece | str) -> Piece:
    return lambda random: "".join(part if isinstance(part, str) else part(random) for part in parts)


def literal(values: Iterable[Any]) -> Piece:
    return sampled(map(repr, values))


def deferred(piece: Callable[[], Piece]) -> Piece:
    return lambda random: piece()(random)


def one_or_two(piece: Piece) -> Piece:
    return one_of(piece, joined(piece, ", ", piece))


properties = sampled([f"e.{name}" for name in PROPERTIES])
texts = deferred(
    lambda: one_of(
        sampled(["e.id", "e.schema", "e.caption", "job.context.word", "params.word", "job.context.deep.word"]),
        literal(WORDS),
        joined("lower(", texts, ")"),
        joined(sampled(["min", "max"]), "(", properties, ")"),
    )
)
quantities = deferred(
    lambda: one_of(
        sampled(["job.context.total", "params.total", "job.context.deep.total", "len(job.entities)"]),
        literal(NUMBERS),
        joined("len(", lists, ")"),
        joined("number(", one_of(properties, texts), ")"),
        joined(sampled(["min", "max"]), "(len(x) for x in ", lists, ")"),
    )
)
lists = deferred(
    lambda: one_of(
        properties,
        sampled(["job.context.words", "params.words", "job.context.deep.words"]),
        joined("[", one_or_two(one_of(texts, quantities)), "]"),
        joined("lower(", properties, ")"),
    )
)
unknown = sampled(
    ["job.context.word", "job.context.words", "job.context.flag", "job.context.total", "job.context.absent.word[1]",
     "job.context.words[0]", "job.context.words[-1]", "params.one_of_mixed", "job.context.deep"]
)  # fmt: skip
values = one_of(texts, quantities, lists, unknown)
# What is in some of `WORLDS`: in a list, a text, a property, the keys of a mapping.
sought = sampled(
    ["'eng'", "'7'", "''", "7", "1", "True", "params.word", "params.total", "job.context.word", "job.context.flag",
     "job.context.absent"]
)  # fmt: skip
containers = sampled(
    ["job.context.words", "job.context.flag", "job.context.deep", "job.context.word", "e.language", "e.id",
     "params.words", "['deu', 'ß', 7, 'eng']", "{'deu', 7, '', 'eng'}", "{job.context.word, params.word, 7}"]
)  # fmt: skip
several = sampled(["e.language", "e.fileName", "job.context.words", "job.context.word"])
# What anchors, dots, case, classes, line ends and letters beyond ASCII mean.
patterns = literal(
    [
        "^eng$",
        "n",
        "ENG",
        "(?i)ENG",
        r"^\d{4}-",
        r"\bPDF$",
        "^.$",
        r"^\w+$",
        "a.b",
        "(?s)a.b",
        "^b",
        r"a\nb",
        "^$",
        "e|ß",
    ]
)
arguments = one_or_two(one_of(texts, sampled(["params.words"])))
orders = sampled([" < ", " <= ", " > ", " >= "])
equals = sampled([" == ", " != "])
both = sampled([" and ", " or "])
elements = one_of(
    joined("x", one_of(equals, orders), texts),
    joined("x in ", lists),
    joined("len(x)", orders, quantities),
    sampled(["x"]),
)
conditions = deferred(
    lambda: one_of(
        joined(texts, one_of(equals, orders), texts),
        joined(quantities, one_of(equals, orders), quantities),
        joined(quantities, orders, quantities, orders, quantities),
        joined(quantities, orders, quantities, orders, quantities, one_of(equals, orders), quantities),
        joined(texts, equals, texts, equals, unknown),
        joined(unknown, one_of(equals, orders), values),
        joined(values, sampled([" in ", " not in "]), one_of(lists, texts, unknown)),
        joined(sampled(["has", "lacks", "others"]), "(", one_of(lists, texts, unknown), ", ", arguments, ")"),
        # What says something of many worlds, so that each function and operator is tried with what it is for.
        joined(sought, sampled([" in ", " not in "]), containers),
        joined(
            sampled(["has", "lacks", "others"]), "(", properties, ", ", one_or_two(literal(("eng", "deu", "7"))), ")"
        ),
        joined("number(", one_of(sampled(["e.fileSize"]), unknown), ")", one_of(equals, orders), literal(NUMBERS)),
        joined(sampled(["startswith", "endswith", "contains"]), "(", several, ", ", literal(("e", "G", "", "ß")), ")"),
        joined("matches(", several, ", ", patterns, ")"),
        joined(one_of(unknown, sampled(["params.word", "params.words"])), sampled([" is None", " is not None"])),
        joined("len(x for x in ", lists, " if x != 'eng' if x ", orders, "'e') > 0"),
        sampled(['is_a(e, "Email", params.word)']),
        joined(sampled(["startswith", "endswith", "contains"]), "(", values, ", ", arguments, ")"),
        joined('is_a(e, "', sampled(["Document", "Person", "Thing"]), '")'),
        joined(sampled(["any", "all"]), "(", elements, " for x in ", one_of(lists, unknown), ")"),
        joined("any(has(x.language, ", texts, ") for x in job.entities if x.schema != e.schema)"),
        joined(sampled(["any", "all"]), "(", one_of(lists, unknown), ")"),
        one_of(properties, unknown),
        joined("matches(", values, ", ", patterns, ")"),
        joined("(", unknown, both, unknown, ")", equals, values),
        joined("not (", conditions, ")"),
        joined("not ", conditions),
        # Without brackets, so that it matters what binds how strongly, and what is asked first.
        joined("(", conditions, both, conditions, ")"),
        joined("(", one_of(unknown, conditions), both, unknown, both, one_of(unknown, conditions), ")"),
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


# Each expression is asked of these too: where all fits, where all is missing, where nothing is of the kind expected.
WORLDS: list[dict[str, Any]] = [
    {
        "properties": {
            "language": ["eng", "deu"],
            "fileName": ["Letter.PDF", "ß"],
            "date": ["2020-01-01"],
            "fileSize": ["7", "1e3"],
        },
        "context": {
            "word": "eng",
            "total": 7,
            "flag": True,
            "words": ["eng", "7", "", 7.0, 1],
            "deep": {"word": "eng", "total": "7", "words": ["eng"]},
        },
        "params": {"word": "eng", "total": 7, "words": ["eng", "deu"], "one_of_mixed": True},
    },
    {"properties": {}, "context": {}, "params": dict.fromkeys(("word", "total", "words", "one_of_mixed"))},
    {
        "properties": {"language": [""], "fileSize": []},
        "context": {"word": "", "total": None, "flag": False, "words": [None, "eng", True], "deep": {"word": None}},
        "params": {"word": "", "total": 0, "words": [], "one_of_mixed": 1},
    },
    {
        "properties": {"language": ["a\nb", "ENG"], "fileName": ["ß"], "fileSize": ["9", "x", "0.5"]},
        "context": {"word": "ß", "total": 0.5, "flag": "", "words": ["ß"], "deep": {"words": "ß"}},
        "params": {"word": "ß", "total": -3, "words": [""], "one_of_mixed": "eng"},
    },
    {
        "properties": {"language": ["eng"]},
        "context": {"word": 7, "total": "7", "flag": {"eng": 1}, "words": {"eng": None}, "deep": {"total": "eng"}},
        "params": {"word": "7", "total": 1, "words": ["7", "eng"], "one_of_mixed": None},
    },
]
CAPTIONS = ("eng", None, "", "ß", "7")
worlds = st.fixed_dictionaries(
    {"entities": st.lists(entities, min_size=1, max_size=3), "context": contexts, "params": params}
)


def asked(world):
    """
    The entities, the context and the params of one of `WORLDS`.
    """
    number = WORLDS.index(world)
    one = {"id": "ab"[number % 2], "schema": ("Email", "Page")[number % 2], "properties": world["properties"]}
    one |= {} if CAPTIONS[number] is None else {"caption": CAPTIONS[number]}
    other = {"id": "b", "schema": "Document", "properties": {"language": ["eng"]}}
    return {"entities": [one, other][: 1 + number % 2], "context": world["context"], "params": world["params"]}


ASKED = [asked(world) for world in WORLDS]

seeds = st.integers(0, 2**32)


def written(piece: Piece, seed: int) -> list[str]:
    """
    Some expressions, the shortest first: it is the first that is told when several are wrong.
    """
    random = Random(seed)
    return sorted({piece(random) for _ in range(AT_ONCE)}, key=len)


@settings(max_examples=EXAMPLES // 5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seeds, worlds)
def test_an_expression_means_what_plain_python_makes_of_it(seed, drawn):
    for source in written(conditions, seed):
        expression, kinds = compiled(source)
        if expression is None:
            assert kinds <= SEEN, source
            continue
        meant = plain(source)
        for world in (drawn, *ASKED):
            names = {"e": world["entities"][0], "params": world["params"]}
            job = {"entities": world["entities"], "context": world["context"]}
            try:
                expected = meant(job=job, **names)
            except TypeError:
                with pytest.raises(EvaluationError):
                    expression.value(job={"payload": job}, **names)
            else:
                assert expression.value(job={"payload": job}, **names) == expected, source


# Whatever stands where, of values whose kinds are all known before a run. What is in a context is not.
known = one_of(
    sampled([f"params.{name}" for name in (*ONE, *SOME)]),
    sampled([f"params.{name}[0]" for name in SOME]),
    sampled(["e.id", "e.caption", "e.language", "job.context", "job.dataset", "run.id", "True", "None"]),
    literal((*WORDS, *NUMBERS)),
)


def within(inner: Piece) -> Piece:
    of_each = sampled(["x", "len(x)", "lower(x)"])
    return one_of(
        inner,
        joined(sampled(["min", "max", "len", "any", "lower", "number"]), "(", inner, ")"),
        joined(sampled(["min", "max"]), "(", of_each, " for x in ", inner, ")"),
        joined("[", inner, ", ", inner, "]"),
        joined("{", inner, ", ", inner, "}"),
        joined("(", inner, sampled([" or ", " and ", " if params.a_bool else "]), inner, ")"),
    )


pieces = within(within(known))
asked_of_all = one_of(
    joined(pieces, one_of(equals, orders, sampled([" in ", " not in "])), pieces),
    joined("any(x", one_of(equals, orders, sampled([" in "])), pieces, " for x in ", pieces, ")"),
    joined("all(", pieces, " in x for x in ", pieces, ")"),
    joined(
        sampled(["has", "lacks", "others", "startswith", "endswith", "contains"]),
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


@settings(max_examples=EXAMPLES // 30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seeds)
def test_what_the_compiler_could_have_seen_never_fails_at_run_time(seed):
    locks = [(text.replace("e.", "job.entities[0]."), "lock") for text in written(pieces, seed)]
    for source, kind in [*((text, "where") for text in written(asked_of_all, seed)), *locks]:
        expression, kinds = compiled(source, kind)
        assert kinds <= SEEN
        if expression is None:
            continue
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
    outcomes = Counter(compiled(source)[0] is None for seed in range(10) for source in written(conditions, seed))

    assert outcomes[False] > outcomes[True] > 0
