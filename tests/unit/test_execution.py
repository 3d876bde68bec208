"""
Laws and cases of one attempt at a job.
"""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from oaflow.errors import Reject
from oaflow.jobs import Bindings, DatasetJob
from oaflow.model import STAGE_ATTRIBUTE, Out, StageOptions
from oaflow.plan import PlannedEdge
from oaflow.runtime import attempt as attempts
from oaflow.runtime.execution import execute, execute_async
from oaflow.runtime.functions import Loaded, TaskError, load
from oaflow.runtime.messages import Assignment, Handover
from tests.integration.pools import args_of, bound_stage, plan_of

PLAN = plan_of(
    bound_stage("act", "m.act", PlannedEdge(to="end"), PlannedEdge(to="end", port="more")),
    bound_stage("stream", "m.stream", PlannedEdge(to="end"), PlannedEdge(to="act"), emit="stream"),
    bound_stage("last", "m.last", emit="stream"),
    bound_stage("end", "m.end"),
)


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "CHUNK_JOBS", 100)
        patch.setattr(attempts, "CHUNK_SECONDS", 60.0)  # a slow machine would cut elsewhere
        yield


class Store:
    """
    An entity store that remembers what was done, in order.
    """

    def __init__(self, *, earlier: bool = False) -> None:
        self.done: list[Any] = []
        self.earlier = earlier

    def spoke(self, dataset: str, origin: str, run: str) -> bool:
        return self.earlier

    def writer(self, dataset: str, origin: str, fragment: str = "default", replace: bool = False) -> Any:
        store = self

        class Writer:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *exception: Any) -> None:
                self.flush()

            def add(self, entity: Any) -> None:
                store.done.append(("add", entity["id"], fragment))

            def flush(self) -> None: ...

            def settle(self, *, alone: bool = False) -> None:
                store.done.append(("settle", fragment))

        return Writer()


class World:
    def __init__(self, *, earlier: bool = False) -> None:
        self.store = Store(earlier=earlier)
        self.bindings: Bindings | None = None

    def __call__(self, dataset: str | None) -> Bindings:
        self.bindings = Bindings(entities=self.store, files=None, queue=None)  # type: ignore[arg-type]
        return self.bindings


def loaded(function: Any, is_async: bool = False) -> Loaded:
    return Loaded("m.act", function, is_async, "1+abc", (), {})


def attempt(
    function: Any,
    *,
    stage: str = "act",
    chunks=(),
    first: int | None = None,
    world: World | None = None,
    **context: Any,
):
    assignment = Assignment(5, 0, "run-1", stage, args_of(**context), chunks=tuple(chunks), first=first)
    return list(execute(assignment, PLAN, loaded(function), world or World()))


def attempt_async(
    function: Any, *, stage: str = "act", chunks=(), timeout: float | None = None, first: int | None = None
) -> list[Handover]:
    async def collected() -> list[Handover]:
        assignment = Assignment(5, 0, "run-1", stage, args_of(), timeout=timeout, chunks=tuple(chunks), first=first)
        parts: list[Handover] = []

        async def hand(part: Handover) -> None:
            parts.append(part)

        last = await execute_async(assignment, PLAN, loaded(function, True), World(), hand=hand)
        return [*parts, last]

    return asyncio.run(collected())


def error_of(handover: Handover) -> dict[str, Any]:
    assert handover.outcome == "failed"
    return orjson.loads(handover.detail)["error"]


# -- what a stage returns ----------------------------------------------------------------------------------------------


def follow(job: DatasetJob, number: int = 0) -> DatasetJob:
    return job.with_entities([], number=number)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda job: None, 0),
        (lambda job: follow(job), 1),
        (lambda job: Out("more", follow(job)), 1),
        (lambda job: [follow(job), Out("more", follow(job)), None], 2),
        (lambda job: (follow(job) for _ in range(3)), 3),
        (lambda job: {1: follow(job)}.values(), 1),
    ],
)
def test_a_job_an_out_an_iterable_of_these_and_none_are_handed_over(function, count):
    (done,) = attempt(function)
    assert done.outcome == "done"
    assert [way.stage for way in done.successors] == ["end"] * count
    assert len(orjson.loads(done.detail).get("handed", [])) == count
    assert done.version == "1+abc"


