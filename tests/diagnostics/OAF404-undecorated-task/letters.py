from oaflow import DatasetJob, app, stage, task


@stage
def read(job: DatasetJob, *, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return job


@task(app=app)
def index(job: DatasetJob) -> None:
    """Makes it searchable."""
