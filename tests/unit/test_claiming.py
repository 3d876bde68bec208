"""
When a worker claims, and what it does where there is no room any more by then.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oaflow.ledger.rows import Claimed
from oaflow.runtime.claiming import Claiming
from oaflow.runtime.lanes import Lanes, Way

TRIPLES = {True: [("q", "t.in_loop", "run-aaaaaa")], False: [("q", "t.in_executor", "run-aaaaaa")]}
SUSPECT = Claimed(1, "q", "t.in_loop", 50, "{}", "{}", 1, 0, 0, suspect=True)


class Worker:
    """
    What stands in for a worker to which the first claim brings a job that is to run alone.
    """

    poll, worker = 0.01, 1
    lanes: Any = SimpleNamespace(due=[], look=lambda: None)

    def __init__(self) -> None:
        self.alone = False
        self.asked: list[bool] = []  # whether for async stages

    def room(self, in_loop: bool) -> int:
        return 0 if self.alone else 1

    def triples(self, in_loop: bool) -> list[tuple[str, str, str]]:
        return TRIPLES[in_loop]

    async def send(self, what: str, call: Any, worker: int, *arguments: Any) -> Any:
        self.asked.append(arguments[0] == TRIPLES[True])
        return [SUSPECT] if len(self.asked) == 1 else []

    async def take(self, row: Claimed) -> bool:
        self.alone = row.suspect
        return True

    def claiming(self) -> Claiming:
        async def nothing(*_: Any) -> None: ...

        async def no_change() -> tuple[bool, bool]:
            return False, False

        return Claiming(
            wire=cast(Any, self),
            hand=cast(Any, SimpleNamespace(take_back=lambda which: [])),
            appetite=cast(
                Any,
                SimpleNamespace(room=self.room, room_for=lambda lane: 1, left=lambda in_loop, priority: None),
            ),
            taking=cast(Any, self),
            passages=cast(Any, SimpleNamespace(refresh=no_change, triples=self.triples)),
            lanes=self.lanes,
            resting=cast(Any, SimpleNamespace(look=nothing, open=lambda triples: triples)),
            upkeep=cast(Any, SimpleNamespace(no_room=None)),
            closing=cast(Any, SimpleNamespace(any=False)),
            poll=self.poll,
            advertise=nothing,
            give_back=nothing,
            feed=lambda: None,
            start_over=nothing,
        )


def test_a_claim_for_which_there_is_no_room_any_more_is_left_until_there_is() -> None:
    async def body() -> None:
        worker = Worker()
        claiming = worker.claiming()
        claims = asyncio.create_task(claiming.keep_claiming())
        async with asyncio.timeout(30):
            while not worker.asked:
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)  # several looks
            assert worker.asked == [True]
            worker.alone = False
            while {*worker.asked[1:]} != {True, False}:
                await asyncio.sleep(0)
            claiming.stop()
            await claims

    asyncio.run(body())


class Listener(Worker):
    """
    What stands in for a worker that hears of a job while its first claims are on the wire: too late for them.

    Args:
        ways: what has a limit. Where there is any, there is nothing else to claim.
    """

    poll = 3600.0

    def __init__(self, *ways: Way) -> None:
        super().__init__()
        self.lanes = Lanes(lambda: None)
        self.lanes.take(ways)
        self.limited = bool(ways)
        self.claims = self.claiming()

    def triples(self, in_loop: bool) -> list[tuple[str, str, str]]:
        return [] if self.limited else TRIPLES[in_loop]

    async def send(self, what: str, call: Any, worker: int, *arguments: Any) -> Any:
        in_loop = arguments[0] == TRIPLES[True]
        self.asked.append(in_loop)
        if self.asked.count(in_loop) == 1:
            self.claims.due()
        return ([], None) if self.limited else []


@pytest.mark.parametrize("ways", [(), (Way("q", "t.limited", at_once=True, in_loop=False, runs=("r",)),)])
def test_what_is_heard_while_a_claim_is_on_the_wire_is_looked_for_after_it(ways: tuple[Way, ...]) -> None:
    async def body() -> None:
        worker = Listener(*ways)
        claims = asyncio.create_task(worker.claims.keep_claiming())
        expected = 2 if ways else 4
        async with asyncio.timeout(30):
            while len(worker.asked) < expected:
                await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert len(worker.asked) == expected  # and once: nothing more was heard
        worker.claims.stop()
        await claims

    asyncio.run(body())
