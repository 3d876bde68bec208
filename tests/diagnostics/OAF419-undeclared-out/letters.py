from collections.abc import Iterator

import oaflow
from oaflow import DatasetJob, Out, stage

ELSEWHERE = "elsewhere"


@stage(ports=("default", "large"))
def read(job: DatasetJob) -> Iterator[Out | DatasetJob]:
    yield job

    def send(to: DatasetJob) -> Out:
        return Out("larg", to)

    yield send(job)
    yield oaflow.Out(port="translate", job=job)
    yield Out(ELSEWHERE, job)
    yield Out("large", job)


@stage
def index(job: DatasetJob) -> None:
    """It names no port."""
