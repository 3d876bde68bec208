from oaflow import DatasetJob, stage


@stage(accepts=["Documnt"])
def read(job: DatasetJob, *, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return job


@stage
def index(job: DatasetJob) -> None:
    """Makes it searchable."""
