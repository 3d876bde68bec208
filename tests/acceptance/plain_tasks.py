"""
Plain tasks beside a pipeline, as a service of its own would have them: one is given a job and returns the next.
"""

import asyncio
import os
from pathlib import Path

from oaflow import Job, app, task


@task(app=app, queue="plain")
def first(job: Job) -> list[Job]:
    """Send two jobs on."""
    note(f"first {job.payload['n']}")
    return [Job(queue="plain", task="plain_tasks.second", payload={"n": n}) for n in range(2)]


@task(app=app, queue="plain")
async def second(job: Job) -> None:
    """The end of the chain."""
    note(f"second {job.payload['n']}")


@app.task(name="plain_tasks.alone", queue="plain", lock="alone", queueing_lock="alone")
async def alone() -> None:
    """Wait for a file; of these one runs at a time, and one waits at most."""
    note("alone begins")
    while not Path(os.environ["PLAIN_NOTES"]).with_name("goes on").exists():
        await asyncio.sleep(0.05)
    note("alone ends")


def note(line: str) -> None:
    with Path(os.environ["PLAIN_NOTES"]).open("a") as file:
        file.write(f"{line}\n")
