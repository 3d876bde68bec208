"""
The state of one attempt at a job, from reading it to the last hand-over. `execution` drives it and calls the function.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import Any

import orjson

from oaflow.errors import JobError, OaflowError
from oaflow.jobs import AnyJob, Bindings, Note, bind, load_whole, pack, read_as, read_job, settle
from oaflow.ledger.rows import Successor
from oaflow.plan import BoundPlan, BoundStage
from oaflow.runtime.choosing import Choice, choose
from oaflow.runtime.complaints import EmissionError, StreamDiffersError, TooManyJobsError
from oaflow.runtime.functions import Loaded, TaskError
from oaflow.runtime.messages import Assignment, Handover
from oaflow.runtime.router import (
    Emitted,
    Loss,
    Route,
    Routed,
    depth_of,
    edges_of,
    entities_of,
    facts_of,
    route,
    stage_of,
)
from oaflow.runtime.samples import sample
from oaflow.runtime.streams import Earlier, fingerprint
from oaflow.runtime.troubles import describe

# The most jobs that are handed over together at the end; more belong in a stream.
MOST_AT_ONCE = 10_000

# A chunk of a stream ends at whichever comes first. On the count: with 100 instead of 500, worker and database cost
# twice as much for each job, because a channel of the completer sends only one chunk at a time.
CHUNK_JOBS = 500
CHUNK_BYTES = 1_000_000
CHUNK_SECONDS = 0.2

_NOTED = tuple(field.name for field in fields(Note))


class Attempt:
    """
    The state of one attempt: what was emitted but not yet handed over.

    `lock` guards that state: a thread that hands over the result of `overdue` holds it until that is sent.
    """

    # Each attempt at a stream gets its own lock when it starts; other attempts need none, and making one costs time.
    lock: AbstractContextManager[Any] = nullcontext()
    _earlier = Earlier(())
    _bindings: Bindings | None = None
    _job: AnyJob | None = None
    _documents: tuple[str, ...] = ()
    _depth: Mapping[str, int] = {}
    _position = 0
    _emitted = 0
    _noted = 0  # how many notes existed when the last job was emitted
    _closed = False

    def __init__(
        self,
        assignment: Assignment,
        plan: BoundPlan,
        loaded: Loaded,
        job_bytes: int,
        routed: Callable[[Routed], None] | None = None,
    ) -> None:
        self.started = time.time()
        self._routed = routed
        self.assignment, self.plan, self.loaded = assignment, plan, loaded
        self.stage_name = assignment.stage
        self._job_bytes = job_bytes
        self._stage = plan.stages.get(self.stage_name)
        self._streams = self._stage is not None and self._stage.emit == "stream"
        self._external = self._stage is not None and self._stage.external
        self._pending: list[Emitted] = []
        if self._streams:
            self._earlier = Earlier(assignment.chunks)
            self.lock = threading.Lock()
            self._begin_part()

    def _begin_part(self) -> None:
        self._pending = []
        self._count = 0
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._since = time.monotonic()
        self._wanted = self._earlier.at(self._position)
        self._most = min(CHUNK_JOBS, self._earlier.room(self._position))

    @property
    def stage(self) -> BoundStage:
        """
        The stage of the plan.

        Raises:
            UnknownStageError: the plan does not have it.
        """
        return self._stage or stage_of(self.plan, self.stage_name)

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
        args = orjson.loads(self.assignment.args)
        self._job = job = read_as(args, self.loaded.models)
        # A model for payloads has no field for the context or the entities, unless its author wants to see them.
        plain = job if type(job.payload) is dict else read_job(args)
        self._documents, self._depth = plain.documents, depth_of(plain)
        return job

    def begin(self, bindings: Bindings) -> None:
        """
        Bind what the job can reach, and note what it is about.
        """
        self._bindings = bindings
        bindings.document = self._documents[0] if len(self._documents) == 1 else None
        bindings.fresh_in = None if self.assignment.attempt else self.assignment.run

    def call(self) -> Any:
        """
        Call the function.
        """
        return self.loaded.function(self.job, **self.loaded.arguments(self.stage.options))

    def add(self, port: str, job: AnyJob) -> Handover | None:
        """
        Take one emitted job; returns a chunk of the stream if it is time to hand one over.
        """
        self._emitted += 1
        if self._external:
            port = self.stage.port_of(port)
        if not self._streams:
            if len(self._pending) == MOST_AT_ONCE:
                raise TooManyJobsError(self.stage_name, MOST_AT_ONCE)
            self._pending.append((port, job, None))
            return None
        try:
            emitted = fingerprint(port, job)
        except JobError as problem:
            raise EmissionError(self.stage_name, problem, port) from problem
        if self._wanted is None:
            # This may take a while, and a chunk may become overdue meanwhile; that chunk has nothing of this job.
            ready = self._ready(port, job)
            with self.lock:
                self._take_in(emitted)
                self._pending.append(ready)
                return self._cut("chunk") if self._is_full() or self._waited() else None
        # What an earlier attempt has handed over is not sent again, but what of it did not travel is written again: the
        # end of an attempt leaves in the store of its document only what that attempt wrote.
        if edges_of(self.stage, port):
            pack(job, self._job_bytes)
        self._take_in(emitted)
        count, digest = self._wanted
        if self._count == count:
            if self._digest() != digest:
                raise StreamDiffersError(self.stage_name, self._position, count)
            self._position += count
            self._begin_part()
        return None

    def _take_in(self, emitted: bytes) -> None:
        self._hash.update(emitted)
        self._bytes += len(emitted)
        self._count += 1
        self._noted = len(self._bindings.notes) if self._bindings is not None else 0

    @property
    def enough(self) -> bool:
        """
        Whether to stop, because only the first jobs are wanted.
        """
        return self._emitted == self.assignment.first

    def overdue(self) -> Handover | None:
        """
        A chunk of the stream that has waited long enough while the function is busy with the next. Call this, and send
        the result, under `lock`.
        """
        return self._cut("chunk") if self.patience() == 0 and not self._closed else None

    def patience(self) -> float | None:
        """
        Seconds until something is overdue; None if nothing waits.
        """
        if not self._streams or not self._pending:
            return None
        return max(0.0, self._since + CHUNK_SECONDS - time.monotonic())

    def _is_full(self) -> bool:
        return self._count >= self._most or self._bytes >= CHUNK_BYTES

    def _waited(self) -> bool:
        return time.monotonic() - self._since >= CHUNK_SECONDS

    def last(self) -> Handover:
        """
        What is left, together with the end of the job. Before that, its writes to the store are finished.
        """
        if not self._streams:
            return self._settled(self._handover("done", self._all_ready()))
        if self._wanted is not None:
            raise StreamDiffersError(self.stage_name, self._position, self._wanted[0])
        if (missing := self._earlier.beyond(self._position + self._count)) is not None:
            raise StreamDiffersError(self.stage_name, *missing)
        with self.lock:
            self._closed = True
            return self._settled(self._cut("done"))

    def _settled(self, last: Handover) -> Handover:
        # Only once everything can be handed over: a wrong port must not delete what earlier attempts wrote.
        settle(self.job)
        return last

    def failed(self, error: BaseException) -> Handover:
        """
        The end of an attempt that failed. What it emitted but did not hand over is lost, with its notes; under
        `emit: always` it is included, and goes out if this was the last attempt.
        """
        with self.lock:
            self._closed = True
        detail: dict[str, Any] = {"error": describe(error, self.stage_name, self.loaded.function)}
        if self._documents:
            detail["documents"] = self._documents
        successors: tuple[Successor, ...] = ()
        if self.stage.emit == "always" and self._pending and self._bindings is not None:
            try:
                # The job's block has ended, but what is left out of jobs is still written in its name.
                with bind(self._bindings):
                    emitted = self._handover("failed", self._all_ready())
            except Exception:  # the emitted jobs are wrong, too: the first error is the one that matters
                self._pending = []
            else:
                detail = orjson.loads(emitted.detail) | detail
                successors = emitted.successors
        # A repetition would fail again: the author rejected the job, or what was written or returned is wrong.
        final = isinstance(error, TaskError) or (isinstance(error, OaflowError) and error.final) or self._job is None
        return self._message("failed", detail, successors, final=final)

    def _cut(self, outcome: str) -> Handover:
        part = self._handover(outcome, self._pending, self._position, self._digest())
        self._position += self._count
        self._begin_part()
        return part

    def _digest(self) -> str:
        # The digest includes the number of emitted jobs, because `size` in the table counts successors instead.
        return f"{self._count}:{self._hash.hexdigest()}"

    def _handover(
        self,
        outcome: str,
        pending: list[Emitted],
        position: int | None = None,
        digest: str | None = None,
    ) -> Handover:
        assignment = self.assignment
        routed = route(
            self.plan,
            self.stage_name,
            self.job,
            pending,
            run=assignment.run,
            job_id=assignment.job,
            depth=self._depth,
        )
        if self._routed is not None:
            self._routed(routed)
        successors = tuple([self._next(way) for way in routed.routes])
        detail = self._account(routed, whole=outcome != "chunk")
        if pending and assignment.sample:
            detail["returned"] = sample(pending, self._depth)
        return self._message(outcome, detail, successors, position, digest, warning=_stray(routed, self.stage_name))

    def _all_ready(self) -> list[Emitted]:
        return [self._ready(port, job) for port, job, _ in self._pending]

    def _ready(self, port: str, job: AnyJob) -> Emitted:
        """
        An emitted job, ready to be routed: its edges are decided first, and then its long texts are removed.
        """
        if not edges_of(self.stage, port):
            return port, job, None
        choice = self._choice(port, job) if port in self.stage.conditions else None
        # A service gets stubs, whose other content is in the store; so does every other target of the port.
        return port, pack(job, 0 if (self.stage_name, port) in self.plan.outward else self._job_bytes), choice

    def _choice(self, port: str, job: AnyJob) -> Choice:
        loads = any(condition.edge.load for condition in self.stage.conditions[port])
        return choose(
            self.stage,
            port,
            entities_of(job),
            facts_of(self.plan, job, self.assignment.run),
            loaded=load_whole(job) if loads else None,
        )

    def _next(self, way: Route) -> Successor:
        try:
            args = way.to_json()
        except JobError as problem:
            raise EmissionError(self.stage_name, problem, way.port) from problem
        return Successor(way.queue, way.task, way.stage, way.priority, args, way.collect, way.lock)

    def _account(self, routed: Routed, *, whole: bool) -> dict[str, Any]:
        """
        What else a hand-over contains. Notes about jobs not emitted yet go only with the `whole` rest: if a document is
        reported as found and its job never arrives, the receipt cannot account for it.
        """
        detail: dict[str, Any] = {}
        if routed.routes:
            detail["handed"] = [(way.stage, way.documents) for way in routed.routes]
        if routed.losses:
            detail["lost"] = [(loss.kind, loss.port, loss.reason, loss.documents, loss.size) for loss in routed.losses]
            detail |= _counted(routed.losses)
        if self._documents:
            detail["documents"] = self._documents
        if self._bindings is not None and (notes := self._bindings.notes):
            taken = notes[:] if whole else notes[: self._noted]
            detail["notes"] = [
                {key: value for key in _NOTED if (value := getattr(note, key)) is not None} for note in taken
            ]
            del notes[: len(taken)]  # not clear(): the function may have added notes meanwhile
            self._noted = 0
        return detail

    def _message(
        self,
        outcome: Any,
        detail: dict[str, Any],
        successors: tuple[Successor, ...] = (),
        position: int | None = None,
        digest: str | None = None,
        *,
        final: bool = False,
        warning: str | None = None,
    ) -> Handover:
        return Handover(
            self.assignment.job, outcome, self.started, time.time(), orjson.dumps(detail) if detail else b"{}",
            successors, position, digest, self.loaded.version, final, warning,
        )  # fmt: skip


def refused(assignment: Assignment, error: BaseException) -> Handover:
    """
    The end of an attempt that could not even begin.
    """
    now = time.time()
    detail = orjson.dumps({"error": describe(error, assignment.stage, None)})
    return Handover(assignment.job, "failed", now, now, detail, final=isinstance(error, TaskError))


def _counted(losses: Iterable[Loss]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for loss in losses:
        counts[loss.kind] = counts.get(loss.kind, 0) + loss.size
    return counts


def _stray(routed: Routed, stage: str) -> str | None:
    if routed.stray is None:
        return None
    queue, task = routed.stray
    return f"stage {stage!r} returned a job for queue {queue!r}, task {task!r}; in a pipeline the plan decides"