@pytest.mark.parametrize(
    ("value", "said"),
    [(7, "int 7"), ("x", "str 'x'"), (b"x", "bytes b'x'"), ({"a": 1}, "dict {'a': 1}"), ([7], "int 7")],
)
def test_anything_else_is_an_error_that_says_what_was_returned_and_is_not_repeated(value, said):
    (failed,) = attempt(lambda job: value)
    error = error_of(failed)
    assert error["message"] == f"stage 'act' returned {said}, which is no job"
    # No line of the author's is to blame: none of ours is shown.
    assert error["traceback"] == f"oaflow.runtime.complaints.NotAJobError: {error['message']}\n"
    assert failed.final


class Person(BaseModel):
    name: str = "anna"


async def _fetched():
    return None


@pytest.mark.parametrize(
    ("value", "said", "help"),
    [
        ({"a": 1}, "dict {'a': 1}", 'job.model_copy(update={"payload": ...})'),
        (Person(), "Person Person(name='anna')", 'job.model_copy(update={"payload": ...})'),
        ([Person()], "Person Person(name='anna')", 'job.model_copy(update={"payload": ...})'),
        (Out("more", [follow]), "Out('more', ...) of a list", "[Out('more', job) for job in jobs]"),
        (Out(follow, "more"), "Out(function, str)", "Out('default', job)"),
        ("hello", "str 'hello'", "a stage returns a job, Out(port, job), an iterable of these, or None"),
    ],
)
def test_what_is_no_job_is_told_with_what_to_write_in_its_place(value, said, help):
    error = error_of(attempt(lambda job: value)[0])

    assert error["message"] == f"stage 'act' returned {said}, which is no job"
    assert help in error["help"]


@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_coroutine_that_was_not_awaited_is_told_as_such():
    error = error_of(attempt(lambda job: _fetched())[0])

    assert error["help"] == "await it, in an `async def`"


@pytest.mark.parametrize(
    ("context", "found", "help"),
    [(Person(), "Person", "**model.model_dump()"), ("anna", "str", '"name": value'), ([1], "list", '"name": value')],
)
def test_a_context_that_is_no_dict_is_told_with_what_to_write(context, found, help):
    error = error_of(attempt(lambda job: job.model_copy(update={"payload": {"context": context}}))[0])

    assert error["message"] == f"payload.context of a returned job is {found}, and must be a dict"
    assert help in error["help"]


def test_a_stage_that_yields_and_then_raises_hands_over_nothing():
    def function(job):
        yield follow(job)
        raise ValueError("no further")

    (failed,) = attempt(function)
    assert not failed.successors
    assert not failed.final
    error = error_of(failed)
    assert (error["type"], error["message"]) == ("ValueError", "no further")
    assert "in function" in error["traceback"]
    assert "runtime/execution.py" not in error["traceback"]


def test_more_than_ten_thousand_jobs_are_an_error_that_names_stream():
    assert len(attempt(lambda job: (follow(job) for _ in range(10_000)))[0].successors) == 10_000
    (failed,) = attempt(lambda job: (follow(job) for _ in range(10_001)))
    assert "10,000" in error_of(failed)["message"]
    assert "emit: stream" in error_of(failed)["message"] + error_of(failed)["help"]
    assert failed.final


def test_an_undeclared_port_and_a_reject_are_final():
    def rejects(job):
        raise Reject("encrypted")

    (failed,) = attempt(lambda job: Out("other", follow(job)))
    assert "wires: default, more" in error_of(failed)["message"]
    assert failed.final
    (rejected,) = attempt(rejects)
    assert rejected.final


