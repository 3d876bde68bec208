"""
taskiq over a stream in Redis: `enqueue NUMBER`; its own command works. The store is that of `STORE`.

A stream, and not a list, whose jobs a dead worker takes with it; 100 async tasks at once, no results.
"""

import asyncio
import sys
from typing import Any

from taskiq_redis import RedisStreamBroker

from benchmarks.peers.tally import job, note, store

broker = RedisStreamBroker(store())


@broker.task(task_name="a")
async def a(payload: dict[str, Any]) -> None:
    """Hand on."""
    note("a", payload["number"])
    await b.kiq(payload)


@broker.task(task_name="b")
async def b(payload: dict[str, Any]) -> None:
    """Hand on."""
    note("b", payload["number"])
    await c.kiq(payload)


@broker.task(task_name="c")
async def c(payload: dict[str, Any]) -> None:
    """End."""
    note("c", payload["number"])


async def enqueue(roots: int) -> None:
    """
    Make the group of consumers, which sees only what comes after it, and enter the first jobs.
    """
    await broker.startup()
    for number in range(roots):
        await a.kiq(job(number))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(enqueue(int(sys.argv[2])))
