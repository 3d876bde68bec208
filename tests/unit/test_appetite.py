"""
How much a worker takes: enough for a moment, never so much that others wait for it or the urgent for the rest.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oaflow.ledger.rows import Completion, Successor
from oaflow.ledger.wire import Wire
from oaflow.runtime import dispatcher, feeder
from oaflow.runtime.appetite import BUFFER, Appetite
from oaflow.runtime.lanes import Lane, Way
from oaflow.runtime.options import Options
from oaflow.runtime.pace import Pace
from oaflow.runtime.slots import SLOTS
from oaflow.settings import Settings

RUN = "run-aaaaaa"
EXECUTORS = 2
KINDS = [pytest.param(True, id="async"), pytest.param(False, id="sync")]


@dataclass
class Kept:
    """
    What stands in for the hand, the slots and the runs of a worker: it says what the test has put into it.
    """

    waits: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    coming: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    next_here: int | None = None  # the priority of what is next of all that waits here
    held: set[int] = field(default_factory=set[int])
    at_it: bool = False  # whether a job of the task that has a limit is in hand
    running: int = 0
    free: int = EXECUTORS
    one_alone: bool = False
    closed: bool = False
    full: bool = False
    state: str = "running"
    serves: bool = True
    in_loop: bool = True  # where the stages of these tests run

    def waiting(self, in_loop: bool) -> int:
        return self.waits[in_loop]

    def urgency(self, in_loop: bool) -> int | None:
        return self.next_here

    def has_of(self, lane: Lane) -> bool:
        return bool(self.waits[lane.way.in_loop])

    def is_at(self, lane: Lane) -> bool:
        return self.at_it

    def get(self, key: Any) -> Any:
        if key == RUN:
            return SimpleNamespace(state=self.state)
        return SimpleNamespace(row=SimpleNamespace(task="t.a")) if key in self.held else None

    def probe_of(self, task: str) -> Any:
        return SimpleNamespace(is_async=self.in_loop)

    def works_on(self, queue: str, task: str, run: str) -> bool:
        return self.serves


@pytest.fixture
def kept() -> Kept:
    return Kept()


def appetite(kept: Kept, seconds: float = 0.05) -> Appetite:
    """
    Of a worker whose attempts take so long.
    """
    pace = Pace()
    for stage in "ab":
        for _ in range(200):
            pace.saw(RUN, stage, seconds, in_loop=True)
            pace.saw(RUN, stage, seconds, in_loop=False)
    stands_in = cast(Any, kept)
    return Appetite(
        stands_in, stands_in, pace, stands_in,
        executors=EXECUTORS, free=lambda: kept.free, closed=lambda: kept.closed, full=lambda: kept.full,
        coming=lambda in_loop: kept.coming[in_loop],
    )  # fmt: skip


@pytest.mark.parametrize("in_loop", KINDS)
def test_a_worker_takes_the_work_of_200_ms_and_of_slow_stages_one_job_a_place(kept: Kept, in_loop: bool) -> None:
    places = SLOTS if in_loop else EXECUTORS
    room = {seconds: appetite(kept, seconds).room(in_loop) for seconds in (0.0001, 0.01, 0.05, 0.2, 10.0)}

    assert room[0.0001] == BUFFER
    assert room[0.01] == pytest.approx(min(BUFFER, places * 20), abs=1)
    assert room[0.05] == pytest.approx(places * 4, abs=1)
    assert room[0.2] == room[10.0] == places


@pytest.mark.parametrize("in_loop", KINDS)
def test_nothing_is_claimed_before_half_of_it_is_done_and_then_what_is_missing(kept: Kept, in_loop: bool) -> None:
    hungry = appetite(kept)
    wanted = hungry.room(in_loop)

    for waits in range(wanted + 10):
        # What is on the wire and will wait here counts, too.
        kept.waits[in_loop], kept.coming[in_loop] = waits - waits // 3, waits // 3
        assert hungry.room(in_loop) == (wanted - waits if waits <= wanted // 2 else 0)


@pytest.mark.parametrize("why", ["full", "one_alone"])
def test_nothing_is_taken_while_answers_are_outstanding_or_a_suspect_runs(kept: Kept, why: str) -> None:
    setattr(kept, why, True)
    hungry = appetite(kept)

    assert [hungry.room(True), hungry.room(False), hungry.room_for(lane(at_once=True)), hungry.room_for(lane())] == [
        0
    ] * 4


def lane(*, at_once: bool = False, in_loop: bool = True, rated: bool = False) -> Lane:
    return Lane(Way("q", "t.a", at_once, in_loop, (RUN,), rated=rated))


def test_of_what_runs_so_many_at_once_a_worker_takes_what_it_can_begin_and_one_for_its_turn(kept: Kept) -> None:
    hungry = appetite(kept)
    assert hungry.room_for(lane(at_once=True, in_loop=False)) == EXECUTORS
    kept.free, kept.running = 0, SLOTS

    assert hungry.room_for(lane(at_once=True)) == hungry.room_for(lane(at_once=True, in_loop=False)) == 1
    kept.waits = {True: 1, False: 1}
    assert hungry.room_for(lane(at_once=True)) == hungry.room_for(lane(at_once=True, in_loop=False)) == 0


def test_none_of_it_waits_behind_another_of_it_while_a_worker_that_is_free_could_begin_it(kept: Kept) -> None:
    hungry = appetite(kept)
    kept.free, kept.running, kept.at_it = 0, SLOTS, True

    assert hungry.room_for(lane(at_once=True)) == hungry.room_for(lane(at_once=True, in_loop=False)) == 0
    kept.at_it = False
    assert hungry.room_for(lane(at_once=True)) == hungry.room_for(lane(at_once=True, in_loop=False)) == 1


@pytest.mark.parametrize("in_loop", KINDS)
def test_of_what_begins_so_often_none_is_taken_while_one_of_it_has_not_begun(kept: Kept, in_loop: bool) -> None:
    hungry = appetite(kept)
    assert hungry.room_for(lane(in_loop=in_loop, rated=True)) == hungry.room_for(lane(in_loop=in_loop)) > 1
    kept.waits[in_loop] = 1

    assert hungry.room_for(lane(in_loop=in_loop, rated=True)) == 0
    assert hungry.room_for(lane(in_loop=in_loop)) > 0  # it has locks only


# -- what follows ------------------------------------------------------------------------------------------------------


def where(hungry: Appetite, *, priority: int = 50, first: bool = False, **more: Any) -> bool | None:
    """
    Where a worker goes on with a successor of job 7 itself.
    """
    parent = Completion(7, 0, more.pop("outcome", "done"), RUN, "a", None, 1.0, 2.0)
    return hungry.places()(parent, Successor("q", "t.b", "b", priority, b"{}", **more), first)


@pytest.mark.parametrize("in_loop", KINDS)
def test_a_worker_goes_on_with_what_follows_only_before_what_waits(kept: Kept, in_loop: bool) -> None:
    kept.in_loop = in_loop
    hungry = appetite(kept)
    assert where(hungry) is in_loop

    for kind in (True, False):  # what the last claim of either left in the queue
        hungry.left(kind, 60)
        assert (where(hungry, priority=59), where(hungry, priority=60)) == (None, in_loop)
        hungry.left(kind, None)
    kept.next_here = 70
    assert (where(hungry, priority=69), where(hungry, priority=70)) == (None, in_loop)
    assert where(hungry, priority=69, first=True) is None


@pytest.mark.parametrize("in_loop", KINDS)
def test_half_of_what_a_worker_takes_is_left_to_claims(kept: Kept, in_loop: bool) -> None:
    kept.in_loop = in_loop
    hungry = appetite(kept)
    half = hungry.room(in_loop) // 2

    kept.waits[in_loop] = half - 1
    assert where(hungry) is in_loop
    kept.coming[in_loop] = 1
    assert where(hungry) is None
    kept.waits[in_loop] = 10 * half
    assert where(hungry) is None


@pytest.mark.parametrize("in_loop", KINDS)
def test_the_first_that_follows_takes_the_place_of_what_has_ended_where_both_are_fast(
    kept: Kept, in_loop: bool
) -> None:
    kept.in_loop, kept.waits[in_loop], kept.held = in_loop, 10 * BUFFER, {7}
    fast = appetite(kept, 0.001)

    assert where(fast, first=True) is in_loop
    assert where(fast, first=False) is None
    assert where(fast, first=True, outcome="chunk") is None  # that one has not ended
    assert where(appetite(kept, 1.0), first=True) is None
    kept.held = set()
    assert where(fast, first=True) is None


@pytest.mark.parametrize(
    "why", [{"state": "paused"}, {"closed": True}, {"one_alone": True}, {"serves": False}, {"collect": "[]"}]
)
def test_what_may_not_begin_now_and_here_goes_through_the_queue(kept: Kept, why: dict[str, Any]) -> None:
    hungry, collect = appetite(kept), why.get("collect")
    assert where(hungry) is True

    for name, value in why.items():
        if name != "collect":
            setattr(kept, name, value)

    assert where(hungry, collect=collect) is None


# -- how a worker puts it together -------------------------------------------------------------------------------------


def told(monkeypatch: pytest.MonkeyPatch, whom: str, what: str, **stand_ins: Any) -> Any:
    """
    What a worker gives one of its parts, where others are stood in for.
    """
    given: list[Any] = []
    for name, part in stand_ins.items():
        monkeypatch.setattr(dispatcher, name, lambda *_, part=part, **__: part)
    monkeypatch.setattr(dispatcher, whom, lambda *_, **named: given.append(named[what]))
    dispatcher.Dispatcher(cast(Wire, None), Options(conninfo=str, settings=Settings(), executors=1), plain={9})
    return given[0]


def test_what_a_worker_goes_on_with_is_named_by_its_heart_while_it_is_on_the_wire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = SimpleNamespace(on_wire=[7, 8], begin=None, coming=None)

    mine = told(monkeypatch, "Heart", "mine", Continuation=sent)

    assert sorted(mine()) == [7, 8, 9]


def test_the_database_may_owe_a_worker_500_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    completer = SimpleNamespace(waiting=0)
    full = told(monkeypatch, "Appetite", "full", Completer=completer)

    for completer.waiting, expected in ((0, False), (feeder.UNANSWERED, False), (feeder.UNANSWERED + 1, True)):
        assert full() is expected
    assert feeder.UNANSWERED == 500