@pytest.mark.parametrize(("stage", "port"), [("act", "default"), ("act", "more"), ("stream", "default")])
def test_what_postgres_cannot_hold_is_refused_with_the_names_of_the_stage_and_the_port(stage, port):
    def function(job):
        new = follow(job)
        new.payload["context"]["text"] = "a\0b"
        return [Out(port, new)]

    (failed,) = attempt(function, stage=stage)
    assert f"stage {stage!r} returned a job on port {port!r} that cannot be sent" in error_of(failed)["message"]
    assert "NUL" in error_of(failed)["message"]
    assert failed.final


def test_what_an_exception_says_can_be_stored_whatever_is_in_it():
    def function(job):
        raise ValueError("a\0b\ud800" + "x" * 200_000)

    (failed,) = attempt(function)
    assert b"\\u0000" not in failed.detail
    assert len(failed.detail) < 150_000


def test_the_fingerprint_is_of_the_place_and_the_type_and_not_of_the_message():
    def function(job):
        if job.context["kind"] == "key":
            raise KeyError(job.context["text"])
        raise ValueError(job.context["text"])

    first, second, other = (
        error_of(attempt(function, kind=kind, text=text)[0])["fingerprint"]
        for kind, text in [("value", "a"), ("value", "b"), ("key", "a")]
    )
    assert first == second != other


# -- the store ---------------------------------------------------------------------------------------------------------


def test_what_does_not_travel_is_in_the_store_before_the_last_flush_and_that_before_the_hand_over():
    world = World()
    text = {"id": "p", "schema": "PlainText", "properties": {"bodyText": ["long"]}}
    arrived = DatasetJob(
        dataset="d", queue="q", task="t", payload={"entities": [{"id": "doc", "schema": "Document", "properties": {}}]}
    )
    assignment = Assignment(5, 0, "run-1", "act", orjson.dumps(arrived.to_wire()))
    (done,) = execute(assignment, PLAN, loaded(lambda job: job.with_entities([text])), world)
    assert world.store.done == [("add", "p", "doc"), ("settle", "doc")]
    assert b"bodyText" not in done.successors[0].args
    assert orjson.loads(done.detail)["documents"] == ["doc"]


@pytest.mark.parametrize(
    ("attempts", "earlier", "settled"),
    [(0, False, []), (0, True, [("settle", "doc")]), (1, False, [("settle", "doc")])],
)
def test_an_attempt_that_wrote_nothing_is_settled_where_there_may_be_something_to_delete(attempts, earlier, settled):
    world = World(earlier=earlier)
    document = {"id": "doc", "schema": "Document", "properties": {}}
    arrived = DatasetJob(dataset="d", queue="q", task="t", payload={"entities": [document]})
    assignment = Assignment(5, attempts, "run-1", "act", orjson.dumps(arrived.to_wire()))
    list(execute(assignment, PLAN, loaded(lambda job: None), world))
    assert world.store.done == settled


def test_nothing_is_settled_where_the_attempt_fails():
    world = World()

    def function(job):
        with job.get_writer() as writer:
            writer.add({"id": "x"})
        raise ValueError

    attempt(function, world=world)
    assert world.store.done == [("add", "x", "default")]


def test_notes_go_with_the_hand_over_and_not_with_a_failure():
    def notes(job):
        job.skipped("doc-1", "a.sock", "is a socket")

    def fails(job):
        notes(job)
        raise ValueError

    (done,) = attempt(notes)
    assert orjson.loads(done.detail)["notes"] == [
        {"kind": "skipped", "document": "doc-1", "name": "a.sock", "reason": "is a socket"}
    ]
    assert "notes" not in orjson.loads(attempt(fails)[0].detail)


# -- streams -----------------------------------------------------------------------------------------------------------


def stream_of(count: int, changed: int | None = None):
    def function(job):
        for number in range(count):
            yield follow(job, -1 if number == changed else number)

    return function


def recorded(parts: list[Handover]) -> list[tuple[int, str, int]]:
    return [(part.position or 0, part.digest or "", len(part.successors)) for part in parts if part.outcome == "chunk"]


