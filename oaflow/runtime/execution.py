"""
One attempt at one job: read it, call the stage function, route what it returns. No queue, no process, no database.

What comes out are hand-overs: one at the end under `emit: success`, one for each part of a stream and one at the end
under `emit: stream`. Every mistake of a function becomes a failed hand-over; nothing is raised.
"""

import asyncio
import hashlib
import os
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, cast

import orjson

from oaflow.errors import JobError, Reject, RouteError
from oaflow.jobs import AnyJob, Bindings, Job, bind, pack, read_job, settle
from oaflow.model import Out
from oaflow.plan import BoundPlan, BoundStage
from oaflow.runtime.functions import Loaded, TaskError
from oaflow.runtime.messages import Assignment, Handover, Next
from oaflow.runtime.router import Loss, Routed, dataset_of, edges_of, route, stage_of

# Handed over together at the end; more belongs in a stream.
MOST_AT_ONCE = 10_000

# A part of a stream is cut at whichever comes first.
CHUNK_JOBS = 100
CHUNK_SECONDS = 0.2

_MOST_TEXT = 50_000

BindingsFactory = Callable[[str | None], AbstractContextManager[Bindings]]


class NotAJobError(RouteError):
    """
    A stage returned something that is no job.
    """

    def __init__(self, stage: str, value: Any) -> None:
        self.stage, self.found = stage, type(value).__name__
        super().__init__(
            f"stage {stage!r} returned {self.found} {_short(value)}, which is no job",
            help="a stage returns a job, Out(port, job), an iterable of these, or None",
        )


class TooManyJobsError(RouteError):
    """
    A stage returned more jobs than are handed over together.
    """

    def __init__(self, stage: str, most: int) -> None:
        self.stage, self.most = stage, most
        super().__init__(
            f"stage {stage!r} returned more than {most:,} jobs, which are handed over together under 'emit: success'",
            help="say 'emit: stream' for the stage, and yield the jobs",
        )


class StreamDiffersError(RouteError):
    """
    A repeated attempt at a stream does not repeat what earlier attempts handed over.
    """

    def __init__(self, stage: str, position: int, size: int) -> None:
        self.stage, self.position, self.size = stage, position, size
        super().__init__(
            f"stage {stage!r} repeated its stream, and it differs from what was handed over: the first difference is "
            f"in jobs {position} to {position + size - 1}",
            help="a stage with 'emit: stream' yields the same jobs in the same order each time",
        )


class EmissionError(RouteError):
    """
    A returned job cannot be written.
    """

    def __init__(self, stage: str, problem: JobError) -> None:
        self.stage, self.problem = stage, problem
        super().__init__(f"stage {stage!r} returned a job that cannot be sent: {problem}", help=problem.help)


class StageTimeoutError(TimeoutError):
    """
    An async stage took longer than its `timeout`.
    """

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage, self.seconds = stage, seconds
        super().__init__(f"stage {stage!r} took longer than its timeout of {seconds:g} s")


def execute(
    assignment: Assignment,
    plan: BoundPlan,
    loaded: Loaded,
    bindings_for: BindingsFactory,
    *,
    job_bytes: int = 16_000,
    begun: Callable[["Attempt"], None] | None = None,
) -> Iterator[Handover]:
    """
    Run a sync stage function, or a generator, once.

    Args:
        assignment: the attempt.
        plan: of the run.
        loaded: the function of the stage's task.
        bindings_for: makes what the job can reach, for its dataset.
        job_bytes: entities above this size travel as stubs.
        begun: told of the attempt when its function is about to be called, so that another thread can hand over what
            waits too long (`Attempt.overdue`).
    """
    attempt = Attempt(assignment, plan, loaded, job_bytes)
    try:
        job = attempt.read()
        with bindings_for(dataset_of(job)) as bindings, bind(bindings):
            attempt.begin(bindings)
            if begun is not None:
                begun(attempt)
            for port, new in emissions(attempt.stage.name, attempt.call()):
                if (part := attempt.add(port, new)) is not None:
                    yield part
            last = attempt.last()
    except GeneratorExit:
        raise
    except BaseException as error:  # SystemExit too: a stage that calls sys.exit() has failed, its process has not
        yield attempt.failed(error)
    else:
        yield last


