from pydantic import BaseModel

from oaflow import DatasetJob


class Letter(BaseModel):
    sender: str


class LetterJob(DatasetJob):
    payload: Letter


class Reply(LetterJob): ...


class Parcel(DatasetJob):
    @property
    def weight(self) -> int:
        return self.context["weight"]


class Plain(DatasetJob): ...
