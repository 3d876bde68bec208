"""
What a worker goes on with itself is in its hands from the moment in which it is sent, under an id that stays.
"""

import asyncio
from typing import Any, cast

import psycopg

from oaflow.ledger.rows import Completion, Successor
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.continuation import BLOCK, Continuation


class Sequence:
    """
    Gives ids in blocks, as the database does; or refuses to.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self.taken, self._refuses = 0, refuses

    async def send(self, _what: str, _call: Any, count: int) -> list[int]:
        if self._refuses:
            raise Refused(psycopg.Error("no"))
        self.taken += count
        return list(range(self.taken - count + 1, self.taken + 1))


def continuing(sequence: Sequence, *stages: str) -> Continuation:
    """
    Goes on with these stages in the loop, and with no others.
    """
    return Continuation(
        cast(Wire, sequence), lambda: lambda _, successor, __: True if successor.stage in stages else None
    )


def completion(*stages: str) -> Completion:
    successors = tuple(Successor("q", f"t.{stage}", stage, 50, b"{}") for stage in stages)
    return Completion(7, 0, "done", "run", "a", None, 1.0, 2.0, successors=successors)


def test_what_is_sent_is_in_hand_until_it_is_answered():
    continuation = continuing(Sequence(), "b")

    (sent,) = asyncio.run(continuation.begin([completion("b", "b")]))

    ids = [successor.id for successor in sent.successors]
    assert continuation.on_wire == ids == [1, 2]
    assert (continuation.coming(True), continuation.coming(False)) == (2, 0)
    assert [successor.id for successor in continuation.ended(sent)] == ids
    assert (continuation.on_wire, continuation.coming(True)) == ([], 0)


def test_what_goes_through_the_queue_takes_no_id_out_of_a_block():
    continuation = continuing(Sequence(), "b")

    (sent,) = asyncio.run(continuation.begin([completion("c", "b", "c")]))

    assert [successor.id for successor in sent.successors] == [None, 1, None]
    assert [successor.id for successor in continuation.ended(sent)] == [1]


def test_ids_are_taken_in_blocks_and_each_is_given_once():
    sequence = Sequence()
    continuation = continuing(sequence, "b")

    async def many() -> list[int | None]:
        groups = [await continuation.begin([completion(*"b" * 100)]) for _ in range(BLOCK // 100)]
        return [successor.id for (item,) in groups for successor in item.successors]

    given = asyncio.run(many())

    assert sorted(given, key=int) == list(range(1, BLOCK + 1))  # pyright: ignore[reportArgumentType]
    assert sequence.taken == 2 * BLOCK


def test_where_no_ids_are_to_be_had_all_goes_through_the_queue():
    continuation = continuing(Sequence(refuses=True), "b")

    (sent,) = asyncio.run(continuation.begin([completion("b")]))

    assert [successor.id for successor in sent.successors] == [None]
    assert continuation.on_wire == []