async def execute_async(
    assignment: Assignment,
    plan: BoundPlan,
    loaded: Loaded,
    bindings_for: BindingsFactory,
    *,
    job_bytes: int = 16_000,
) -> AsyncIterator[Handover]:
    """
    Run an async stage function, or an async generator, once; within `assignment.timeout`.

    To be consumed by one asyncio task. Cancelling that task cancels the function, and nothing is handed over.
    """
    attempt = Attempt(assignment, plan, loaded, job_bytes)
    clock = _Timeout(attempt.stage_name, assignment.timeout)
    try:
        job = attempt.read()
        with bindings_for(dataset_of(job)) as bindings, bind(bindings):
            attempt.begin(bindings)
            returned = attempt.call()
            if isinstance(returned, Awaitable):
                returned = await clock.within(cast("Awaitable[Any]", returned))
            if isinstance(returned, AsyncIterable):
                async for part in _parts(attempt, clock, cast("AsyncIterable[Any]", returned)):
                    yield part
            else:
                for port, new in emissions(attempt.stage.name, returned):
                    if (part := attempt.add(port, new)) is not None:
                        yield part
            last = attempt.last()
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        if _is_cancellation(error):
            raise
        yield attempt.failed(error)
    else:
        yield last


async def _parts(attempt: "Attempt", clock: "_Timeout", items: AsyncIterable[Any]) -> AsyncIterator[Handover]:
    source = aiter(items)
    try:
        while True:
            # A task of its own, so that what waits can be handed over while the function is busy with the next.
            coming = asyncio.ensure_future(clock.within(anext(source, _END)))
            try:
                while not coming.done():
                    await asyncio.wait((coming,), timeout=attempt.patience())
                    if not coming.done() and (part := attempt.overdue()) is not None:
                        yield part
            finally:
                if not coming.done():
                    coming.cancel()
                    await asyncio.wait((coming,))
            if (item := coming.result()) is _END:
                return
            for port, new in emission(attempt.stage_name, item):
                if (part := attempt.add(port, new)) is not None:
                    yield part
    finally:
        if (close := getattr(source, "aclose", None)) is not None:
            await close()


def emissions(stage: str, returned: Any) -> Iterator[tuple[str, AnyJob]]:
    """
    What a function returned, as ports and jobs.

    Raises:
        NotAJobError: something else is in it.
    """
    # Routable first: a pydantic model is Iterable too, over its fields.
    if returned is None or isinstance(returned, Job | Out):
        yield from emission(stage, returned)
    elif isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
        raise NotAJobError(stage, returned)
    else:
        for item in cast("Iterable[Any]", returned):
            yield from emission(stage, item)


def emission(stage: str, item: Any) -> Iterator[tuple[str, AnyJob]]:
    """
    One item of what a function returned or yielded; None is none.
    """
    match item:
        case Job():
            yield "default", item
        case Out(port=port, job=Job() as job):
            yield port, job
        case None:
            return
        case _:
            raise NotAJobError(stage, item)


