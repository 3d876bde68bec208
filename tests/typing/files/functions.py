"""
Stage functions as authors write them; and that a decorated function stays what it was.
"""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from oaflow import DatasetJob, Job, Out, stage


@stage
def crawl(job: DatasetJob, *, source: list[str]) -> Iterator[DatasetJob]:
    """List files."""
    yield job


@stage(queue="ingest", timeout="30m", ports=("default", "children"), emits=["Document"], retry={"max": 2, "base": "1s"})
def extract(job: DatasetJob, *, ocr: bool = False) -> Iterator[DatasetJob | Out]:
    """Read the text of a file and unpack what it contains."""
    yield job
    yield Out("children", job)


@stage(emit="stream")
async def analyze(job: DatasetJob) -> AsyncIterator[DatasetJob]:
    yield job


@stage
async def index(job: DatasetJob) -> None: ...


@stage
def quarantine(job: Job, limit: int = 3) -> Job:
    return job


def called(job: DatasetJob) -> None:
    assert_type(crawl(job, source=["a"]), Iterator[DatasetJob])
    assert_type(quarantine(job), Job)
    assert_type(quarantine(job, 4), Job)
    crawl(job)  # refused
    crawl(job, source="a")  # refused
    quarantine(job, limit="a")  # refused


async def awaited(job: DatasetJob) -> None:
    assert_type(await index(job), None)
    assert_type([one async for one in analyze(job)], list[DatasetJob])
