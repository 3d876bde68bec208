"""
Stages that keep cores busy, and that end the process they run in.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from oaflow import DatasetJob, stage
from oaflow.jobs import current


def _number(job: DatasetJob) -> int:
    return int(job.documents[0].rpartition("-")[2])


@stage(emit="stream")
def source(job: DatasetJob, *, count: int = 5, seconds: float = 0.0, turn: str | None = None) -> Iterator[DatasetJob]:
    """Name so many documents. With `turn`, a file of a number: each attempt begins elsewhere."""
    first = 0
    if turn is not None:
        first = int(Path(turn).read_text())
        made = Path(f"{turn}.new")
        made.write_text(str(first + 1))
        made.replace(turn)  # as a whole: this process is killed at any moment
    for number in range(count):
        time.sleep(seconds)
        name = f"doc-{first}-{number}" if turn is not None else f"doc-{number}"
        job.found(name, f"{name}.txt")
        yield job.with_entities([{"id": name, "schema": "Document", "properties": {}}])


@stage
def note(job: DatasetJob, *, log: str, seconds: float = 0.0) -> DatasetJob:
    """Take some time, and append the document to a file."""
    time.sleep(seconds)
    with open(log, "a") as lines:
        lines.write(f"{job.documents[0]}\n")
    return job


@stage
def notes_some(job: DatasetJob, *, log: str, first: int, file: str) -> DatasetJob:
    """Append so many of the documents to a file, and the others when another file is there."""
    while _number(job) >= first and not Path(file).exists():
        time.sleep(0.05)
    return note(job, log=log)


@stage
def notes_one_later(job: DatasetJob, *, log: str, late: int, file: str) -> DatasetJob:
    """Append the document to a file; at one of them, when another file is there."""
    while _number(job) == late and not Path(file).exists():
        time.sleep(0.05)
    return note(job, log=log)


@stage
def writes(job: DatasetJob, *, log: str, seconds: float = 0.0) -> DatasetJob:
    """Write what came into the store, take some time, and append the document to a file."""
    with job.get_writer() as writer:
        for entity in job.get_entities():
            writer.add(entity)
    return note(job, log=log, seconds=seconds)


@stage
def begins(job: DatasetJob, *, log: str, seconds: float) -> DatasetJob:
    """Append the document to a file first, and take some time then."""
    with open(log, "a") as lines:
        lines.write(f"{job.documents[0]}\n")
    time.sleep(seconds)
    return job


@stage
async def blocks(job: DatasetJob, *, log: str, seconds: float) -> DatasetJob:
    """The same, and nothing else runs in the worker's loop for that time."""
    return begins(job, log=log, seconds=seconds)


@stage
async def notes_its_folder(job: DatasetJob, *, log: str) -> DatasetJob:
    """Make a file where the temporary files of jobs are, leave it there, and say where that is."""
    folder = current().temp
    assert folder is not None
    (folder / "left").write_text("x")
    with open(log, "a") as lines:
        lines.write(f"{folder}\n")
    return job


@stage
def spin(job: DatasetJob, *, seconds: float = 1.0) -> DatasetJob:
    """Keep a core busy."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return job


@stage
def segfaults(job: DatasetJob, *, on: list[int]) -> DatasetJob:
    """End the process at some documents."""
    if _number(job) in on:
        print(f"now {job.documents[0]}")
        os.kill(os.getpid(), signal.SIGSEGV)
    return job


@stage
def hoards(job: DatasetJob) -> DatasetJob:
    """Take more and more memory."""
    held = [bytearray(16 << 20)]
    while True:
        held.append(bytearray(b"x" * (16 << 20)))
        time.sleep(0.02)


@stage(retry=2)
def raises(job: DatasetJob) -> DatasetJob:
    """Raise each time."""
    raise ValueError("never")


@stage
async def breathes(job: DatasetJob) -> DatasetJob:
    """Rest for a moment in the worker's own loop."""
    await asyncio.sleep(0.005)
    return job


@stage
async def breathes_and_notes(job: DatasetJob, *, log: str) -> DatasetJob:
    """The same, and append the document to a file."""
    await asyncio.sleep(0.005)
    return note(job, log=log)


@stage
async def kills_worker(job: DatasetJob, *, on: int, seconds: float = 1.0) -> DatasetJob:
    """End the worker itself at one document, while others rest."""
    if _number(job) == on:
        await asyncio.sleep(seconds / 4)
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(seconds)
    return job


@stage
def end(job: DatasetJob) -> None:
    """Return nothing."""