class Attempt:
    """
    The state of one attempt: what was emitted and not yet handed over.

    `lock` is held where that changes: a thread that hands over what `overdue` answers holds it until that is sent.
    """

    def __init__(self, assignment: Assignment, plan: BoundPlan, loaded: Loaded, job_bytes: int) -> None:
        self.started = time.time()
        self.assignment, self.plan, self.loaded = assignment, plan, loaded
        self.stage_name = assignment.stage
        self._job_bytes = job_bytes
        self._job: AnyJob | None = None
        self._bindings: Bindings | None = None
        self._earlier = Earlier(assignment.chunks)
        self.lock = threading.Lock()
        self._position = 0
        self._closed = False
        self._begin_part()

    def _begin_part(self) -> None:
        self._pending: list[tuple[str, AnyJob]] = []
        self._count = 0
        self._hash = hashlib.sha256()
        self._since = time.monotonic()
        self._wanted = self._earlier.at(self._position)
        self._most = min(CHUNK_JOBS, self._earlier.room(self._position))

    @property
    def stage(self) -> BoundStage:
        """
        The stage of the plan.
        """
        return stage_of(self.plan, self.stage_name)

    @property
    def job(self) -> AnyJob:
        """
        The job, once it is read.
        """
        assert self._job is not None
        return self._job

    def read(self) -> AnyJob:
        """
        The job that was assigned.
        """
        self._job = read_job(orjson.loads(self.assignment.args), self.loaded.model)
        return self._job

    def begin(self, bindings: Bindings) -> None:
        """
        Take what the job can reach, and say what it is about.
        """
        self._bindings = bindings
        documents = self.job.documents
        bindings.document = documents[0] if len(documents) == 1 else None

    def call(self) -> Any:
        """
        Call the function.
        """
        return self.loaded.function(self.job, **self.loaded.arguments(self.stage.options))

    def add(self, port: str, job: AnyJob) -> Handover | None:
        """
        Take one emitted job; answers a part of the stream where it is time to hand one over.
        """
        if self.stage.emit != "stream":
            if len(self._pending) == MOST_AT_ONCE:
                raise TooManyJobsError(self.stage_name, MOST_AT_ONCE)
            self._pending.append((port, job))
            return None
        self._hash.update(fingerprint(port, job, self.stage_name))
        if self._wanted is None:
            job = self._packed(port, job)
            with self.lock:
                self._count += 1
                self._pending.append((port, job))
                return self._cut("chunk") if self._waited() or self._count >= self._most else None
        self._count += 1
        count, digest = self._wanted
        if self._count == count:
            if self._digest() != digest:
                raise StreamDiffersError(self.stage_name, self._position, count)
            self._position += count
            self._begin_part()
        return None

    def overdue(self) -> Handover | None:
        """
        A part of the stream that has waited long enough, while the function is busy with the next. To be called, and
        what it answers to be sent, under `lock`.
        """
        return self._cut("chunk") if self.patience() == 0 and not self._closed else None

    def patience(self) -> float | None:
        """
        Seconds until something is overdue; None where nothing waits.
        """
        if self.stage.emit != "stream" or not self._pending:
            return None
        return max(0.0, self._since + CHUNK_SECONDS - time.monotonic())

    def _waited(self) -> bool:
        return time.monotonic() - self._since >= CHUNK_SECONDS

    def last(self) -> Handover:
        """
        What is left, together with the end of the job. What the job wrote to the store is finished before.
        """
        if self.stage.emit != "stream":
            pending = [(port, self._packed(port, job)) for port, job in self._pending]
            return self._settled(self._handover("done", pending))
        if self._wanted is not None:
            raise StreamDiffersError(self.stage_name, self._position, self._wanted[0])
        if (missing := self._earlier.beyond(self._position + self._count)) is not None:
            raise StreamDiffersError(self.stage_name, *missing)
        with self.lock:
            self._closed = True
            return self._settled(self._cut("done"))

    def _settled(self, last: Handover) -> Handover:
        # Only when all of it can be handed over: what earlier attempts wrote must not go because of a wrong port.
        settle(self.job)
        return last

    def failed(self, error: BaseException) -> Handover:
        """
        The end of an attempt that went wrong. What it emitted and did not hand over is gone, notes included.
        """
        with self.lock:
            self._closed = True
        detail: dict[str, Any] = {"error": describe(error, self.stage_name, self.loaded.function)}
        if self._job is not None and self._job.documents:
            detail["documents"] = self._job.documents
        # A repetition would come to the same: refused by the author, or a mistake in what was returned.
        final = isinstance(error, Reject | RouteError | TaskError) or self._job is None
        return self._message("failed", detail, final=final)

    def _cut(self, outcome: str) -> Handover:
        part = self._handover(outcome, self._pending, self._position, self._digest())
        self._position += self._count
        self._begin_part()
        return part

    def _digest(self) -> str:
        # The number of jobs is in it: `size` of the table counts successors, which are others than what was emitted.
        return f"{self._count}:{self._hash.hexdigest()}"

    def _handover(
        self,
        outcome: str,
        pending: list[tuple[str, AnyJob]],
        position: int | None = None,
        digest: str | None = None,
    ) -> Handover:
        routed = route(
            self.plan, self.stage_name, self.job, pending, run=self.assignment.run, job_id=self.assignment.job
        )
        successors = tuple(
            Next(way.queue, way.task, way.stage, way.priority, self._written(way.job)) for way in routed.routes
        )
        return self._message(
            outcome, self._account(routed), successors, position, digest, warning=_stray(routed, self.stage_name)
        )

    def _packed(self, port: str, job: AnyJob) -> AnyJob:
        return pack(job, self._job_bytes) if edges_of(self.stage, port) else job

    def _written(self, job: AnyJob) -> bytes:
        try:
            return orjson.dumps(job.to_wire())
        except JobError as problem:
            raise EmissionError(self.stage_name, problem) from problem

    def _account(self, routed: Routed) -> dict[str, Any]:
        detail: dict[str, Any] = {}
        if routed.routes:
            detail["handed"] = [(way.stage, way.documents) for way in routed.routes]
        if routed.losses:
            detail["lost"] = [(loss.kind, loss.port, loss.reason, loss.documents) for loss in routed.losses]
            detail |= _counted(routed.losses)
        if documents := self.job.documents:
            detail["documents"] = documents
        if self._bindings is not None and (notes := self._bindings.notes):
            taken = list(notes)
            detail["notes"] = [
                {"kind": note.kind, "document": note.document, "name": note.name, "reason": note.reason}
                for note in taken
            ]
            del notes[: len(taken)]  # not clear(): the function may have noted more meanwhile
        return detail

    def _message(
        self,
        outcome: Any,
        detail: dict[str, Any],
        successors: tuple[Next, ...] = (),
        position: int | None = None,
        digest: str | None = None,
        *,
        final: bool = False,
        warning: str | None = None,
    ) -> Handover:
        return Handover(
            job=self.assignment.job,
            outcome=outcome,
            started=self.started,
            ended=time.time(),
            detail=orjson.dumps(detail) if detail else b"{}",
            next=successors,
            position=position,
            digest=digest,
            version=self.loaded.version,
            final=final,
            warning=warning,
        )


