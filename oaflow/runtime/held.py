"""
A job that a worker has in hand (`Held`), and the run that it belongs to (`Passage`). Data only; nothing here waits.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from oaflow.errors import OaflowError
from oaflow.jobs import read_job
from oaflow.ledger.rows import Claimed, Successor
from oaflow.model import Retry
from oaflow.plan import ANSWERS, BoundPlan, BoundStage
from oaflow.runtime.dumps import place_in
from oaflow.runtime.locking import lock_of
from oaflow.runtime.messages import Assignment, Death
from oaflow.runtime.router import Route, divert, facts_of
from oaflow.runtime.samples import is_sample
from oaflow.runtime.troubles import storable


@dataclass(slots=True)
class Passage:
    """
    A run as this worker knows it. `first` limits how many jobs are taken from what its first jobs return; `held` counts
    its jobs in hand; `warned` has the stages warned about; `samples` is how many samples of the output of each stage
    are kept, and `begun` counts the jobs of each. `stops` tells whether it is cancelled after a number of failures.
    """

    id: str
    plan: BoundPlan
    dataset: str
    state: str
    first: int | None = None
    held: int = 0
    warned: set[str] = field(default_factory=set[str])
    samples: int = 0
    stops: bool = False
    begun: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def cancelled(self) -> bool:
        """
        Whether its results are discarded.
        """
        return self.state == "cancelled"

    def samples_next(self, stage: str) -> bool:
        """
        Whether the output of the next job of a stage is kept in the history.
        """
        number = self.begun[stage] = self.begun.get(stage, 0) + 1
        return is_sample(number, self.samples)


@dataclass(slots=True, eq=False)
class Held:
    """
    A job in hand. `collected` is how many jobs it was collected from, and `parted` tells whether it was taken out of
    such a job; `streamed` tells whether chunks of its output were handed over; `acknowledged` has what an async stream
    waits for, by position; `since` is when it arrived, on the monotonic clock.
    """

    row: Claimed
    passage: Passage
    stage: BoundStage
    parent: int | None
    collected: int = 0
    parted: bool = False
    streamed: bool = False
    acknowledged: dict[int, asyncio.Event] = field(default_factory=dict[int, asyncio.Event])
    since: float = field(default_factory=time.monotonic)

    def assignment(self, chunks: Sequence[tuple[int, str, int]] = ()) -> Assignment:
        """
        The attempt at this job, in the form that executors get.
        """
        row, passage, stage = self.row, self.passage, self.stage
        first = passage.first if self.parent is None and not stage.join and not self.collected else None
        return Assignment(
            row.id, row.attempts, passage.id, stage.name, row.args.encode(), stage.timeout, stage.memory, tuple(chunks),
            first, passage.samples_next(stage.name),
        )  # fmt: skip

    @property
    def documents(self) -> list[str]:
        """
        The ids of the documents that it carries; none if its content cannot be read.
        """
        return documents_of(self.row.args)

    @property
    def repeats_stream(self) -> bool:
        """
        Whether an earlier attempt may have handed over chunks of a stream. The attempt number does not tell: a job that
        was given back at a stop uses up none, and a job that runs again in a later round has a new row.
        """
        return self.stage.emit == "stream"

    def missing_lock(self) -> str | None:
        """
        The lock of a job that arrived without it, because whoever made it could not compute it: the job was collected,
        taken apart, or sent again. None if it has its lock, or needs none.

        Raises:
            LockError: the lock cannot be computed.
        """
        if self.stage.lock is None or self.row.lock is not None:
            return None
        job = read_job(orjson.loads(self.row.args))
        return lock_of(self.stage, facts_of(self.passage.plan, job, self.passage.id))

    def diverted(self, error: Mapping[str, Any]) -> list[Route]:
        """
        The job as it arrived, on its way to the `on_error` stage of its stage.
        """
        attempts = self.row.retries + self.row.crashes + 1
        run, job = self.passage.id, read_job(orjson.loads(self.row.args))
        return divert(self.passage.plan, self.stage.name, job, error, attempts=attempts, run=run, job_id=self.row.id)


def successor_of(way: Route) -> Successor:
    """
    A routed job, as it is handed over.
    """
    return Successor(way.queue, way.task, way.stage, way.priority, way.to_json(), way.collect, way.lock)


def held_of(row: Claimed, passage: Passage, mark: Mapping[str, Any]) -> Held:
    """
    A claimed job, built from the mark that oaflow put on it; with an `unknown_stage` if the plan does not have its
    stage.
    """
    stage, parent = str(mark.get("stage")), mark.get("parent")
    found = passage.plan.stages.get(stage) or unknown_stage(stage, row)
    return Held(
        row,
        passage,
        answering(found) if (row.queue, row.task) == ANSWERS else found,
        parent if isinstance(parent, int) else None,
        collected=mark.get("collected", 0),
        parted="parted" in mark,
    )


def answering(stage: BoundStage) -> BoundStage:
    """
    An external stage as it runs here, to pass on what its service handed over. The lock belonged to the service's job.
    """
    queue, task = ANSWERS
    return stage.model_copy(update={"queue": queue, "task": task, "lock": None})


def unknown_stage(name: str, row: Claimed) -> BoundStage:
    """
    Stands in for a stage that the plan does not have, so that its job can fail with a name.
    """
    return BoundStage(
        name=name,
        task=row.task,
        queue=row.queue,
        edges=(),
        dropped=(),
        options={},
        retry=Retry(max=0),
        timeout=None,
        memory=None,
        priority=row.priority,
        on_error=None,
        emit="success",
        external=False,
        origin=name,
    )


def timeout_error(stage: BoundStage, death: Death) -> dict[str, Any]:
    """
    The history's record of an attempt that exceeded its time limit: where it was, and the last lines that it printed.
    """
    error: dict[str, Any] = {
        "type": "Timeout",
        "message": f"stage {stage.name!r} was not done after {stage.timeout or 0:g} s",
        "fingerprint": f"{stage.name}:Timeout",
    }
    if death.dump and (place := place_in(death.dump, stage.task)):
        error["place"] = storable(place)
    return error | _left(death)


def worker_crash_error(crashes: int) -> dict[str, Any]:
    """
    The history's record of a job that crashed its worker this many times.
    """
    return {
        "type": "Crash",
        "message": f"the worker died with this job in it, {crashes} times",
        "fingerprint": "Crash:worker",
    }


def documents_of(args: str | bytes) -> list[str]:
    """
    The ids of the documents that a job carries; none if its content cannot be read.
    """
    try:
        return list(read_job(orjson.loads(args)).documents)
    except (OaflowError, ValueError):
        return []


def crash_error(death: Death) -> dict[str, Any]:
    """
    The history's record of an attempt whose process died: the signal, the memory, where it was, and the last lines that
    it printed.
    """
    if death.kind == "memory":
        how = f"was killed at {_mebibytes(death.rss or 0)}, above its memory limit"
    else:
        if death.signal:
            how = f"was killed by {death.signal}"
        elif death.code is not None:
            how = f"ended with exit code {death.code}"
        else:
            how = f"ended; {death.because}"
        if death.rss is not None:
            how += f"; it had {_mebibytes(death.rss)} of memory at most"
    code = "unknown" if death.code is None else death.code
    error: dict[str, Any] = {
        "type": "Crash",
        "message": f"the process that ran the job {how}",
        "fingerprint": f"Crash:{death.kind}:{death.signal or code}",
    }
    if death.signal:
        error["signal"] = death.signal
    return error | _left(death)


def _left(death: Death) -> dict[str, Any]:
    left: dict[str, Any] = {}
    if death.dump:
        left["traceback"] = storable(death.dump)
    if death.log_tail:
        left["log"] = [storable(line) for line in death.log_tail]
    return left


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"
