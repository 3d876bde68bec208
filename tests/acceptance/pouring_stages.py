"""
Stages that stream much, and some that take it in.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from oaflow import DatasetJob, stage


def _jobs(job: DatasetJob, count: int, begun: str | None) -> Iterator[DatasetJob]:
    if begun is not None:
        with open(begun, "a") as lines:
            lines.write("begun\n")
    name = job.documents[0] if job.documents else "doc"
    for number in range(count):
        yield job.with_entities([{"id": f"{name}-{number}", "schema": "Document", "properties": {}}])


@stage(emit="stream")
def pours(job: DatasetJob, *, count: int, seconds: float = 0.0, begun: str | None = None) -> Iterator[DatasetJob]:
    """Name so many documents, as fast as they are taken, or with some time before each."""
    for new in _jobs(job, count, begun):
        if seconds:
            time.sleep(seconds)
        yield new


@stage(emit="stream")
async def pours_async(job: DatasetJob, *, count: int, begun: str | None = None) -> AsyncIterator[DatasetJob]:
    """Name so many documents, as fast as they are taken, in the worker's loop."""
    for number, new in enumerate(_jobs(job, count, begun)):
        if number % 50 == 0:
            await asyncio.sleep(0)
        yield new


@stage
def names(job: DatasetJob, *, count: int) -> list[DatasetJob]:
    """Name so many documents at once."""
    return list(_jobs(job, count, None))


@stage
def sips(job: DatasetJob, *, seconds: float = 0.001, log: str | None = None) -> None:
    """Take it in, one by one."""
    time.sleep(seconds)
    if log is not None:
        with open(log, "a") as lines:
            lines.write(f"{job.documents[0]}\n")


@stage
async def sips_async(job: DatasetJob, *, seconds: float = 0.02) -> None:
    """Take it in, several at a time."""
    await asyncio.sleep(seconds)
