"""
When a worker claims, and what it does where there is no room any more by then.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from oaflow.ledger.rows import Claimed
from oaflow.runtime.claiming import Claiming

TRIPLES = {True: [("q", "t.in_loop", "run-aaaaaa")], False: [("q", "t.in_executor", "run-aaaaaa")]}
SUSPECT = Claimed(1, "q", "t.in_loop", 50, "{}", "{}", 1, 0, 0, suspect=True)


class Worker:
    """
    What stands in for a worker to which the first claim brings a job that is to run alone.
    """

    def __init__(self) -> None:
        self.alone = False
        self.asked: list[bool] = []  # whether for async stages

    def room(self, in_loop: bool) -> int:
        return 0 if self.alone else 1

    async def send(self, what: str, call: Any, worker: int, triples: list[tuple[str, str, str]], most: int) -> Any:
        self.asked.append(triples == TRIPLES[True])
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
            appetite=cast(Any, SimpleNamespace(room=self.room, left=lambda in_loop, priority: None)),
            taking=cast(Any, self),
            passages=cast(Any, SimpleNamespace(refresh=no_change, triples=lambda in_loop: TRIPLES[in_loop])),
            lanes=cast(Any, SimpleNamespace(due=[], look=lambda: None)),
            resting=cast(Any, SimpleNamespace(look=nothing, open=lambda triples: triples)),
            upkeep=cast(Any, SimpleNamespace(no_room=None)),
            closing=cast(Any, SimpleNamespace(any=False)),
            poll=0.01,
            worker=lambda: 1,
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