def numbers(parts: list[Handover], stage: str = "end") -> list[int]:
    ways = [way for part in parts for way in part.successors if way.stage == stage]
    return [orjson.loads(way.args)["payload"]["context"]["number"] for way in ways]


@given(st.integers(0, 350), st.integers(0, 4), st.integers(1, 120))
def test_a_repeated_stream_hands_over_exactly_what_was_not_handed_over(count, survived, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "CHUNK_JOBS", size)  # where an earlier attempt cut is not where this one would
        first = attempt(stream_of(count), stage="stream")
    kept = recorded(first)[:survived]
    second = attempt(stream_of(count), stage="stream", chunks=kept)
    assert second[-1].outcome == "done"
    handed = numbers(first[: len(kept)]) + numbers(second)
    assert handed == list(range(count))
    assert numbers(first[: len(kept)], "act") + numbers(second, "act") == list(range(count))


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_repeated_stream_writes_again_what_did_not_travel_of_what_was_handed_over(monkeypatch, survived):
    # Else its end would take out of the store what it has not written itself.
    monkeypatch.setattr(attempts, "CHUNK_JOBS", 2)

    def function(job):
        for number in range(5):
            text = {"id": f"p{number}", "schema": "PlainText", "properties": {"bodyText": ["long"]}}
            yield job.with_entities([text], number=number)

    def streamed(chunks=()) -> tuple[list[Handover], list[Any]]:
        world = World()
        document = {"id": "doc", "schema": "Document", "properties": {}}
        arrived = DatasetJob(dataset="d", queue="q", task="t", payload={"entities": [document]})
        assignment = Assignment(5, 1, "run-1", "stream", orjson.dumps(arrived.to_wire()), chunks=tuple(chunks))
        return list(execute(assignment, PLAN, loaded(function), world)), world.store.done

    first, wrote = streamed()
    assert wrote == [*(("add", f"p{number}", "doc") for number in range(5)), ("settle", "doc")]

    second, again = streamed(recorded(first)[:survived])

    assert again == wrote
    assert numbers(first[:survived]) + numbers(second) == list(range(5))


def test_a_part_that_is_overdue_has_nothing_of_the_job_that_is_being_written_meanwhile(monkeypatch):
    def function(job):
        for number in range(3):
            job.found(f"p{number}", f"{number}.txt")
            text = {"id": f"p{number}", "schema": "PlainText", "properties": {"bodyText": ["long"]}}
            yield job.with_entities([text], number=number)

    running: list[attempts.Attempt] = []
    parts: list[Handover] = []

    class Slow(World):
        """
        Where the second text is written, the part before it becomes overdue, as for the thread that looks for that.
        """

        def __call__(self, dataset: str | None) -> Bindings:
            bindings = super().__call__(dataset)
            done = self.store.done

            class Done(list[Any]):
                def append(self, what: Any) -> None:
                    done.append(what)
                    if what == ("add", "p1", "default"):
                        with monkeypatch.context() as patch, running[0].lock:
                            patch.setattr(attempts, "CHUNK_SECONDS", 0.0)
                            parts.append(running[0].overdue())  # type: ignore[arg-type]

            self.store.done = Done()
            return bindings

    assignment = Assignment(5, 0, "run-1", "stream", args_of())
    parts += execute(assignment, PLAN, loaded(function), Slow(), begun=running.append)

    assert [len(part.successors) for part in parts] == [2, 4]
    notes = [[note["document"] for note in orjson.loads(part.detail)["notes"]] for part in parts]
    assert notes == [["p0"], ["p1", "p2"]]
    again = attempt(function, stage="stream", chunks=recorded(parts))
    assert again[-1].outcome == "done", error_of(again[-1])
    assert numbers(again) == [1, 2]


