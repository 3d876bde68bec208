"""
What openaleph-procrastinate and ftmq do. Runs in the environment `oap`: JSON in, JSON out, a command a line.
"""

import asyncio
import json
import os
import sys
import time
from unittest.mock import patch

from anystore.util import clean_dict
from followthemoney import model
from ftmq.store.fragments import get_fragments
from openaleph_procrastinate import cli
from openaleph_procrastinate.app import make_app
from openaleph_procrastinate.manage.db import get_db
from openaleph_procrastinate.manage.status import get_dataset_status
from openaleph_procrastinate.model import DatasetJob, Job
from openaleph_procrastinate.settings import DeferSettings
from openaleph_procrastinate.tasks import task, unpack_job


def build(spec):
    kind = DatasetJob if "dataset" in spec else Job
    if "entities" in spec:
        return DatasetJob.from_entities(**{**spec, "entities": [model.get_proxy(data) for data in spec["entities"]]})
    return kind(**spec)


def values(job):
    found = {"kind": type(job).__name__, "queue": job.queue, "task": job.task, "payload": job.payload}
    found |= {"context": job.context}
    if isinstance(job, DatasetJob):
        entities = [entity.to_dict() for entity in job.get_entities()] if "entities" in job.payload else []
        hashes = [reference.content_hash for reference in job.get_file_references()] if entities else []
        found |= {"dataset": job.dataset, "batch": job.batch, "entities": entities, "hashes": hashes}
    return found


def write(specs):
    """
    Each job as its `defer` would write it.
    """
    return [clean_dict(build(spec).model_dump(mode="json")) for spec in specs]


def read(rows):
    """
    What a task there sees of each row.
    """
    return [values(unpack_job(row)) for row in rows]


def clean(payloads):
    return [clean_dict(payload) for payload in payloads]


def defer(specs):
    """
    Rows in the real table.
    """
    app = make_app(sync=True)
    with app.open():
        for spec in specs:
            build(spec).defer(app)


def work(options):
    """
    A stock worker with a task of theirs: what it received.
    """
    app, received = make_app(), []

    @task(app=app, name=options["task"])
    def receive(job):
        received.append(values(job))

    app.run_worker(queues=[options["queue"]], wait=False, install_signal_handlers=False)
    return received


def put_fragments(options):
    fragments = get_fragments(options["dataset"], database_uri=options["uri"])
    bulk = fragments.bulk()
    for entity, origin, fragment in options["entities"]:
        bulk.put(entity, fragment=fragment, origin=origin)
    bulk.flush()


def get_entities(options):
    fragments = get_fragments(options["dataset"], database_uri=options["uri"])
    return [entity.to_dict() for entity in fragments.iterate(entity_id=options.get("ids"))]


def init_db(options):
    """
    As the command `init-db` does.
    """
    get_db().configure()


def ensure_indexes(options):
    get_db().ensure_indexes()


def status(options):
    """
    What its status says about a dataset, and about each batch in it.
    """
    found = get_dataset_status(options["dataset"], active_only=False)
    return {batch.name: {queue.name: queue.succeeded for queue in batch.queues} for batch in found.batches}


def hand_over(environments):
    """
    What its settings make of each environment, by stage; None where they refuse it.
    """
    found = []
    for environment in environments:
        with patch.dict(os.environ, environment, clear=True):
            try:
                found.append(DeferSettings(_env_file=None).model_dump())
            except ValueError:
                found.append(None)
    return found


def housekeep(options):
    """
    What its operators and its own workers do beside the work, again and again: indexes, stalled workers and their jobs,
    and the rows of jobs that have ended. How often it was done, and how many jobs were put back.
    """
    app, until, rounds, put_back = make_app(sync=True), time.monotonic() + options["seconds"], 0, 0
    while time.monotonic() < until:
        get_db().ensure_indexes()
        with app.open():
            put_back += len(list(get_db().get_orphaned_jobs()))
        cli.requeue_stalled(dataset=None, queue=None, task=None)
        asyncio.run(_cleaned(options["silent"]))
        rounds += 1
        time.sleep(options["every"])
    return {"rounds": rounds, "put_back": put_back}


async def _cleaned(silent):
    app = make_app()
    async with app.open_async():
        await app.job_manager.prune_stalled_workers(silent)
        await app.job_manager.delete_old_jobs(nb_hours=0, include_failed=True)


FUNCTIONS = (
    write,
    read,
    clean,
    defer,
    work,
    put_fragments,
    get_entities,
    init_db,
    ensure_indexes,
    status,
    hand_over,
    housekeep,
)
COMMANDS = {function.__name__: function for function in FUNCTIONS}

if __name__ == "__main__":
    for line in sys.stdin:
        command, data = json.loads(line)
        print("\nANSWER" + json.dumps(COMMANDS[command](data)), flush=True)
