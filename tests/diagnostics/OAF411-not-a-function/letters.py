from oaflow import DatasetJob, stage


@stage
def read(job: DatasetJob, *, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return job


index = 3


def other(job: DatasetJob) -> None:
    """Makes it searchable."""
