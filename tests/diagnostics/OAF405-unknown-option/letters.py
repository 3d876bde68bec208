from oaflow import DatasetJob, stage


@stage
def read(job: DatasetJob, *, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return job


@stage
def index(job: DatasetJob) -> None:
    """Makes it searchable."""
