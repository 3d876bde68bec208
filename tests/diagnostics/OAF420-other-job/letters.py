from collections.abc import AsyncIterator, Iterator

from oaflow import DatasetJob, Job, Out, stage


class Page(DatasetJob):
    """A page of a letter."""


class Sound(DatasetJob):
    """What was spoken."""


@stage(ports=("default", "sounds"))
def read(job: DatasetJob) -> Iterator[Page | Out]:
    """Reads a letter, page by page."""
    yield Out("sounds", job)


@stage
async def listen(job: Sound) -> AsyncIterator[Sound | Page]:
    """Writes down what was spoken."""
    yield job


@stage
def repair(job: Page) -> int:
    """Takes a page that could not be listened to."""
    return 1


@stage
def look(job: Job) -> DatasetJob | None:
    """Takes any job."""


@stage
def count(job):
    """Says nothing about its jobs."""
    return job
