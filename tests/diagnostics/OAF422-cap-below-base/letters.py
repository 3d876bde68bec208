from oaflow import Job, stage


@stage
def read(job: Job) -> Job: ...


@stage
def scan(job: Job) -> Job: ...


@stage
def sort(job: Job) -> Job: ...


@stage
def keep(job: Job) -> Job: ...


@stage(retry={"base": "2m"})
def sent(job: Job) -> Job: ...


@stage
def index(job: Job) -> None: ...
