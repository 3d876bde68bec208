from collections.abc import Iterator

from oaflow import DatasetJob, Out, stage


class Page(DatasetJob): ...


class Sound(DatasetJob): ...


@stage(ports=("default", "sounds", "others"))
def read(job: DatasetJob) -> Iterator[Page | Out[Sound]]: ...


@stage(ports=("default", "sounds"))
def unsaid(job: DatasetJob) -> Iterator[Page | Out]: ...


@stage
def show(job: Page) -> None: ...


@stage
def listen(job: Sound) -> None: ...
