from oaflow import Job, stage


@stage
def read(job: Job) -> None: ...


@stage
def scan(job: Job) -> None: ...


@stage
async def index(job: Job) -> None: ...
