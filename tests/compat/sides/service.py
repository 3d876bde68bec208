"""
A service as those of OpenAleph are, on the real openaleph-procrastinate: `translate` hands over to the queue `index`,
`ingest` to `ingest`, `analyze` and `index`. What it fails on, and how long it works, stands in the context of its jobs.
"""

import os
import time
from pathlib import Path

import procrastinate
from followthemoney import model
from openaleph_procrastinate.app import make_app
from openaleph_procrastinate.model import DatasetJob
from openaleph_procrastinate.tasks import task

app = make_app()
# A worker looks for jobs every 5 s, and is held for dead after 30: a test has not that much time.
app.worker_defaults |= {
    "fetch_job_polling_interval": 0.2,
    "update_heartbeat_interval": 0.5,
    "stalled_worker_timeout": 4,
}

RETRY = procrastinate.RetryStrategy(max_attempts=5)


def hand_over(job, queue, name, entities):
    # As `openaleph_procrastinate.defer` does: all of the context goes along.
    DatasetJob.from_entities(
        dataset=job.dataset, queue=queue, task=name, entities=entities, batch=job.batch, **job.context
    ).defer(app)


@task(app=app, name="service.translate", retry=RETRY)
def translate(job):
    note(job)
    hand_over(job, "index", "service.index", list(job.get_entities()))
    give_up(job)


@task(app=app, name="service.ingest", retry=RETRY)
def ingest(job):
    note(job)
    (entity,) = job.get_entities()
    for number in range(job.context.get("children", 0) if "/" not in entity.id else 0):
        child = model.get_proxy({"id": f"{entity.id}/{number}", "schema": "Document", "properties": {}})
        hand_over(job, "ingest", "service.ingest", [child])
    hand_over(job, "analyze", "service.analyze", [entity])
    hand_over(job, "index", "service.index", [entity])
    give_up(job)


@task(app=app, name="service.geocode", retry=RETRY)
def geocode(job):
    note(job)
    hand_over(job, "index", "service.index", [])


def note(job):
    """
    Who was here, for the test; and the time that it takes.
    """
    with Path(os.environ["SERVICE_LOG"]).open("a") as log:
        log.write(f"{job.task} {' '.join(str(entity.id) for entity in job.get_entities())}\n")
    time.sleep(job.context.get("seconds", 0))


def give_up(job):
    if any(str(entity.id) in job.context.get("fails", ()) for entity in job.get_entities()):
        raise RuntimeError("cannot be done")
