"""
What is said about the schemata along an edge, held against entities that go along it.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oaflow.compiler.flows import check_flows
from oaflow.compiler.functions import Inspected
from oaflow.diagnostics import NO_SPANS
from oaflow.expressions import compile_mapping
from oaflow.model import Edge, Pipeline, Stage, StageOptions
from oaflow.schemata import ABSTRACT, SCHEMATA, is_a

names = st.lists(
    st.sampled_from(["Thing", "Document", "Email", "PlainText", "LegalEntity", "Person", "Vehicle"]),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)
wheres = st.none() | st.fixed_dictionaries(
    {}, optional={"schema": names, "not": st.fixed_dictionaries({"schema": names})}
).filter(bool)


def told(emits: Any, where: Any, accepts: Any) -> list[str]:
    stages = {"a": Stage(task="m.a", next=(Edge(to="b", where=where),)), "b": Stage(task="m.b")}
    inspected = {"m.a": Inspected(StageOptions(emits=emits)), "m.b": Inspected(StageOptions(accepts=accepts))}
    return [one.code for one in check_flows(Pipeline(name="p", stages=stages), inspected, NO_SPANS)]


@given(names, wheres, st.none() | names)
def test_an_edge_is_refused_exactly_if_no_entity_that_is_emitted_gets_through(emits, where, accepts):
    emitted = [name for name in SCHEMATA if name not in ABSTRACT and any(is_a(name, said) for said in emits)]
    passes = compile_mapping(where).holds if where else lambda e: True
    come = [name for name in emitted if passes(e={"id": "x", "schema": name, "properties": {}})]
    taken = [name for name in come if accepts is None or any(is_a(name, said) for said in accepts)]

    assert told(emits, where, accepts) == ([] if taken == come and come else ["OAF418"] if taken else ["OAF417"])


def test_what_nobody_says_is_not_compared():
    assert told(None, None, ("Person",)) == []
    assert told(("Person",), None, None) == []
    assert told(None, {"name": ("x",)}, ("Person",)) == []
    assert told({"media": ("Person",)}, None, ("Document",)) == []


def test_a_schema_in_a_where_says_what_comes():
    assert told(None, {"schema": ("Email",)}, ("Person",)) == ["OAF417"]
    assert told(None, {"schema": ("Document",)}, ("Email",)) == ["OAF418"]
    assert told(("Document",), {"birthDate": ("1*",)}, None) == ["OAF417"]
