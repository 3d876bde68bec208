from oaflow import DatasetJob, stage


@stage
def read(*, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return None


@stage
def index(job: DatasetJob) -> None:
    """Makes it searchable."""
