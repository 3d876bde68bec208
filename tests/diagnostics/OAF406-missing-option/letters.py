from oaflow import DatasetJob, stage


@stage
def read(job: DatasetJob, *, language: str) -> DatasetJob:
    """Reads a letter."""
    return job


@stage
def index(job: DatasetJob) -> None:
    """Makes it searchable."""