def test_a_hole_in_what_was_handed_over_is_filled_and_nothing_twice():
    first = attempt(stream_of(350), stage="stream")
    second = attempt(stream_of(350), stage="stream", chunks=[recorded(first)[0], recorded(first)[2]])
    assert numbers([first[0]]) + numbers(second[:1]) + numbers([first[2]]) + numbers(second[1:]) == list(range(350))


@given(st.integers(0, 299))
def test_a_stream_that_differs_fails_with_the_first_position(changed):
    first = attempt(stream_of(350), stage="stream")
    parts = attempt(stream_of(350, changed), stage="stream", chunks=recorded(first))
    assert [part.outcome for part in parts] == ["failed"]
    begin = changed // 100 * 100
    assert f"in jobs {begin} to {begin + 99}" in error_of(parts[-1])["message"]
    assert parts[-1].final


def test_a_stream_that_is_shorter_than_before_fails():
    first = attempt(stream_of(350), stage="stream")
    for count in (250, 200, 0):
        parts = attempt(stream_of(count), stage="stream", chunks=recorded(first))
        assert "differs" in error_of(parts[-1])["message"]


def test_a_part_of_which_nothing_is_routed_has_its_position_too():
    parts = attempt(stream_of(250), stage="last")
    assert [(part.position, len(part.successors)) for part in parts] == [(0, 0), (100, 0), (200, 0)]
    assert [orjson.loads(part.detail)["ended"] for part in parts] == [100, 100, 50]
    assert len(attempt(stream_of(250), stage="last", chunks=recorded(parts))) == 1


def test_a_part_of_large_jobs_is_cut_by_its_size(monkeypatch):
    monkeypatch.setattr(attempts, "CHUNK_BYTES", 20_000)

    def function(job):
        for number in range(100):
            yield job.with_entities([], number=number, text="x" * 999)

    parts = attempt(function, stage="stream")
    assert numbers(parts) == list(range(100))
    assert all(15 < len(numbers([part])) <= 20 for part in parts[:-1])


def test_a_slow_stream_is_handed_over_as_it_comes(monkeypatch):
    monkeypatch.setattr(attempts, "CHUNK_SECONDS", 0.01)

    def function(job):
        for number in range(3):
            time.sleep(0.02)
            yield follow(job, number)

    assert [len(part.successors) for part in attempt(function, stage="stream")] == [2, 2, 2, 0]


# -- only the first ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 350), st.integers(1, 350), st.integers(0, 4))
def test_of_a_stream_the_first_are_taken_also_when_it_is_repeated(count, first, survived):
    whole = attempt(stream_of(count), stage="stream", first=first)
    kept = recorded(whole)[:survived]
    again = attempt(stream_of(count), stage="stream", chunks=kept, first=first)

    assert numbers(whole) == list(range(min(count, first)))
    assert again[-1].outcome == "done"
    assert numbers(whole[: len(kept)]) + numbers(again) == numbers(whole)


@pytest.mark.parametrize("stage", ["act", "stream"])
def test_a_generator_is_not_asked_for_more_than_the_first_and_is_closed(stage):
    done: list[Any] = []

    def function(job):
        try:
            for number in range(9):
                done.append(number)
                yield follow(job, number)
        finally:
            done.append("closed")

    async def alike(job):
        try:
            for number in range(9):
                done.append(number)
                yield follow(job, number)
        finally:
            done.append("closed")

    assert numbers(attempt(function, stage=stage, first=3)) == [0, 1, 2]
    assert done == [0, 1, 2, "closed"]
    done.clear()
    assert numbers(attempt_async(alike, stage=stage, first=3)) == [0, 1, 2]
    assert done == [0, 1, 2, "closed"]


def test_of_a_list_the_first_are_taken():
    async def alike(job):
        return [follow(job, number) for number in range(9)]

    assert numbers(attempt(lambda job: [follow(job, number) for number in range(9)], first=3)) == [0, 1, 2]
    assert numbers(attempt_async(alike, first=3)) == [0, 1, 2]
    assert numbers(attempt(lambda job: follow(job, 7), first=3)) == [7]


