"""
Slots run what they are given, each job once, suspects alone, and stay usable after a cancellation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from oaflow.runtime.slots import SLOTS, Slots


def job(id: int, *, suspect: bool = False, cancelled: bool = False) -> Any:
    return SimpleNamespace(row=SimpleNamespace(id=id, suspect=suspect), passage=SimpleNamespace(cancelled=cancelled))


class Ground:
    """
    Slots, and what became of the jobs that they got.
    """

    def __init__(self, act: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.ran: list[int] = []
        self.beside: dict[int, int] = {}
        self.dropped: list[int] = []
        self.freed = 0
        self.closed = self.busy = False
        self._act = act
        self.slots = Slots(
            self.attempt,
            closed=lambda: self.closed,
            busy=lambda: self.busy,
            drop=lambda held: self.dropped.append(held.row.id),
            freed=self.count,
        )

    def count(self) -> None:
        self.freed += 1

    async def attempt(self, held: Any) -> None:
        self.ran.append(held.row.id)
        self.beside[held.row.id] = self.slots.running
        if self._act:
            await self._act(held.row.id)

    async def fill(self) -> None:
        """
        Begin what there is room for, one slot after the other.
        """
        self.slots.fill()
        for _ in range(4 * SLOTS):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        for _ in range(5):  # a slot takes its first job in a later turn than it was begun in
            await asyncio.sleep(0)
        while self.slots.running:
            await asyncio.sleep(0)


def test_each_job_runs_once_and_frees_its_slot() -> None:
    async def main() -> None:
        ground = Ground(lambda _: asyncio.sleep(0.01))
        for id in range(4 * SLOTS):
            ground.slots.put(job(id))
        ground.slots.fill()
        await ground.settle()
        assert sorted(ground.ran) == list(range(4 * SLOTS))
        assert ground.freed == 4 * SLOTS
        assert max(ground.beside.values()) == SLOTS

    asyncio.run(main())


def test_stages_that_never_wait_let_others_have_a_turn() -> None:
    async def main() -> None:
        ground = Ground()
        for id in range(20_000):
            ground.slots.put(job(id))
        turns = 0
        ground.slots.fill()
        while turns == 0 or ground.slots.running:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 5

    asyncio.run(main())


def test_what_goes_first_goes_before_all_that_waits() -> None:
    async def main() -> None:
        ground = Ground()
        for id in range(3):
            ground.slots.put(job(id))
        ground.slots.put_first(job(9))
        ground.slots.fill()
        await ground.settle()
        assert ground.ran == [9, 0, 1, 2]

    asyncio.run(main())


def test_a_suspect_runs_alone_and_nothing_begins_beside_it() -> None:
    async def main() -> None:
        ground = Ground(lambda _: asyncio.sleep(0.001))
        ground.busy = True
        ground.slots.put(job(1, suspect=True))
        ground.slots.put(job(2))
        ground.slots.fill()
        assert (ground.slots.running, ground.slots.one_alone) == (0, True)
        ground.busy = False
        ground.slots.fill()
        ground.slots.fill()
        await ground.settle()
        assert ground.ran == [1, 2]
        assert ground.beside == {1: 1, 2: 1}
        assert not ground.slots.one_alone

    asyncio.run(main())


def test_a_job_that_is_cancelled_frees_its_slot_for_the_next() -> None:
    async def main() -> None:
        never = asyncio.Event()
        ground = Ground(lambda id: never.wait() if id == 0 else asyncio.sleep(0))
        ground.slots.put(job(0))
        ground.slots.fill()
        await asyncio.sleep(0)
        ground.slots.cancel(0)
        ground.slots.put(job(1))
        await ground.settle()
        assert ground.ran == [0, 1]
        assert ground.freed == 2

    asyncio.run(main())


def test_a_job_that_cancels_its_own_task_harms_no_other() -> None:
    async def main() -> None:
        async def act(id: int) -> None:
            if id in (0, 1):
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(id)  # of one it comes now, of the other where it waits next
                if id == 1:
                    task.cancel()
            else:
                await asyncio.sleep(0)
                ended.append(id)
            assert not ground.slots.is_cancelled(id)

        ended: list[int] = []
        ground = Ground(act)
        for id in range(6):
            ground.slots.put(job(id))
        ground.slots.fill()
        await ground.settle()
        assert sorted(ground.ran) == list(range(6))
        assert sorted(ended) == [2, 3, 4, 5]
        assert ground.freed == 6

    asyncio.run(main())


def test_it_is_known_which_attempts_were_cancelled_here() -> None:
    async def main() -> None:
        known: list[bool] = []

        async def act(id: int) -> None:
            try:
                await asyncio.sleep(10)
            finally:
                known.append(ground.slots.is_cancelled(id))

        ground = Ground(act)
        ground.slots.put(job(0))
        ground.slots.put(job(1))
        await ground.fill()
        ground.slots.cancel(0)
        await asyncio.sleep(0)
        ground.slots.cancel_all()
        await ground.settle()
        assert known == [True, True]
        assert not ground.slots.is_cancelled(0)

    asyncio.run(main())


def test_nothing_begins_while_it_is_closed_and_jobs_of_cancelled_runs_are_dropped() -> None:
    async def main() -> None:
        ground = Ground()
        ground.closed = True
        ground.slots.put(job(1))
        ground.slots.put(job(2, cancelled=True))
        ground.slots.fill()
        assert ground.slots.running == 0
        ground.closed = False
        ground.slots.fill()
        await ground.settle()
        assert (ground.ran, ground.dropped) == ([1], [2])
        ground.slots.put(job(3))
        ground.slots.put(job(4, suspect=True))
        assert [held.row.id for held in ground.slots.take_back()] == [3, 4]
        assert ground.slots.waiting == 0

    asyncio.run(main())


def test_another_runs_in_the_place_of_one_that_rests() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        ground = Ground(lambda _: gate.wait())
        for id in range(SLOTS + 2):
            ground.slots.put(job(id))
        await ground.fill()
        assert ground.slots.waiting == 2

        assert ground.slots.rest(0)
        assert ground.slots.rest(0)
        await ground.fill()
        assert ground.slots.waiting == 1
        ground.slots.go_on(0)
        await ground.fill()
        assert ground.slots.waiting == 1
        gate.set()
        await ground.settle()
        assert sorted(ground.ran) == list(range(SLOTS + 2))

    asyncio.run(main())


def test_nothing_rests_for_ever_where_all_do_or_a_suspect_waits() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        ground = Ground(lambda _: gate.wait())
        for id in range(2 * SLOTS):
            ground.slots.put(job(id))
        await ground.fill()
        assert [ground.slots.rest(id) for id in range(SLOTS)] == [True] * SLOTS
        await ground.fill()
        assert [ground.slots.rest(id) for id in range(SLOTS, 2 * SLOTS)] == [False] * SLOTS
        assert not ground.slots.rest(1000)
        ground.slots.put(job(999, suspect=True))
        assert not ground.slots.rest(0)
        gate.set()
        await ground.settle()

    asyncio.run(main())
