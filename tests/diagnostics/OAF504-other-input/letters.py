from oaflow import DatasetJob, Job, stage


class Letter(Job):
    pass


@stage
def read(job: Letter) -> DatasetJob: ...


@stage
def index(job: DatasetJob) -> None: ...
