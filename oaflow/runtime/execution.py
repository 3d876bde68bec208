"""
One attempt at one job: read it, call the stage function, route its output. No queue, no process, no database.

The results are hand-overs: one at the end under `emit: success`; one per chunk and one at the end under
`emit: stream`. Every error of a function becomes a failed hand-over; nothing is raised.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import CoroutineType
from typing import Any, cast

from pydantic import BaseModel

from oaflow.jobs import AnyJob, Bindings, Job, bind, is_job
from oaflow.model import Out
from oaflow.plan import BoundPlan
from oaflow.runtime.attempt import Attempt
from oaflow.runtime.complaints import NotAJobError, StageTimeoutError
from oaflow.runtime.functions import Loaded
from oaflow.runtime.messages import Assignment, Handover
from oaflow.runtime.router import Routed, dataset_of

BindingsFactory = Callable[[str | None], Bindings]

# Makes bindings from the settings of the worker as JSON, the plan, the stage, the dataset, and a temporary folder.
Binder = Callable[[str, BoundPlan, str, str | None, Path], Bindings]


@cache
def binder_of(place: str) -> Binder:
    """
    The binder at `module:function`.
    """
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def execute(
    assignment: Assignment,
    plan: BoundPlan,
    loaded: Loaded,
    bindings_for: BindingsFactory,
    *,
    job_bytes: int = 16_000,
    begun: Callable[[Attempt], None] | None = None,
    routed: Callable[[Routed], None] | None = None,
    raised: Callable[[BaseException], None] | None = None,
) -> Iterator[Handover]:
    """
    Run a sync stage function, or a generator, once.

    Args:
        assignment: the attempt.
        plan: of the run.
        loaded: the function of the stage's task.
        bindings_for: makes the bindings of a job for its dataset: what it can reach.
        job_bytes: entities above this size are sent as stubs.
        begun: called with the attempt just before its function, so that another thread can hand over chunks that wait
            too long (`Attempt.overdue`).
        routed: called with the decisions for each part, before it is handed over.
        raised: called with each error, with its traceback, before it becomes a hand-over.
    """
    attempt = Attempt(assignment, plan, loaded, job_bytes, routed)
    try:
        job = attempt.read()
        with bind(bindings_for(dataset_of(job))) as bindings:
            attempt.begin(bindings)
            if begun is not None:
                begun(attempt)
            yield from _taken(attempt, attempt.call())
            last = attempt.last()
    except GeneratorExit:
        raise
    except BaseException as error:  # SystemExit too: a stage that calls sys.exit() has failed, but its process has not
        if raised is not None:
            raised(error)
        yield attempt.failed(error)
    else:
        yield last


async def execute_async(
    assignment: Assignment,
    plan: BoundPlan,
    loaded: Loaded,
    bindings_for: BindingsFactory,
    *,
    hand: Callable[[Handover], Awaitable[None]],
    job_bytes: int = 16_000,
    routed: Callable[[Routed], None] | None = None,
    raised: Callable[[BaseException], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Handover:
    """
    Run an async stage function, or an async generator, once, within `assignment.timeout`.

    Cancelling it cancels the function, and nothing is handed over.

    Args:
        assignment: the attempt.
        plan: of the run.
        loaded: the function of the stage's task.
        bindings_for: makes the bindings of a job for its dataset: what it can reach.
        hand: hands over a chunk of a stream. The function continues only after it has returned.
        job_bytes: entities above this size are sent as stubs.
        routed: called with the decisions for each part, before it is handed over.
        raised: called with each error, with its traceback, before it becomes a hand-over.
        cancelled: tells whether the attempt is cancelled. Without it, its asyncio task is asked, which the function may
            have cancelled itself.

    Returns:
        the end of the attempt. Not a generator: most attempts have nothing else, and it would cost as much as they do.
    """
    attempt = Attempt(assignment, plan, loaded, job_bytes, routed)
    clock = _Timeout(assignment)
    try:
        job = attempt.read()
        with bind(bindings_for(dataset_of(job))) as bindings:
            attempt.begin(bindings)
            returned = attempt.call()
            if type(returned) is CoroutineType or isinstance(returned, Awaitable):
                returned = await clock.within(cast("Awaitable[Any]", returned))
            if not is_job(returned) and isinstance(returned, AsyncIterable):
                await _hand_parts(attempt, clock, cast("AsyncIterable[Any]", returned), hand)
            else:
                for part in _taken(attempt, returned):
                    await clock.beside(hand(part))
            return attempt.last()
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and (cancelled or _is_cancelled)():
            raise
        if raised is not None:
            raised(error)
        return attempt.failed(error)


def _is_cancelled() -> bool:
    """
    Whether the attempt's own task is cancelled. If not, its function awaited something that was, which is an error.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _taken(attempt: Attempt, returned: Any) -> Iterable[Handover]:
    """
    Take what a function returned, or only its first jobs; yields the chunks to hand over on the way.
    """
    # A single job or none, as most stages return, skips the generator: it would cost 2 µs of an empty attempt's 20.
    if returned is None:
        return ()
    if is_job(returned):
        part = attempt.add("default", returned)
        return () if part is None else (part,)
    return _taken_one_by_one(attempt, returned)


