from pydantic import BaseModel

from oaflow import DatasetJob, stage


@stage
def read(*, language: str = "eng") -> DatasetJob:
    """Reads a letter."""
    return None


@stage
def index(job: DatasetJob) -> None:
    """Makes it searchable."""


class Letter(BaseModel):
    """What is in a letter."""


@stage
def sort(letter: Letter) -> DatasetJob:
    """Takes what travels in a job for the job."""
    return DatasetJob(dataset=str(letter), queue="q", task="t")


@stage
def send(job: "dict[str, str]") -> None:
    """Takes a mapping, and is given a job."""


@stage
def keep(job: BaseModel | str) -> None:
    """Takes whatever is a model, and a job is one."""
