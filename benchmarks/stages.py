"""
Stages that do nothing, or one thing, so that what is measured is what stands around them.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from hashlib import sha256

from oaflow import DatasetJob, stage


@stage
def a(job: DatasetJob) -> DatasetJob:
    """Hand on."""
    return job


@stage
def b(job: DatasetJob) -> DatasetJob:
    """Hand on."""
    return job


@stage
def c(job: DatasetJob) -> None:
    """End."""


@stage
async def async_a(job: DatasetJob) -> DatasetJob:
    """Hand on."""
    return job


@stage
async def async_b(job: DatasetJob) -> DatasetJob:
    """Hand on."""
    return job


@stage
async def async_c(job: DatasetJob) -> None:
    """End."""


@stage
def burn(job: DatasetJob, *, turns: int = 1000) -> None:
    """Keep a core busy with a fixed amount of work."""
    work(turns)


@stage
def spread(job: DatasetJob, *, count: int = 1) -> Iterator[DatasetJob]:
    """Yield many."""
    for number in range(count):
        yield job.model_copy(update={"payload": {**job.payload, "context": {**job.context, "number": number}}})


def work(turns: int) -> None:
    """
    Work that Python does, under its lock, with nothing of it in the kernel.
    """
    data = b"oaflow" * 200
    for _ in range(turns):
        data = sha256(data).digest() * 40


@stage
def sleep(job: DatasetJob, *, seconds: float, slow: float = 1.0, copies: int = 1) -> list[DatasetJob]:
    """Wait, for half as long up to half as long again, by the document; for PDFs so many times as long."""
    number = int(job.documents[0].removeprefix("doc-"))
    times = slow if "application/pdf" in str(job.payload) else 1.0
    time.sleep(seconds * times * (0.5 + number * 7919 % 1000 / 1000))
    return [job] * copies


@stage
async def async_sleep(job: DatasetJob, *, seconds: float) -> DatasetJob:
    """The same in the worker's loop."""
    number = int(job.documents[0].removeprefix("doc-"))
    await asyncio.sleep(seconds * (0.5 + number * 7919 % 1000 / 1000))
    return job


@stage
def crash(job: DatasetJob, *, every: int = 0, seconds: float = 0.0) -> DatasetJob:
    """Take some time; die of one document in so many."""
    number = int(job.documents[0].removeprefix("doc-"))
    if seconds:
        time.sleep(seconds)
    if every and number % every == every // 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    return job
