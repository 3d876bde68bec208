from hypothesis import given, settings
from hypothesis import strategies as st

from oaflow.expressions import EvaluationError, compile_expression, compile_mapping, formula, possible
from oaflow.expressions.possible import LONGEST
from oaflow.schemata import ABSTRACT, SCHEMATA

CONCRETE = sorted(set(SCHEMATA) - ABSTRACT)
FEW = ["Thing", "LegalEntity", "Person", "Company", "Document", "Email", "Page", "Interval"]

atoms = st.sampled_from(
    [
        *(f"is_a(e, {name!r})" for name in FEW),
        *(f"e.schema == {name!r}" for name in FEW if name not in ABSTRACT),
        "e.schema != 'Email'",
        "e.schema in ('Person', 'Page')",
        "e.schema not in ('Person', 'Page')",
        "has(e.language, 'rus')",
        "lacks(e.language, 'rus')",
        "job.context.a",
        "job.context.a > 1",
        "params.b",
        "True",
        "1 == 2",
        "2 in [1, 2]",
    ]
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) and ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) or ({two[1]})"),
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, inner, inner).map(lambda three: "({}) if ({}) else ({})".format(*three)),
    ),
    max_leaves=6,
)
entities = st.builds(
    lambda schema, language: {"id": "x", "schema": schema, "properties": {"language": language}},
    st.sampled_from(CONCRETE),
    st.lists(st.sampled_from(["rus", "eng"]), max_size=2),
)
WORLDS = [(a, b) for a in (None, 0, 2, "text") for b in (None, False, True)]


def holds(source: str, entity: dict, a: object, b: object) -> bool:
    try:
        job = {"payload": {"context": {"a": a}}}
        return compile_expression(source, "where").holds(e=entity, job=job, params={"b": b})
    except EvaluationError:
        return False


@settings(max_examples=200)
@given(st.lists(conditions, min_size=1, max_size=2), st.lists(conditions, max_size=2), st.lists(entities, max_size=12))
def test_what_is_told_to_be_impossible_no_entity_does(holding, failing, found):
    if not possible([formula(where=one) for one in holding], [formula(where=one) for one in failing]):
        for entity in [*found, *({"schema": schema, "properties": {}} for schema in FEW)]:
            for a, b in WORLDS:
                taken = all(holds(one, entity, a, b) for one in holding)
                before = any(holds(one, entity, a, b) for one in failing)
                # An error on the way fails the job, so that nothing goes along any edge.
                assert not taken or before or any(_fails(one, entity, a, b) for one in failing)


def _fails(source: str, entity: dict, a: object, b: object) -> bool:
    try:
        job = {"payload": {"context": {"a": a}}}
        compile_expression(source, "where").holds(e=entity, job=job, params={"b": b})
    except EvaluationError:
        return True
    return False


@given(st.lists(st.sampled_from(FEW), min_size=1, max_size=3), st.sampled_from(FEW), st.sampled_from(CONCRETE))
def test_of_mappings_by_schema_it_is_told_exactly(wider, narrower, schema):
    first, second = {"schema": tuple(wider)}, {"schema": (narrower,)}
    taken = [one for one in CONCRETE if compile_mapping(second).holds(e={"schema": one})]
    left = [one for one in taken if not compile_mapping(first).holds(e={"schema": one})]

    assert bool(left) <= possible([formula(where=second)], [formula(where=first)])
    # What has an abstract schema itself is not told: no entity does.
    if not left and not ABSTRACT & {narrower}:
        assert not possible([formula(where=second)], [formula(where=first)])


def test_what_can_never_hold_is_told():
    never = [
        "False",
        "1 == 2",
        "False and job.context.a",
        "is_a(e, 'Person') and is_a(e, 'Document')",
        "e.schema == 'Document' and e.schema == 'Email'",
        "is_a(e, 'Email') and e.schema in ('Person', 'Page')",
        "has(e.language, 'rus') and lacks(e.language, 'rus')",
        "params.b and not params.b",
        "(is_a(e, 'Person') or is_a(e, 'Company')) and is_a(e, 'Document')",
    ]

    assert [one for one in never if possible([formula(where=one)])] == []


def test_what_only_a_run_knows_may_be_anything():
    open_ = {"schema": ("${params.s}",), "not": {"schema": ("${params.s}",)}}
    other = {"schema": ("${params.s}",)}

    assert possible([formula(where=open_)])
    assert possible([formula(where=other)], [formula(where={"schema": ("${params.s}",)})])
    assert possible([formula(where={"schema": ("Person",)})], [formula(where=other)])
    assert possible([formula(where="e.schema == params.b and e.schema == 'Email'")])


def test_where_there_is_too_much_to_try_it_may_be():
    nothing = " or ".join(f"(params.p{number} and not params.p{number})" for number in range(8))

    assert not possible([formula(where=nothing)])
    assert possible([formula(where=f"{nothing} or params.last")])


def test_of_very_many_conditions_nothing_is_told():
    persons = [formula(where="is_a(e, 'Person')")] * LONGEST

    assert not possible(persons[1:], [formula(where="is_a(e, 'Person')")])
    assert possible(persons, [formula(where="is_a(e, 'Person')")])