class Earlier:
    """
    The parts of a stream that earlier attempts handed over, by position.
    """

    def __init__(self, chunks: Iterable[tuple[int, str, int]]) -> None:
        self._parts = {position: (int(digest.partition(":")[0]), digest) for position, digest, _ in chunks}

    def at(self, position: int) -> tuple[int, str] | None:
        """
        How many jobs begin here that were handed over together, and their digest.
        """
        return self._parts.get(position)

    def room(self, position: int) -> int:
        """
        How many jobs lie between a position and the next part that was handed over.
        """
        later = [other - position for other in self._parts if other > position]
        return min(later, default=sys.maxsize)

    def beyond(self, position: int) -> tuple[int, int] | None:
        """
        Position and size of the first part at or after a position.
        """
        later = [(other, count) for other, (count, _) in self._parts.items() if other >= position]
        return min(later, default=None)


def fingerprint(port: str, job: AnyJob, stage: str) -> bytes:
    """
    An emitted job as bytes that are the same whenever the same is emitted.

    Lists of texts in entities are sorted: what is a set in followthemoney comes in another order from another process.
    oaflow's own mark is left out, since a job that is run again in a later round has another id.
    """
    try:
        wire = job.to_wire()
    except JobError as problem:
        raise EmissionError(stage, problem) from problem
    wire.pop("batch", None)
    payload: Any = dict(wire.get("payload") or {})
    if "entities" in payload:
        payload["entities"] = [_sorted(entity) for entity in payload["entities"]]
    if isinstance(context := payload.get("context"), dict):
        payload["context"] = {key: value for key, value in cast("dict[str, Any]", context).items() if key != "oaflow"}
    return orjson.dumps([port, wire | {"payload": payload}], option=orjson.OPT_SORT_KEYS)


