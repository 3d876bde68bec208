from oaflow import Job, stage


@stage
def read(job: Job) -> Job:
    """Forgets to return what it has made."""
    job.model_copy(update={"payload": {"context": {"read": True}}})


@stage
async def scan(job: Job) -> Job:
    def one():
        return job

    with open(__file__):
        if one().context:
            return


@stage
def later(job: Job) -> Job:
    """Not written yet."""


@stage
def never(job: Job) -> Job:
    print(job)
    raise RuntimeError("never")


@stage
def some(job: Job) -> Job | None:
    return job if job.context else None


@stage
def both(job: Job) -> Job | None:
    return job.context and None


@stage
def within(job: Job) -> Job | None:
    with open(__file__):
        for _ in job.context:
            return job
    return None


@stage
def several(job: Job):
    for _ in job.context:
        yield job


@stage
def index(job: Job):
    print(job)
