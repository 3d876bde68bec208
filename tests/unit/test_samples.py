"""
What is kept of what stages return: laws of keeping it, and of routing it anew.
"""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import UnknownPortError
from oaflow.jobs import Bindings, DatasetJob, read_job
from oaflow.model import Out
from oaflow.operations.replaying import rerouted, ways
from oaflow.plan import PlannedEdge
from oaflow.runtime.execution import execute
from oaflow.runtime.functions import Loaded
from oaflow.runtime.messages import Assignment
from oaflow.runtime.router import entities_of
from oaflow.runtime.samples import MOST_BYTES, MOST_JOBS, RARELY, is_sample, sample
from tests.integration.pools import args_of, bound_stage, plan_of

CHOICES = st.sampled_from(["all", "first"])
EDGES = st.lists(
    st.builds(
        PlannedEdge,
        to=st.sampled_from(["act", "one", "two"]),
        port=st.sampled_from(["default", "more"]),
        recurse=st.none() | st.integers(1, 2),
        when=st.none() | st.just("job.context.ocr"),
        where=st.none() | st.just("is_a(e, 'Person')") | st.just("has(e.country, 'de')"),
    ),
    max_size=5,
    unique_by=lambda edge: (edge.to, edge.port),
)
ENTITIES = st.lists(
    st.fixed_dictionaries(
        {
            "schema": st.sampled_from(["Person", "Email"]),
            "properties": st.fixed_dictionaries({"country": st.lists(st.sampled_from(["de", "fr"]), max_size=2)}),
        }
    ),
    max_size=4,
)
RETURNED = st.lists(st.tuples(st.sampled_from(["default", "more"]), ENTITIES, st.booleans()), max_size=6)
DEPTH = st.dictionaries(st.sampled_from(["act.default>act", "act.more>act"]), st.integers(1, 3))


class Nowhere:
    """
    A store that takes everything.
    """

    def writer(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(__enter__=lambda: None, add=lambda _: None, settle=lambda: None, flush=lambda: None)


def plan(edges: list[PlannedEdge], choose: str):
    # Without edges a stage is an end: what it returns on any port is counted, and goes nowhere.
    missing = {"default", "more"} - {edge.port for edge in edges} if edges else set()
    act = bound_stage("act", "m.act", *edges, choose=choose, dropped=tuple(missing))
    return plan_of(act, bound_stage("one", "m.one"), bound_stage("two", "m.two"))


def kept_of(plan, returned, depth) -> tuple[dict[str, Any], Counter[str]]:
    """
    What one attempt keeps of what it returned, and how many entities it sends to which stage.
    """

    def act(job: DatasetJob) -> list[Out]:
        return [
            Out(port, job.model_copy(update={"payload": {"context": {"ocr": ocr}, "entities": numbered(entities)}}))
            for port, entities, ocr in returned
        ]

    def bindings(_: str | None) -> Bindings:
        return Bindings(entities=Nowhere(), files=None, queue=None)  # type: ignore[arg-type]

    args = orjson.loads(args_of())
    args["payload"]["context"]["oaflow"]["depth"] = depth
    assignment = Assignment(5, 0, "run-1", "act", orjson.dumps(args), sample=True)
    (handover,) = execute(assignment, plan, Loaded("m.act", act, False, "1", (), {}), bindings)
    assert handover.outcome == "done", handover.detail
    sent = Counter[str]()
    for successor in handover.successors:
        sent[successor.stage] += len(orjson.loads(successor.args).get("payload", {}).get("entities", ())) or 1
    return orjson.loads(handover.detail).get("returned", {"of": 0, "jobs": []}), sent


def numbered(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"e{number}", **entity} for number, entity in enumerate(entities)]


@given(EDGES, CHOICES, RETURNED, DEPTH)
def test_what_is_kept_says_where_each_entity_went_and_would_go_there_again(edges, choose, returned, depth):
    same = plan(edges, choose)

    kept, sent = kept_of(same, returned, depth)

    counted = Counter[str]()
    for port, body, shares in kept["jobs"]:
        job = read_job(body)
        was = ways(same.stages["act"], port, job, shares, depth)
        assert was == rerouted(same, "act", port, job, depth, "run-1", entities_of)
        counted.update(to for entity in was for to in entity)
    assert counted == sent
    assert kept["of"] == len(kept["jobs"]) == len(returned)


@given(EDGES, EDGES, CHOICES, RETURNED, DEPTH)
def test_where_it_would_go_in_another_pipeline_is_where_that_one_sends_it(edges, others, choose, returned, depth):
    other = plan(others, choose)

    kept, _ = kept_of(plan(edges, choose), returned, depth)

    counted = Counter[str]()
    for port, body, _ in kept["jobs"]:
        for entity in rerouted(other, "act", port, read_job(body), depth, "run-1", entities_of):
            counted.update(entity)
    assert counted == kept_of(other, returned, depth)[1]


def test_a_port_that_the_other_pipeline_does_not_wire_is_an_error_there_and_here():
    job = DatasetJob(dataset="d", queue="q", task="t")
    narrow = plan_of(bound_stage("act", "m.act", PlannedEdge(to="one")), bound_stage("one", "m.one"))

    with pytest.raises(UnknownPortError) as refused:
        rerouted(narrow, "act", "more", job, {}, "r", entities_of)

    assert refused.value.port == "more"


def test_of_many_and_of_large_jobs_only_so_much_is_kept_and_no_long_text():
    def job(**properties: list[str]) -> DatasetJob:
        entity = {"id": "e", "schema": "Document", "properties": properties}
        return DatasetJob(dataset="d", queue="q", task="t", payload={"entities": [entity]})

    def kept(*jobs: DatasetJob) -> dict[str, Any]:
        return orjson.loads(orjson.dumps(sample([("p", one, None) for one in jobs], {})))

    many, large = kept(*[job()] * 500), kept(*[job(title=["x" * (MOST_BYTES // 3)])] * 5)
    (text,) = kept(job(title=["short"], bodyText=["long"]))["jobs"]
    changed = job(title=["since it was checked"])
    changed.entities[0]["properties"]["title"].append("nul \0")
    odd = kept(changed, job())

    assert (many["of"], len(many["jobs"])) == (500, MOST_JOBS)
    assert (large["of"], len(large["jobs"])) == (5, 2)
    assert text[1]["payload"]["entities"][0]["properties"] == {"title": ["short"]}
    assert (odd["of"], len(odd["jobs"])) == (2, 1)


def test_the_first_jobs_of_a_stage_are_kept_and_then_one_in_so_many():
    kept = [number for number in range(1, 1001) if is_sample(number, 3)]

    assert kept == [1, 2, 3, *range(RARELY, 1001, RARELY)]
    assert not any(is_sample(number, 0) for number in range(1, 1001))
