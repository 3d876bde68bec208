"""
What a job reaches: bound by the runtime, else built once by the binder.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from oaflow.jobs import Bindings, DatasetJob, Job, Note, NothingBoundError, bind, bound, current, register_binder
from oaflow.jobs import bindings as module

built = []


def build():
    built.append(Bindings(entities=None, files=None, queue=Recorder(), lasting=True))
    return built[-1]


class Recorder:
    def __init__(self):
        self.deferred = []

    def defer(self, job, *, priority=None):
        self.deferred.append((job, priority))


@pytest.fixture(autouse=True)
def binder(monkeypatch):
    # The name under which pytest imported this file, so that the binder fills the same list.
    monkeypatch.setattr(module, "_binder", f"{__name__}:build")
    monkeypatch.setattr(module, "_program", None)
    built.clear()


def test_outside_of_a_job_the_binder_is_asked_once_and_only_when_something_is_needed():
    job = Job(queue="q", task="t")
    assert built == []

    job.defer()
    job.defer(priority=7)

    assert built[0].queue.deferred == [(job, None), (job, 7)]
    assert len(built) == 1


def test_many_threads_get_the_same():
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: current(), range(50)))

    assert len({id(item) for item in found}) == 1


def test_within_the_block_what_was_bound_is_reached_and_afterwards_no_more():
    mine = Bindings(entities=None, files=None, queue=Recorder())
    job = Job(queue="q", task="t")

    with bind(mine):
        job.defer()
        assert bound() is mine

    assert mine.queue.deferred == [(job, None)]
    assert bound() is None
    assert built == []


def test_a_job_without_anything_bound_says_so():
    register_binder("oaflow.there_is_no_such_module:build")

    with pytest.raises(NothingBoundError, match="no queue is bound"):
        Job(queue="q", task="t").defer()


def test_notes_are_kept_in_order_with_names_that_a_database_holds():
    mine = Bindings(entities=None, files=None, queue=None)
    job = DatasetJob(dataset="d", queue="q", task="t")

    with bind(mine):
        job.found("doc-1", "a.txt")
        job.skipped("key", "Z\udcfcrich.txt", "is a socket")
        job.unreadable("doc-1", "a.txt", "it is encrypted")

    assert mine.notes == [
        Note("found", "doc-1", "a.txt"),
        Note("skipped", "key", "Zürich.txt", "is a socket"),
        Note("unreadable", "doc-1", "a.txt", "it is encrypted"),
    ]


def test_a_program_that_runs_for_long_collects_no_notes():
    DatasetJob(dataset="d", queue="q", task="t").found("doc-1", "a.txt")

    assert built[0].notes == []
