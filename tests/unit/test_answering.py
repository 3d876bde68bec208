"""
What goes to a service, and what of that which it hands over goes on.
"""

import asyncio
from typing import Any

import orjson
import pytest

from oaflow.jobs import Bindings, DatasetJob
from oaflow.ledger.rows import Claimed
from oaflow.plan import ANSWERS, PlannedEdge
from oaflow.runtime.execution import execute, execute_async
from oaflow.runtime.functions import Loaded, load
from oaflow.runtime.held import Passage, held_of
from oaflow.runtime.messages import Assignment, Handover
from oaflow.runtime.router import enter
from tests.integration.pools import bound_stage, plan_of
from tests.unit.test_execution import Store

OPTIONS = {"lang": "rus", "deep": True}
TRANSLATE = {"external": True, "options": OPTIONS, "lock": "job.dataset"}

PLAN = plan_of(
    bound_stage("read", "m.read", PlannedEdge(to="translate"), PlannedEdge(to="keep", port="ours")),
    bound_stage("translate", "m.translate", PlannedEdge(to="keep", port="index"), **TRANSLATE),
    bound_stage("any", "m.any", PlannedEdge(to="keep"), external=True, emit="always"),
    bound_stage("keep", "m.keep"),
)

PERSON = {"id": "p", "schema": "Person", "properties": {"name": ["Ada"], "nationality": ["gb"]}}
FILE = {"id": "f", "schema": "Document", "properties": {"fileName": ["x.pdf"], "title": ["X"]}}


def job_of(*entities: Any, **context: Any) -> DatasetJob:
    payload = {"entities": list(entities), "context": context}
    return DatasetJob(dataset="d", queue="q", task="t", payload=payload)


def handed(*entities: Any, queue: str = "index", **context: Any) -> dict[str, Any]:
    """
    A job as a service hands it over: with all of the context of its own.
    """
    mark = {"run": "run-1", "stage": "translate", "external": "success", "job": 7}
    context = {**OPTIONS, "oaflow": mark, **context}
    payload = {"entities": list(entities), "context": context}
    return {"queue": queue, "task": f"there.{queue}", "dataset": "d", "batch": "theirs", "payload": payload}


def answer(*returned: dict[str, Any], stage: str = "translate", own: Any = (FILE,), **answered: Any) -> Handover:
    """
    The end of the attempt at an answer.
    """
    mark = {"run": "run-1", "stage": stage, "parent": 7, "depth": {"x": 2}}
    mark["answered"] = {"emit": "success", "attempts": 1, "returned": list(returned), **answered}
    args = {**handed(*own, oaflow=mark), "queue": "queue-translate", "task": "m.translate"}

    async def hand(part: Handover) -> None:
        raise AssertionError("a part of a stream")

    assignment = Assignment(8, 0, "run-1", stage, orjson.dumps(args))
    world = Bindings(entities=Store(), files=None, queue=None)  # type: ignore[arg-type]
    return asyncio.run(execute_async(assignment, PLAN, load(ANSWERS[1]), lambda dataset: world, hand=hand))


def test_what_a_service_handed_over_goes_on_as_if_a_stage_had_returned_it() -> None:
    ended = answer(handed(FILE, priority=9, queue_name="kept"), handed(PERSON, FILE, batch="reindex", app="x"))

    assert ended.outcome == "done"
    assert [(new.stage, new.queue, new.task) for new in ended.successors] == [("keep", "queue-keep", "m.keep")] * 2
    first, second = (orjson.loads(new.args) for new in ended.successors)
    mark = {"run": "run-1", "stage": "keep", "parent": 8, "depth": {"x": 2}}
    assert first["payload"]["context"] == {"priority": 9, "queue_name": "kept", "oaflow": mark}
    assert second["payload"]["context"] == {"oaflow": mark}
    assert (first["batch"], [entity["id"] for entity in second["payload"]["entities"]]) == ("run-1", ["p", "f"])
    assert ended.warning is None


