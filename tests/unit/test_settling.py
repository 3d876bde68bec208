"""
What a worker makes of the answers to its hand-overs.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.runtime.dispatcher import Dispatcher
from oaflow.runtime.held import Held
from oaflow.runtime.options import Options
from oaflow.settings import Settings
from tests.integration.pools import bound_stage, plan_of

PLAN = plan_of(bound_stage("a", "t.a"), bound_stage("b", "t.b"))
FOLLOWS = Successor("queue-b", "t.b", "b", 50, b"{}", id=7)


def in_hand_after(answer: str, *, attempt: int) -> list[int]:
    """
    The jobs in hand of a worker at the second attempt at job 1, when an attempt at it was answered: 7 goes on here.
    """

    async def body() -> list[int]:
        worker = Dispatcher(cast(Any, None), Options(conninfo=str, settings=Settings(), executors=1))
        passage = cast(Any, SimpleNamespace(id="run-1", plan=PLAN, held=0, cancelled=False, stops=False))
        row = Claimed(1, "queue-a", "t.a", 50, "{}", "{}", 1, 0, 0, suspect=False)
        worker._hand.take(Held(row, passage, PLAN.stages["a"], None))
        worker._settling.settled(
            Completion(1, attempt, "done", "run-1", "a", None, 0.0, 1.0, detail=b"{}", successors=(FOLLOWS,)), answer
        )
        return sorted(worker._hand.jobs)

    return asyncio.run(body())


@pytest.mark.parametrize("answer", ["applied", "already"])
def test_what_follows_is_ours_also_where_the_first_answer_was_lost(answer: str) -> None:
    assert in_hand_after(answer, attempt=1) == [7]


@pytest.mark.parametrize("answer", ["fenced", "gone", "refused"])
def test_what_was_not_taken_is_let_go_and_nothing_follows(answer: str) -> None:
    assert in_hand_after(answer, attempt=1) == []


@pytest.mark.parametrize("answer", ["applied", "already", "fenced"])
def test_the_answer_to_an_earlier_attempt_takes_nothing_out_of_the_hand(answer: str) -> None:
    assert in_hand_after(answer, attempt=0) == [1]