# -- async -------------------------------------------------------------------------------------------------------------


def test_async_functions_and_generators_are_executed_alike():
    async def function(job):
        await asyncio.sleep(0)
        return [follow(job), Out("more", follow(job))]

    async def generator(job):
        for number in range(250):
            yield follow(job, number)

    assert [len(part.successors) for part in attempt_async(function)] == [2]
    assert [len(part.successors) for part in attempt_async(generator)] == [250]
    first = attempt_async(generator, stage="stream")
    assert [(part.position, part.outcome) for part in first] == [(0, "chunk"), (100, "chunk"), (200, "done")]
    second = attempt_async(generator, stage="stream", chunks=recorded(first)[:1])
    assert numbers(first[:1]) + numbers(second) == list(range(250))


def test_an_async_stream_does_not_wait_while_it_rests(monkeypatch):
    monkeypatch.setattr(attempts, "CHUNK_SECONDS", 0.2)

    async def function(job):
        for number in range(4):
            if number == 2:
                await asyncio.sleep(1.0)
            yield follow(job, number)

    parts = attempt_async(function, stage="stream")
    assert numbers(parts[:1]) == [0, 1]
    assert numbers(parts) == [0, 1, 2, 3]


def test_an_async_stage_ends_at_its_timeout():
    async def function(job):
        await asyncio.sleep(10)

    async def generator(job):
        yield follow(job)
        await asyncio.sleep(10)

    for stage in (function, generator):
        (failed,) = attempt_async(stage, timeout=0.05)
        error = error_of(failed)
        assert error["message"] == "stage 'act' took longer than its timeout of 0.05 s"
        # Where it was then.
        assert error["place"].startswith(f"{__name__}:test_an_async_stage_ends_at_its_timeout.<locals>.")
        assert "sleep(" in error["traceback"]
        assert not failed.final


def test_an_async_stage_that_waits_for_something_cancelled_has_failed():
    async def function(job):
        other = asyncio.create_task(asyncio.sleep(10))
        other.cancel("too slow")
        await other

    async def generator(job):
        yield follow(job)
        await function(job)

    for stage, timeout in itertools.product((function, generator), (None, 10.0)):
        (failed,) = attempt_async(stage, timeout=timeout)
        assert error_of(failed)["type"] == "asyncio.exceptions.CancelledError"
        assert not failed.final


def test_a_cancelled_async_stage_hands_over_nothing_and_is_closed():
    closed = []

    async def function(job):
        try:
            yield follow(job)
            await asyncio.sleep(10)
        finally:
            closed.append(True)

    async def body():
        task = asyncio.create_task(collect())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    parts: list[Handover] = []

    async def hand(part: Handover) -> None:
        parts.append(part)

    async def collect():
        assignment = Assignment(5, 0, "run-1", "act", args_of())
        parts.append(await execute_async(assignment, PLAN, loaded(function, True), World(), hand=hand))

    asyncio.run(body())
    assert (parts, closed) == ([], [True])


# -- functions ---------------------------------------------------------------------------------------------------------


