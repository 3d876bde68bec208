"""
Which stage is said to block the loop of its worker, and when nothing is said.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from oaflow.runtime import standstill
from oaflow.runtime.standstill import Standstill

HELD: Any = SimpleNamespace(stage=SimpleNamespace(name="reads"), passage=SimpleNamespace(id="hello-1"))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Awaitable[None]], Any], list[str]]:
    monkeypatch.setattr(standstill, "LOOK", 0.2)

    def of(work: Callable[[], Awaitable[None]], held: Any) -> list[str]:
        told: list[str] = []

        async def run() -> None:
            watch = Standstill(lambda _: held, lambda _, text: told.append(text))
            watch.start()
            await work()
            await asyncio.sleep(0.5)
            watch.stop()

        asyncio.run(run())
        return told

    return of


async def blocks() -> None:
    for _ in range(2):
        time.sleep(1.2)
        await asyncio.sleep(0.5)


async def is_busy() -> None:
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        time.sleep(0.01)
        await asyncio.sleep(0)


def test_a_stage_that_blocks_is_named_with_its_place_each_time(said):
    told = said(blocks, HELD)

    assert len(told) == 2
    for text in told:
        assert re.match(
            r"async stage 'reads' blocked its worker for \d+ s, in .*test_standstill:blocks, line \d+", text
        )


def test_of_a_loop_that_turns_however_busy_it_is_nothing_is_said(said):
    assert said(is_busy, HELD) == []


def test_of_a_loop_that_stands_still_at_no_job_nothing_is_said(said):
    assert said(blocks, None) == []
