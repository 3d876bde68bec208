from oaflow import DatasetJob, stage


@stage(emits=["Document", "LegalEntity"])
def read(job: DatasetJob) -> DatasetJob:
    """Reads a letter."""
    return job


@stage
def index(job: DatasetJob) -> DatasetJob:
    """Makes it searchable."""


@stage(accepts=["Person", "Company"])
def people(job: DatasetJob) -> None:
    """Looks people up."""