def test_a_worker_does_not_take_a_task_that_will_not_find_what_it_imports(tmp_path, monkeypatch):
    (tmp_path / "typist.py").write_text(
        "from oaflow import stage\n"
        "__needs__ = {'ribbons': ('typist[ink]', ('typewriter_ribbons',)), 'keys': ('typist', ('json',))}\n"
        "@stage\ndef ribbons(job): ...\n@stage\ndef keys(job): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(TaskError, match="needs 'typewriter_ribbons', which is not installed") as caught:
        load("typist.ribbons")

    assert caught.value.help == "pip install 'typist[ink]'"
    assert load("typist.keys").task == "typist.keys"


def with_options(job: DatasetJob, *, source: list[Path], limit: float = 1.0) -> None: ...


setattr(with_options, STAGE_ATTRIBUTE, StageOptions())


def test_options_come_as_the_annotations_want_them():
    found = load(f"{__name__}.with_options")
    assert found.arguments({"source": ["/a", "/b"], "limit": 2}) == {"source": [Path("/a"), Path("/b")], "limit": 2.0}
    with pytest.raises(TaskError, match="option 'limit' is 'much'"):
        found.arguments({"limit": "much"})


def test_an_annotation_that_only_type_checkers_can_resolve_takes_no_other_along(tmp_path, monkeypatch):
    (tmp_path / "postman.py").write_text(
        "from __future__ import annotations\n"
        "from pathlib import Path\n"
        "from typing import TYPE_CHECKING\n"
        "from oaflow import DatasetJob, stage\n"
        "if TYPE_CHECKING:\n    from collections.abc import Iterator\n"
        "class Letter(DatasetJob): ...\n"
        "@stage\ndef bring(job: Letter, *, folder: Path) -> Iterator[Letter]: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    found = load("postman.bring")

    assert [model.__name__ for model in found.models] == ["Letter"]
    assert found.arguments({"folder": "/a"}) == {"folder": Path("/a")}


CHOOSING = plan_of(
    *(
        bound_stage(
            emit,
            f"m.{emit}",
            PlannedEdge(to="people", where={"schema": ("Person",)}),
            PlannedEdge(to="rest", where="has(e.keywords, 'kept')", load=True),
            emit=emit,
        )
        for emit in ("success", "stream", "always")
    ),
    bound_stage("people", "m.people"),
    bound_stage("rest", "m.rest"),
)


@pytest.mark.parametrize("stage", ["success", "stream", "always"])
@pytest.mark.parametrize("is_async", [False, True])
def test_edges_are_decided_however_a_stage_hands_over(stage: str, is_async: bool):
    entities = [
        {"id": "p", "schema": "Person", "properties": {}},
        {"id": "d", "schema": "Document", "properties": {"keywords": ["kept"], "bodyText": ["long"]}},
        {"id": "x", "schema": "Document", "properties": {"keywords": []}},
    ]

    class Stored(Store):
        def load(self, dataset: str, ids: Any) -> Any:
            self.done.append(("load", tuple(ids)))
            return iter(())

    def emits(job: DatasetJob):
        yield job.with_entities(entities)
        if stage == "always":
            raise ValueError("too late")

    async def emits_async(job: DatasetJob):
        for one in emits(job):
            yield one

    world = World()
    world.store = Stored()
    assignment = Assignment(5, 0, "run-1", stage, args_of())
    if is_async:
        parts: list[Handover] = []

        async def hand(part: Handover) -> None:
            parts.append(part)

        run = execute_async(assignment, CHOOSING, loaded(emits_async, True), world, hand=hand)
        last = asyncio.run(run)
    else:
        *parts, last = execute(assignment, CHOOSING, loaded(emits), world)

    assert last.outcome == ("failed" if stage == "always" else "done")
    handed = [following for part in (*parts, last) for following in part.successors]
    assert [following.stage for following in handed] == ["people", "rest"]
    counted = orjson.loads(last.detail)
    assert counted["unmatched"] == 1
    assert counted["lost"][0][3:] == [["x"], 1]
    # Decided first, and then what does not travel is written.
    assert [said[0] for said in world.store.done if said[0] in ("load", "add")] == ["load", "add"]


def test_a_condition_that_fails_is_final_and_hands_over_nothing():
    plan = plan_of(
        bound_stage("act", "m.act", PlannedEdge(to="end", when="job.context.n < 3")), bound_stage("end", "m.end")
    )

    def emits(job: DatasetJob):
        return job.with_entities([], n="many")

    (last,) = execute(Assignment(5, 0, "run-1", "act", args_of()), plan, loaded(emits), World())

    assert (last.outcome, last.final, last.successors) == ("failed", True, ())
    error = orjson.loads(last.detail)["error"]
    assert error["type"] == "ConditionError"
    assert "`when` of the edge from stage 'act', port 'default', to 'end'" in error["message"]
