"""
What is refused before a run begins, and where its entities come from.
"""

import json

import pytest

from oaflow.errors import UsageError
from oaflow.ledger.runs import StopAfter
from oaflow.operations.finding import NoSuchDatasetError
from oaflow.operations.programs import NoSuchPipelineError, locate
from oaflow.operations.starting import Request, idle_options, precheck, read_entities
from oaflow.operations.states import NoSuchStageError, in_order
from oaflow.plan import Plan, PlannedEdge, PlannedParam, PlannedStage, bind


def plan_of(**stages):
    return Plan(
        pipeline="p",
        start=("a",),
        params={
            "source": PlannedParam(type="list", of="path", positional=True, required=True),
            "most": PlannedParam(type="int", default=1),
        },
        stages={name: PlannedStage(task=f"m.{name}", queue=name, edges=edges) for name, edges in stages.items()},
    )


PLAN = plan_of(a=(PlannedEdge(to="b"),), b=())


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("d", params={"moost": ("1",)}), ("moost", "most")),
        (Request("d", params={"most": ("many",)}), ("most",)),
        (Request("d", inputs=("/nowhere/at/all",)), ("/nowhere/at/all",)),
        (Request("d", at="bb"), ("bb", "'b'")),
        (Request("d", entities="/no/such.json"), ("/no/such.json",)),
        (Request("d", entities="x" * 300), ("x" * 300,)),
        (Request("d", first=0), ("first=0",)),
        (Request("d", stop_after=StopAfter()), ("StopAfter(10)",)),
        (Request("d", stop_after=StopAfter(-1)), ("failures=-1",)),
        (Request("d", stop_after=StopAfter(percent=0.0)), ("percent=0.0",)),
    ],
)
def test_what_is_wrong_with_a_request_is_one_sentence_with_the_name(request_, words):
    with pytest.raises(UsageError) as error:
        precheck(PLAN, request_)
    said = f"{error.value} {error.value.help}"
    for word in words:
        assert word in said


def test_options_that_only_a_crawl_obeys_are_said_to_do_nothing_where_none_takes_place():
    stages = {"a": PlannedStage(task="oaflow.stages.crawl", queue="a", edges=(PlannedEdge(to="b"),))}
    crawls = bind(PLAN.model_copy(update={"stages": {**PLAN.stages, **stages}}), {"source": ["x"], "most": 1})
    none = bind(PLAN, {"source": ["x"], "most": 1})

    def idle(bound, **asked):
        return [text.partition(": ")[2] for text in idle_options(bound, Request("d", **asked))]

    assert idle(crawls, prune=True, force=True) == idle(none) == idle(crawls, first=1, force=True) == []
    assert idle(none, prune=True) == ["no stage of pipeline 'p' crawls"]
    assert idle(crawls, prune=True, at="b") == ["a run at 'b' crawls nothing"]
    assert idle(crawls, prune=True, at="a") == []
    assert idle(crawls, prune=True, entities="-") == ["with -i no folder is crawled"]
    assert idle(crawls, prune=True, first=1) == ["with --first, not all folders are read"]
    assert idle(none, force=True) == ["no stage of pipeline 'p' crawls, so everything is processed anyway"]


def test_a_required_param_may_be_missing_as_the_last_run_may_have_it():
    precheck(PLAN, Request("d", params={"most": ("2",)}))


def test_entities_are_read_line_by_line_and_empty_lines_are_no_mistake(tmp_path):
    file = tmp_path / "e.json"
    one = {"id": "a", "schema": "Person", "properties": {}}
    file.write_text(f"{json.dumps(one)}\n\n   \n{json.dumps(one | {'id': 'b'})}")

    assert [entity["id"] for entity in read_entities(str(file))] == ["a", "b"]


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}', '{"id": 1, "schema": "Person"}', "null"])
def test_a_line_that_is_no_entity_is_named_by_its_number(tmp_path, line):
    file = tmp_path / "e.json"
    file.write_text(f'{{"id": "a", "schema": "Person", "properties": {{}}}}\n{line}\n')

    with pytest.raises(UsageError, match="line 2 of"):
        list(read_entities(str(file)))


def test_stages_are_in_the_order_in_which_documents_pass_them():
    plan = plan_of(
        a=(PlannedEdge(to="c"), PlannedEdge(to="a", port="children", recurse=3)),
        b=(),
        c=(PlannedEdge(to="b"),),
    )

    assert in_order(bind(plan, {"source": [], "most": 1})) == ("a", "c", "b")


def test_a_name_is_looked_up_here_before_it_is_in_the_package(tmp_path):
    own = tmp_path / "pipelines" / "ingest.yml"
    own.parent.mkdir()
    own.write_text("pipeline: ingest")

    assert locate("ingest", tmp_path).file == own
    assert not locate("ingest", tmp_path).packaged
    assert locate("ingest", tmp_path / "elsewhere").packaged
    assert locate("mine.pipes:first", tmp_path).module == "mine.pipes"
    with pytest.raises(UsageError) as error:
        locate("ingset", tmp_path)
    assert "'ingest'" in str(error.value.help)


@pytest.mark.parametrize(
    "error",
    [
        NoSuchStageError("mine-abc234", "INGEST", ["ingest"]),
        NoSuchPipelineError("INGEST", ["ingest"]),
        NoSuchDatasetError("INGEST", ["ingest"]),
    ],
)
def test_a_name_in_other_letters_is_told_as_the_one_that_was_meant(error: UsageError) -> None:
    assert error.help == "did you mean 'ingest'?"
