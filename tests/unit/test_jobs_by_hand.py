"""
Jobs that are deferred by hand: no hand-over counts them, so they carry no mark of a run.
"""

from typing import Any

from oaflow import DatasetJob


class Queue:
    """
    An App that remembers what was deferred.
    """

    def __init__(self) -> None:
        self.deferred: list[dict[str, Any]] = []

    def configure_task(self, task: str, **_: Any) -> "Queue":
        return self

    def defer(self, **wire: Any) -> None:
        self.deferred.append(wire)


def deferred(**more: Any) -> dict[str, Any]:
    queue = Queue()
    DatasetJob(dataset="d", queue="q", task="t", **more).defer(queue)
    return queue.deferred[0]


def test_a_job_deferred_by_hand_leaves_the_run_of_the_stage_that_made_it():
    mark = {"run": "ingest-aaaaaa", "stage": "a"}

    wire = deferred(batch="ingest-aaaaaa", payload={"context": {"oaflow": mark, "languages": ["eng"]}})

    assert wire == {"dataset": "d", "queue": "q", "task": "t", "payload": {"context": {"languages": ["eng"]}}}


def test_nothing_but_the_mark_in_the_payload_leaves_no_payload():
    assert "payload" not in deferred(payload={"context": {"oaflow": {"run": "r", "stage": "a"}}})


def test_a_batch_of_ones_own_stays():
    assert deferred(batch="mine", payload={"context": {"oaflow": {"run": "r"}}})["batch"] == "mine"


def test_a_job_without_a_mark_is_sent_as_it_is():
    assert deferred(batch="b", payload={"context": {"x": 1}})["payload"] == {"context": {"x": 1}}
