"""
When a worker asks for jobs of a task that has a limit.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from oaflow.runtime.feeding import put_ahead
from oaflow.runtime.lanes import SHORTEST, Lane, Lanes, Way

AT_ONCE = Way("service", "t.asks", at_once=True, in_loop=False, runs=("r",))
OFTEN = AT_ONCE._replace(at_once=False)


class Ground:
    """
    Lanes of one task that was asked for, and how often its moment has come.
    """

    def __init__(self, way: Way = AT_ONCE) -> None:
        self.woken = 0
        self.lanes = Lanes(self.wake)
        assert self.lanes.take([way]) == {("service", "t.asks")}
        (self.lane,) = self.lanes.due
        self.lane.due = False

    def wake(self) -> None:
        self.woken += 1

    @property
    def due(self) -> list[Lane]:
        return self.lanes.due


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())  # pyright: ignore[reportArgumentType]


@in_loop
async def test_what_a_limit_keeps_waiting_is_asked_for_when_the_database_said_and_not_with_each_notification():
    ground = Ground()
    ground.lanes.answered(ground.lane, full=False, again=0.1)

    ground.lanes.look()
    assert ground.due == []

    await asyncio.sleep(0.15)
    assert (ground.due, ground.woken) == ([ground.lane], 1)


@in_loop
async def test_where_no_limit_stands_in_the_way_a_notification_is_enough():
    ground = Ground()
    ground.lanes.answered(ground.lane, full=False, again=None)
    assert ground.due == []

    ground.lanes.look()
    assert ground.due == [ground.lane]


@in_loop
async def test_what_brought_all_that_was_asked_for_may_have_more():
    ground = Ground()
    ground.lanes.answered(ground.lane, full=True, again=None)

    assert ground.due == [ground.lane]


@in_loop
async def test_the_end_of_a_job_makes_a_place_and_no_rate_faster():
    places, rate = Ground(), Ground(OFTEN)
    for ground in (places, rate):
        ground.lanes.answered(ground.lane, full=False, again=60.0)
        ground.lanes.ended("service", "t.asks")
        ground.lanes.ended("service", "t.other")

    assert places.due == [places.lane]
    assert rate.due == []

    rate.lanes.changed()
    assert rate.due == [rate.lane]


@in_loop
async def test_no_moment_is_so_near_that_every_job_is_asked_for_by_itself():
    ground = Ground(OFTEN)
    began = asyncio.get_running_loop().time()
    ground.lanes.answered(ground.lane, full=False, again=0.0001)

    await asyncio.sleep(SHORTEST / 5)
    # Where the machine lets go of it for longer, it is asked for by now.
    assert ground.woken == 0 or asyncio.get_running_loop().time() - began >= SHORTEST
    await asyncio.sleep(SHORTEST * 2)
    assert ground.woken == 1


@in_loop
async def test_a_job_that_ends_while_the_claim_is_on_the_wire_is_not_forgotten():
    ground = Ground()
    ground.lanes.ended("service", "t.asks")
    ground.lanes.answered(ground.lane, full=False, again=0.2)

    assert ground.due == [ground.lane]


@in_loop
async def test_a_limit_that_is_gone_wakes_nobody_any_more():
    ground = Ground()
    ground.lanes.answered(ground.lane, full=False, again=SHORTEST)

    assert ground.lanes.take([]) == set()
    assert ground.lanes.of("service", "t.asks") is None
    await asyncio.sleep(SHORTEST * 2)
    assert ground.woken == 0


@given(st.lists(st.integers(0, 3)), st.integers(0, 3))
def test_a_job_is_put_behind_all_that_is_more_urgent_and_before_the_rest(priorities: list[int], priority: int):
    jobs = deque((number, index) for index, number in enumerate(sorted(priorities, reverse=True)))
    before = list(jobs)

    put_ahead(jobs, (priority, -1), lambda job: job[0])

    place = list(jobs).index((priority, -1))
    assert [number for number, _ in jobs] == sorted([*priorities, priority], reverse=True)
    assert all(number > priority for number, _ in list(jobs)[:place])
    assert [job for job in jobs if job[1] >= 0] == before


def test_what_is_left_to_others_is_not_asked_for_until_there_is_time_or_they_had_theirs():
    way, other = (Way("q", f"t.{name}", at_once=True, in_loop=False, runs=("r",)) for name in ("left", "other"))
    woken: list[bool] = []

    async def body() -> None:
        lanes = Lanes(lambda: woken.append(True))
        lanes.take([way, other])
        lane = lanes.of("q", "t.left")
        assert lane is not None

        lanes.leave([("q", "t.left"), ("q", "t.unlimited")], 60.0)
        lanes.look()
        assert [due.way for due in lanes.due] == [other]
        lanes.has_time()
        assert lane.due

        lanes.leave([("q", "t.left")], 0.01)
        lanes.look()
        assert not lane.due
        while not woken:
            await asyncio.sleep(0.01)
        assert (lane.due, lane.left) == (True, False)

    asyncio.run(body())