def refused(assignment: Assignment, error: BaseException) -> Handover:
    """
    The end of an attempt that could not even begin.
    """
    now = time.time()
    detail = orjson.dumps({"error": describe(error, assignment.stage, None)})
    return Handover(assignment.job, "failed", now, now, detail, final=isinstance(error, TaskError))


def describe(error: BaseException, stage: str, function: Callable[..., Any] | None) -> dict[str, Any]:
    """
    An exception as history keeps it: type, message, traceback of the author's frames, fingerprint.
    """
    frames = _author_frames(error.__traceback__, function)
    shown = traceback.TracebackException(type(error), error, _first_of(error.__traceback__), compact=True)
    kind = type(error)
    known = kind.__module__ == "builtins" or kind.__module__.startswith("oaflow.")
    name = kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"
    place = frames[-1] if frames else stage
    told: dict[str, Any] = {
        "type": name,
        "message": _clean(str(error)),
        "traceback": _clean("".join(shown.format())),
        "fingerprint": hashlib.sha256(f"{stage}\n{name}\n{place}".encode(errors="replace")).hexdigest()[:12],
    }
    if help := getattr(error, "help", None):
        told["help"] = _clean(str(help))
    return told


_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STAGES = os.path.join(_OWN, "stages") + os.sep
_NOT_AUTHORS = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def _author_frames(trace: TracebackType | None, function: Callable[..., Any] | None) -> list[str]:
    """
    `file:function` of the frames that the author of the stage wrote, the innermost last.
    """
    package = getattr(function, "__module__", None) or ""
    package = package.partition(".")[0]
    frames: list[str] = []
    for frame, _ in traceback.walk_tb(trace):
        file = frame.f_code.co_filename
        module = str(frame.f_globals.get("__name__", ""))
        ours = file.startswith(_OWN) and not file.startswith(_STAGES)
        foreign = ours or file.startswith(_NOT_AUTHORS) or file.startswith("<frozen")
        if not foreign or (not ours and module.partition(".")[0] == package):
            frames.append(f"{module}:{frame.f_code.co_qualname}")
    return frames


def _first_of(trace: TracebackType | None) -> TracebackType | None:
    """
    The traceback without the frames of the machinery that called the function; none where nothing else is left.
    """
    rest = trace
    while rest is not None and rest.tb_frame.f_code.co_filename == __file__:
        rest = rest.tb_next
    return rest


def _counted(losses: Iterable[Loss]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for loss in losses:
        counts[loss.kind] = counts.get(loss.kind, 0) + 1
    return counts


def _stray(routed: Routed, stage: str) -> str | None:
    if routed.stray is None:
        return None
    queue, task = routed.stray
    return f"stage {stage!r} returned a job for queue {queue!r}, task {task!r}; in a pipeline the plan decides"


def _sorted(entity: Any) -> Any:
    match entity:
        case dict():
            return {key: _sorted(value) for key, value in cast("dict[str, Any]", entity).items()}
        case list() if all(isinstance(value, str) for value in cast("list[Any]", entity)):
            return sorted(cast("list[str]", entity))
        case _:
            return entity


def _clean(text: str) -> str:
    # What Postgres can store: no NUL, no lone surrogate.
    text = text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT // 2]}\n[...]\n{text[-_MOST_TEXT // 2 :]}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        return ""
    return _clean(text if len(text) <= 80 else text[:77] + "...")


_END: Any = object()


class _Timeout:
    """
    What is left of the time of an attempt.
    """

    def __init__(self, stage: str, seconds: float | None) -> None:
        self._stage, self._seconds = stage, seconds
        self._until = None if seconds is None else time.monotonic() + seconds

    async def within(self, call: Awaitable[Any]) -> Any:
        if self._until is None or self._seconds is None:
            return await call
        limit = asyncio.timeout(self._until - time.monotonic())
        try:
            async with limit:
                return await call
        except TimeoutError:
            if limit.expired():
                raise StageTimeoutError(self._stage, self._seconds) from None
            raise


def _is_cancellation(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError)
