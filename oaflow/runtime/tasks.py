"""
`@task`: a procrastinate task that takes a job and may return jobs, outside of any pipeline.

After the function has returned, each returned job goes to the queue and task that it names. A function that fails
queues nothing. A crash at the wrong moment can queue jobs twice; stages of a pipeline hand over exactly once.
"""

import functools
import inspect
from collections.abc import AsyncIterable, Callable, Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any, get_type_hints

from oaflow.errors import JobError
from oaflow.jobs import Job, read_job

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.tasks import Task


class ReturnedError(JobError):
    """
    A task returned something that is not a job.
    """

    def __init__(self, task: str, value: object) -> None:
        self.task, self.value = task, value
        super().__init__(
            f"task {task!r} returned {type(value).__name__}", help="return a job, an iterable of jobs, or nothing"
        )


def task(app: "App", **options: Any) -> "Callable[[Callable[..., Any]], Task[..., Any, ...]]":
    """
    Register a function as a task of an app.

    The function gets the job as an object of the class that its parameter is annotated with; without an annotation, as
    a `DatasetJob` if it has a dataset, otherwise as a `Job`. Called directly with a job, it runs as a plain function.

    Args:
        app: a procrastinate App.
        options: those of procrastinate's `App.task`. `retry=2` means up to three attempts.
    """

    def register(function: "Callable[..., Any]") -> "Task[..., Any, ...]":
        name = options.get("name") or f"{function.__module__}.{function.__name__}"
        return app.task(**options)(_wrapped(app, function, name, bool(options.get("pass_context"))))

    return register


def returned_jobs(task: str, value: object) -> list[Job]:
    """
    The output of a function, as jobs.

    Raises:
        ReturnedError: it contains something other than jobs.
    """
    # Jobs first: a pydantic model is iterable, too, over its fields.
    match value:
        case None:
            return []
        case Job():
            return [value]
        case str() | bytes() | dict():
            raise ReturnedError(task, value)
        case Iterable():
            return [_job(task, item) for item in value if item is not None]
        case _:
            raise ReturnedError(task, value)


def _job(task: str, value: object) -> Job:
    if not isinstance(value, Job):
        raise ReturnedError(task, value)
    return value


def _wrapped(app: "App", function: "Callable[..., Any]", name: str, with_context: bool) -> "Callable[..., Any]":
    wanted = functools.cache(lambda: _wanted(function, int(with_context)))

    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **row: Any) -> Any:
            if args and isinstance(args[-1], Job):
                called = function(*args, **row)
                return await called if inspect.isawaitable(called) else called
            called = function(*args, read_job(row, wanted()))
            value = await _collected(called) if isinstance(called, AsyncIterable) else await called
            for (queue, task, priority), group in _groups(returned_jobs(name, value)):
                deferrer = app.configure_task(task, queue=queue, priority=priority)
                await deferrer.batch_defer_async(*[job.by_hand() for job in group])
            return None

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **row: Any) -> Any:
        if args and isinstance(args[-1], Job):
            return function(*args, **row)
        value = function(*args, read_job(row, wanted()))
        for (queue, task, priority), group in _groups(returned_jobs(name, value)):
            app.configure_task(task, queue=queue, priority=priority).batch_defer(*[job.by_hand() for job in group])
        return None

    return run


async def _collected(values: "AsyncIterable[Any]") -> list[Any]:
    return [value async for value in values]


def _groups(jobs: list[Job]) -> "Iterable[tuple[tuple[str, str, int], Iterable[Job]]]":
    # Only adjacent jobs, so that jobs are sent in the order in which they were returned.
    return groupby(jobs, key=lambda job: (job.queue, job.task, job.priority))


def _wanted(function: "Callable[..., Any]", position: int) -> type[Job] | None:
    """
    The class that the job parameter is annotated with, if it is more specific than `Job`.
    """
    try:
        hints = get_type_hints(function)
        name = list(inspect.signature(function).parameters)[position]
    except (NameError, TypeError, ValueError, IndexError):
        # An annotation that cannot be resolved here, or a callable without a signature, counts as no annotation.
        return None
    hint = hints.get(name)
    return hint if isinstance(hint, type) and issubclass(hint, Job) and hint is not Job else None
