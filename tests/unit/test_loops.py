"""
A loop of a worker does not end unheard.
"""

import asyncio
import logging

import pytest

from oaflow.runtime.loops import begin


def test_an_error_that_ends_a_loop_is_logged_while_the_loop_is_still_held(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise OSError("no such disk")

    async def body() -> None:
        loops = [begin(broken(), "watch"), begin(asyncio.sleep(60), "rest")]
        await asyncio.wait(loops[:1])
        loops[1].cancel()
        await asyncio.wait(loops)
        assert [(record.getMessage(), record.levelno) for record in caplog.records] == [
            ("oaflow watch has ended", logging.ERROR)
        ]
        assert "no such disk" in caplog.text

    asyncio.run(body())
