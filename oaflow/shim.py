"""
A worker of a service, as `procrastinate worker` is, whose jobs hand over all at once: `python -m oaflow.shim -q QUEUE`
in its place, with the same options. It stands in the environment of the service, which has procrastinate and not what
oaflow needs: nothing else is imported.

What a task defers for a job of an external stage is collected, and written down in one statement when the job has come
to its end. So an attempt that is repeated leaves nothing behind, and one that another worker has taken over is not
heard. All other jobs are worked on and handed over as ever.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from procrastinate import App, cli
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException, ProcrastinateException
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from oaflow.ledger.statements import sql

# How often an end is told to a database that does not answer, and the seconds in between: once it is told it may be
# told again, and until then the job is not ended.
_TIMES, _PAUSE = 30, 2.0


class UnpreparedError(ProcrastinateException):
    """
    The database does not have oaflow's tables, or not for this role.
    """

    def __init__(self) -> None:
        super().__init__(
            "the database does not have what oaflow needs, or this role may not use it\n"
            "help:  oaflow db migrate   # as who owns it, with GRANT of its schema to the role of the service"
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """
    A job of an external stage that is being worked on, with what its task has deferred so far.
    """

    job: Job
    emitted: list[Job] = field(default_factory=list[Job])

    def takes(self, job: Job) -> bool:
        """
        Whether a job is of this one: it carries the mark, as services copy the context of their job.
        """
        return _mark(job) == _mark(self.job)


_now: ContextVar[_Told | None] = ContextVar("oaflow_job", default=None)


class Collecting(JobManager):
    """
    Keeps back what is deferred for the job at hand. Says in the database which tasks a worker of this kind has, so that
    a run knows that somebody sees what their service hands over.

    Args:
        tasks: names those of the app.
    """

    def __init__(self, connector: BaseConnector, tasks: Callable[[], list[str]]) -> None:
        super().__init__(connector)
        self._tasks = tasks

    async def batch_defer_jobs_async(self, jobs: list[Job], connection: Any | None = None) -> list[Job]:
        """
        As its own; but what is of the job at hand is kept back, under the number of that.
        """
        others = _not_kept_back(jobs)
        return _numbered(jobs, await super().batch_defer_jobs_async(others, connection) if others else [])

    def batch_defer_jobs(self, jobs: list[Job], connection: Any | None = None) -> list[Job]:
        """
        The same, for tasks that are no coroutines.
        """
        others = _not_kept_back(jobs)
        return _numbered(jobs, super().batch_defer_jobs(others, connection) if others else [])

    async def register_worker(self) -> int:
        """
        As its own, and with its tasks.

        Raises:
            UnpreparedError: oaflow is not in this database.
        """
        worker = await super().register_worker()
        try:
            await self.connector.execute_query_async(sql("shim_begins"), worker=worker, tasks=self._tasks())
        except ConnectorException as error:
            await self.unregister_worker(worker)
            raise UnpreparedError from error
        return worker

    async def end(self, job: Job, emitted: list[Job], failed: BaseException | None) -> None:
        """
        Tell that a job has come to its end.
        """
        error = None if failed is None else {"message": f"{type(failed).__name__}: {failed}"[:2000]}
        values = {
            "job": job.id,
            "attempt": job.attempts,
            "emitted": json.dumps([one.task_kwargs for one in emitted]),
            "error": None if error is None else json.dumps(error).replace("\\u0000", ""),
        }
        for last in (*[False] * (_TIMES - 1), True):
            try:
                await self.connector.execute_query_async(sql("shim_ends"), **values)
            except ConnectorException:
                if last:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return


async def collect(call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Any) -> Any:
    """
    Around each job: what it defers is collected, and handed over with its end, but not where it will be repeated.
    """
    job, manager = context.job, worker.app.job_manager
    if "external" not in _mark(job):
        return await call_next()
    told = _Told(job)
    token = _now.set(told)
    try:
        result = await call_next()
    except Exception as error:
        task = worker.app.tasks.get(job.task_name)
        if task is None or task.get_retry_exception(exception=error, job=job) is None:
            await manager.end(job, told.emitted, error)
        raise
    finally:
        _now.reset(token)
    await manager.end(job, told.emitted, None)
    return result


def prepare(app: App) -> None:
    """
    Let the workers of an app do so.
    """
    app.job_manager = Collecting(app.job_manager.connector, lambda: sorted(app.tasks))
    before = app.worker_defaults.get("worker_middleware") or []
    app.worker_defaults["worker_middleware"] = [collect, *before]


def main(arguments: list[str]) -> None:
    """
    `procrastinate worker` with the given options, of the app that `PROCRASTINATE_APP` names.
    """
    name = os.environ.get("PROCRASTINATE_APP", "")
    try:
        app = App.from_path(name)
    except ProcrastinateException as error:
        problem = f"the app {name!r} cannot be loaded: {error}" if name else "PROCRASTINATE_APP is not set"
        sys.exit(f"error: {problem}\nhelp:  PROCRASTINATE_APP=service.tasks.app python -m oaflow.shim -q QUEUE")
    prepare(app)
    asyncio.run(cli.cli(["worker", *arguments]))


def _not_kept_back(jobs: list[Job]) -> list[Job]:
    """
    Keeps back those of the jobs that are of the one at hand, and answers the others.
    """
    told = _now.get()
    if told is None:
        return jobs
    told.emitted.extend(job for job in jobs if told.takes(job))
    return [job for job in jobs if not told.takes(job)]


def _numbered(jobs: list[Job], deferred: list[Job]) -> list[Job]:
    """
    All of the jobs with a number, as who defers expects: what is kept back has that of the job at hand.
    """
    told, others = _now.get(), iter(deferred)
    return [job.evolve(id=told.job.id) if told and told.takes(job) else next(others) for job in jobs]


def _mark(job: Job) -> dict[str, Any]:
    payload = job.task_kwargs.get("payload")
    context = payload.get("context") if isinstance(payload, dict) else None
    mark = context.get("oaflow") if isinstance(context, dict) else None
    return mark if isinstance(mark, dict) else {}


if __name__ == "__main__":
    main(sys.argv[1:])