@pytest.mark.parametrize(("own", "goes_on"), [((FILE,), 0), ((), 1)])
def test_a_job_without_entities_goes_on_only_where_that_of_its_service_had_none(own: Any, goes_on: int) -> None:
    ended = answer(handed(), own=own)

    assert (ended.outcome, len(ended.successors)) == ("done", goes_on)


def test_a_queue_that_is_no_port_goes_by_default_and_is_a_failure_where_that_is_not_wired() -> None:
    assert len(answer(handed(FILE, queue="geocode"), stage="any").successors) == 1

    ended = answer(handed(FILE, queue="geocode"))

    assert (ended.outcome, ended.final) == ("failed", True)
    message = orjson.loads(ended.detail)["error"]["message"]
    assert (
        message == "the service of stage 'translate' handed over a job for queue 'geocode', but the plan wires: index"
    )


@pytest.mark.parametrize(
    ("attempts", "failed", "message"),
    [
        (1, {}, "its service gave it up; the log of the service says why"),
        (6, {}, "its service gave it up after 6 attempts; the log of the service says why"),
        (2, {"message": "no such file"}, "its service gave it up after 2 attempts: no such file"),
    ],
)
def test_what_a_service_gave_up_is_not_tried_again_here(attempts: int, failed: Any, message: str) -> None:
    ended = answer(attempts=attempts, failed=failed)

    assert (ended.outcome, ended.final) == ("failed", True)
    assert orjson.loads(ended.detail)["error"]["message"] == message


def test_under_always_what_came_with_a_failure_goes_out() -> None:
    ended = answer(handed(FILE, queue="any"), stage="any", failed={})

    assert (ended.outcome, len(ended.successors)) == ("failed", 1)


def test_a_service_gets_stubs_and_its_options_and_what_they_leave_out_is_written_first() -> None:
    store = Store()

    def read(job: DatasetJob) -> Any:
        return job.model_copy(update={"payload": {"entities": [PERSON, FILE], "context": {"kept": 1}}})

    mark = {"run": "run-1", "stage": "read"}
    assignment = Assignment(5, 0, "run-1", "read", orjson.dumps(job_of(FILE, oaflow=mark).to_wire()))
    world = Bindings(entities=store, files=None, queue=None)  # type: ignore[arg-type]
    (ended,) = execute(assignment, PLAN, Loaded("m.read", read, False, "1", (), {}), lambda dataset: world)

    (new,) = ended.successors
    payload = orjson.loads(new.args)["payload"]
    assert payload["context"].pop("oaflow") == {
        "run": "run-1",
        "stage": "translate",
        "parent": 5,
        "external": "success",
    }
    assert payload["context"] == {"kept": 1, **OPTIONS}
    assert payload["entities"] == [
        {"id": "p", "schema": "Person", "properties": {}},
        {"id": "f", "schema": "Document", "properties": {"fileName": ["x.pdf"]}},
    ]
    assert [what for what in store.done if what[0] == "add"] == [("add", "p", "f"), ("add", "f", "f")]


def test_the_first_jobs_of_a_run_carry_the_options_of_a_service_too() -> None:
    (first,) = enter(PLAN, "translate", job_of(FILE), run="run-1")

    context = first.data["payload"]["context"]
    assert context == {**OPTIONS, "oaflow": {"run": "run-1", "stage": "translate", "external": "success"}}


def test_an_answer_runs_without_the_lock_of_the_job_whose_place_it_takes() -> None:
    row = Claimed(8, *ANSWERS, 50, "{}", "{}", attempts=0, retries=0, crashes=0, suspect=False)

    held = held_of(row, Passage("run-1", PLAN, "d", "running"), {"stage": "translate", "parent": 7})

    assert (held.stage.task, held.stage.lock, held.stage.name, held.parent) == (ANSWERS[1], None, "translate", 7)
