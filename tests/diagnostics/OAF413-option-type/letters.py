from typing import Literal

from oaflow import DatasetJob, stage


@stage
def read(job: DatasetJob, *, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return job


@stage
def index(job: DatasetJob, *, mode: Literal["new", "all"] = "new", pages: list[int] | None = None) -> None:
    """Makes it searchable."""
