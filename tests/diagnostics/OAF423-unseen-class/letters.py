from __future__ import annotations

from typing import TYPE_CHECKING

from oaflow import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nowhere import Gone
    from post import Parcel, Plain, Reply

    from oaflow import DatasetJob


@stage
def read(job: Reply) -> Iterator[Reply]:
    yield job


@stage
def scan(job: Parcel) -> None: ...


@stage
def sort(job: Plain) -> None: ...


@stage
def index(job: DatasetJob) -> None: ...


@stage
def gone(job: Gone) -> None: ...
