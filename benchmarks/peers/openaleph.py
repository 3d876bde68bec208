"""
openaleph-procrastinate, as the services of OpenAleph use it: sync tasks that defer the next job themselves.

The app of `procrastinate --app benchmarks.peers.openaleph.app worker`; the database is that of `PROCRASTINATE_DB_URI`.
"""

from openaleph_procrastinate.app import make_app
from openaleph_procrastinate.model import DatasetJob
from openaleph_procrastinate.tasks import task

app = make_app(__name__)


def _defer(job: DatasetJob, stage: str) -> None:
    following = DatasetJob(dataset=job.dataset, batch=job.batch, queue=stage, task=stage, payload=job.payload)
    following.defer(app, priority=50)


@task(app=app, name="a", queue="a")
def a(job: DatasetJob) -> None:
    """Hand on."""
    _defer(job, "b")


@task(app=app, name="b", queue="b")
def b(job: DatasetJob) -> None:
    """Hand on."""
    _defer(job, "c")


@task(app=app, name="c", queue="c")
def c(job: DatasetJob) -> None:
    """End."""
