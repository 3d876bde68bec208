"""
Stages for pipelines in which two features of the language meet, in an executor and in the worker's loop.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from oaflow import DatasetJob, Out, stage


def _note(log: str, job: DatasetJob, **more: Any) -> None:
    line = {"documents": job.documents, "stage": job.context["oaflow"]["stage"], "at": time.time(), **more}
    with open(log, "a") as lines:
        lines.write(json.dumps(line) + "\n")


def _documents(job: DatasetJob, count: int, first: int = 0) -> Iterator[DatasetJob]:
    for number in range(first, first + count):
        name = f"doc-{number}"
        job.found(name, f"{name}.txt")
        yield job.with_entities([{"id": name, "schema": "Document", "properties": {}}])


@stage(emit="stream")
def pours(job: DatasetJob, *, count: int, seconds: float = 0.0) -> Iterator[DatasetJob]:
    """Name so many documents, one after the other."""
    for new in _documents(job, count):
        time.sleep(seconds)
        yield new


@stage(emit="stream")
async def pours_async(job: DatasetJob, *, count: int, seconds: float = 0.0) -> AsyncIterator[DatasetJob]:
    """The same, in the worker's loop."""
    for new in _documents(job, count):
        await asyncio.sleep(seconds)
        yield new


@stage(emit="stream", retry=0)
def pours_half(job: DatasetJob, *, taken: str, gate: str, crash: bool) -> Iterator[DatasetJob]:
    """Hand on document by document, and fail when the first has arrived, as long as there is no such file."""
    for entity in job.entities:
        yield job.with_entities([entity])
        while not os.path.exists(taken):
            time.sleep(0.02)
        if not os.path.exists(gate):
            if crash:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("half-way")


@stage
def names(job: DatasetJob, *, count: int) -> list[DatasetJob]:
    """Name so many documents at once."""
    return list(_documents(job, count))


@stage
def takes(job: DatasetJob, *, log: str, seconds: float = 0.0) -> DatasetJob:
    """Note the beginning, take some time, and note the end."""
    _note(log, job, what="begins")
    time.sleep(seconds)
    _note(log, job, what="ends")
    return job


@stage
async def takes_async(job: DatasetJob, *, log: str, seconds: float = 0.0) -> DatasetJob:
    """The same, in the worker's loop."""
    _note(log, job, what="begins")
    await asyncio.sleep(seconds)
    _note(log, job, what="ends")
    return job


@stage
def gated(job: DatasetJob, *, log: str, gate: str) -> DatasetJob:
    """Note the beginning, wait for a file, and note the end."""
    _note(log, job, what="begins")
    while not os.path.exists(gate):
        time.sleep(0.02)
    _note(log, job, what="ends")
    return job


@stage
async def gated_async(job: DatasetJob, *, log: str, gate: str) -> DatasetJob:
    """The same, in the worker's loop."""
    _note(log, job, what="begins")
    while not os.path.exists(gate):
        await asyncio.sleep(0.02)
    _note(log, job, what="ends")
    return job


@stage
def fails_until(job: DatasetJob, *, log: str, gate: str) -> DatasetJob:
    """Note the beginning, and raise as long as there is no such file."""
    _note(log, job, what="begins")
    if not os.path.exists(gate):
        raise ValueError("not yet")
    _note(log, job, what="ends")
    return job


@stage
async def fails_until_async(job: DatasetJob, *, log: str, gate: str) -> DatasetJob:
    """The same, in the worker's loop."""
    return fails_until(job, log=log, gate=gate)


@stage(retry=0)
def fails(job: DatasetJob) -> DatasetJob:
    """Raise."""
    raise ValueError("never")


@stage(retry=0, emit="always")
def yields_then_fails(job: DatasetJob, *, on: list[str]) -> Iterator[DatasetJob]:
    """Hand on what arrives, and then raise at some documents."""
    yield job
    if not set(job.documents).isdisjoint(on):
        raise ValueError("half-way")


@stage
def crashes(job: DatasetJob, *, on: list[str]) -> DatasetJob:
    """End the process at some documents."""
    if not set(job.documents).isdisjoint(on):
        os.kill(os.getpid(), signal.SIGSEGV)
    return job


@stage(ports=("default", "inner"))
def unpacks(job: DatasetJob, *, log: str, depth: int, members: int) -> Iterator[DatasetJob | Out]:
    """Hand on what arrives, and so many things inside each of it, in one job, so deep."""
    _note(log, job, what="unpacks")
    inner: list[dict[str, Any]] = []
    for document in job.documents:
        if document.count("/") < depth:
            inner += [{"id": f"{document}/{number}", "schema": "Document"} for number in range(members)]
    for entity in inner:
        job.found(entity["id"], entity["id"])
    if inner:
        yield Out("inner", job.with_entities(inner))
    yield job


@stage
def reports(job: DatasetJob, *, log: str) -> DatasetJob:
    """Note what a join was told."""
    _note(log, job, run=job.context["run"])
    return job


@stage
def end(job: DatasetJob) -> None:
    """Return nothing."""
