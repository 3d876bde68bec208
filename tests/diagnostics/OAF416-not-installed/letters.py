from oaflow import DatasetJob, stage

__needs__ = {"read": ("letters[scans]", ("json", "typewriter_ribbons")), "index": ("letters", ("json",))}


@stage
def read(job: DatasetJob) -> DatasetJob:
    return job


@stage
def index(job: DatasetJob) -> None: ...