def _taken_one_by_one(attempt: Attempt, returned: Any) -> Iterator[Handover]:
    for port, new in emissions(attempt.stage_name, returned):
        if (part := attempt.add(port, new)) is not None:
            yield part
        if attempt.enough:
            if (close := getattr(returned, "close", None)) is not None:
                close()  # a generator: it releases what it holds open now, within the bindings of its job
            return


async def _hand_parts(
    attempt: Attempt, clock: "_Timeout", items: AsyncIterable[Any], hand: Callable[[Handover], Awaitable[None]]
) -> None:
    source = aiter(items)
    try:
        while True:
            # In a separate task, so that waiting jobs can be handed over while the function is busy with the next.
            coming = asyncio.ensure_future(clock.within(anext(source, _END)))
            try:
                while not coming.done():
                    await asyncio.wait((coming,), timeout=attempt.patience())
                    if not coming.done() and (part := attempt.overdue()) is not None:
                        await hand(part)
            finally:
                if not coming.done():
                    coming.cancel()
                    await asyncio.wait((coming,))
            if (item := coming.result()) is _END:
                return
            emitted = emission(attempt.stage_name, item)
            if emitted is not None and (part := attempt.add(*emitted)) is not None:
                await clock.beside(hand(part))
            if attempt.enough:
                return
    finally:
        if (close := getattr(source, "aclose", None)) is not None:
            await close()


def emissions(stage: str, returned: Any) -> Iterable[tuple[str, AnyJob]]:
    """
    The output of a function, as ports and jobs.

    Raises:
        NotAJobError: it contains something else; for an iterable, when that item is reached.
    """
    # Jobs first: a pydantic model is iterable too, over its fields, and any other model is not a job.
    if returned is None or is_job(returned) or isinstance(returned, Out):
        items: Iterable[Any] = (returned,)
    elif isinstance(returned, str | bytes | Mapping | BaseModel) or not isinstance(returned, Iterable):
        raise NotAJobError(stage, returned)
    else:
        items = cast("Iterable[Any]", returned)
    return filter(None, map(partial(emission, stage), items))


def emission(stage: str, item: Any) -> tuple[str, AnyJob] | None:
    """
    One item that a function returned or yielded; None for None.

    Raises:
        NotAJobError: it is something else.
    """
    if is_job(item):
        return "default", item
    match item:
        case Out(port=port, job=Job() as job):
            return port, job
        case None:
            return None
        case _:
            raise NotAJobError(stage, item)


_END: Any = object()


class _Timeout:
    """
    The time that an attempt has left.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._stage, self._seconds = assignment.stage, assignment.timeout
        self._until = None if self._seconds is None else time.monotonic() + self._seconds

    async def beside(self, call: Awaitable[None]) -> None:
        """
        Wait without using up the time of the function: a chunk of its stream is accepted only if there is room.
        """
        began = time.monotonic()
        await call
        if self._until is not None:
            self._until += time.monotonic() - began

    def within(self, call: Awaitable[Any]) -> Awaitable[Any]:
        """
        Await something, ended when the time is over.
        """
        return call if self._until is None or self._seconds is None else self._limited(call, self._until, self._seconds)

    async def _limited(self, call: Awaitable[Any], until: float, seconds: float) -> Any:
        limit = asyncio.timeout(until - time.monotonic())
        try:
            async with limit:
                return await call
        except TimeoutError as error:
            if limit.expired():
                # The function is cancelled where it was at that moment, so the traceback shows that place.
                ended = StageTimeoutError(self._stage, seconds)
                raise ended.with_traceback(error.__cause__ and error.__cause__.__traceback__) from None
            raise
