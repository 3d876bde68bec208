"""
What is entered as a block: streams, and workers.
"""

import asyncio
import time
from collections.abc import Generator

import pytest

from oaflow.errors import UsageError
from oaflow.operations.staffing import Workers
from oaflow.operations.streams import Stop, Stream
from oaflow.settings import Settings


def test_a_stream_is_in_one_block_at_a_time_and_in_another_after_it() -> None:
    ended: list[int] = []

    def source(stop: Stop) -> Generator[int]:
        try:
            yield from range(3)
        finally:
            ended.append(1)

    async def whole() -> None:
        stream = Stream(source)
        async with stream as items:
            assert await anext(items) == 0
            with pytest.raises(UsageError, match="already in use in a block"):
                await stream.__aenter__()
            assert await anext(items) == 1
        assert len(ended) == 1
        async with stream as items:
            assert [item async for item in items] == [0, 1, 2]

    asyncio.run(whole())

    assert len(ended) == 2


class Idlers(Workers):
    """
    Workers that do nothing until they are to leave.
    """

    def _work(self) -> None:
        self._ready.set_result(None)
        while not self._leaving.count:
            time.sleep(0.01)


def test_workers_are_in_one_block_at_a_time_and_in_another_after_it() -> None:
    staff = Idlers(Settings(), 1)

    async def again() -> None:
        async with staff:
            with pytest.raises(UsageError, match="already in use in a block"):
                await staff.__aenter__()

    with staff, pytest.raises(UsageError, match="already in use in a block"):
        staff.__enter__()
    asyncio.run(again())
    with staff:
        pass
