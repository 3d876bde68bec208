"""
Stages that write down what they do, over a connection of their own: what they say is independent of the ledger.

`OAFLOW_NOTES` is the address. A note is committed before the stage goes on, however often it has to be sent.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from oaflow import DatasetJob, Out, Reject, stage

TABLE = """
CREATE TABLE IF NOT EXISTS notes (
    at timestamptz NOT NULL DEFAULT clock_timestamp(), moment text NOT NULL, run text NOT NULL, stage text NOT NULL,
    document text NOT NULL, parent bigint, emitted_by text, attempt text NOT NULL, beside text[] NOT NULL,
    pid integer NOT NULL)
"""
_INSERT = """
INSERT INTO notes (moment, run, stage, parent, attempt, pid, beside, document, emitted_by)
SELECT %(moment)s, %(run)s, %(stage)s, %(parent)s, %(attempt)s, %(pid)s, %(documents)s::text[], document, emitted_by
  FROM unnest(%(documents)s::text[], %(emitters)s::text[]) AS u (document, emitted_by)
"""

# The property of a document that names the attempt which handed it on. Not the context: what differs in that is not put
# together.
_EMITTER = "processingAgent"
_PATIENCE = 120.0

_connection: psycopg.Connection[Any] | None = None


def _send(values: dict[str, Any]) -> None:
    """
    Insert a note for each document of a job. What is sent again after a lost answer stands there twice, which no check
    minds.
    """
    global _connection
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            if _connection is None or _connection.closed:
                _connection = psycopg.connect(os.environ["OAFLOW_NOTES"], autocommit=True, application_name="notes")
            _connection.execute(_INSERT, values)
            return
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if _connection is not None:
                _connection.close()
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)


class _Attempt:
    """
    One attempt at a job, as its stage sees it.
    """

    def __init__(self, job: DatasetJob) -> None:
        mark = job.context["oaflow"]
        self._job, self._id = job, uuid.uuid4().hex
        self._about = {
            "run": mark["run"],
            "stage": mark["stage"],
            "parent": mark.get("parent"),
            "attempt": self._id,
            "pid": os.getpid(),
            "documents": [entity["id"] for entity in job.entities] or [""],
            "emitters": [_emitter(entity) for entity in job.entities] or [job.context.get("emitted_by")],
        }

    def note(self, moment: str) -> None:
        """
        Write down a moment of this attempt.
        """
        _send({**self._about, "moment": moment})

    def child(self) -> DatasetJob:
        """
        The job, each of whose documents, or else its context, has the name of the attempt that hands it on.
        """
        if not self._job.entities:
            return self._job.with_entities([], emitted_by=self._id)
        return self._job.with_entities(
            [{**entity, "properties": {_EMITTER: [self._id]}} for entity in self._job.entities]
        )


def _emitter(entity: dict[str, Any]) -> str | None:
    return next(iter(entity["properties"].get(_EMITTER, ())), None)


def _ordered(what: str) -> bool:
    """
    Whether somebody ordered a misdeed; each order is taken by one attempt.
    """
    folder = os.environ.get("OAFLOW_ORDERS")
    if folder is None:
        return False
    for order in Path(folder).glob(f"{what}-*"):
        with suppress(FileNotFoundError):
            order.unlink()
            return True
    return False


@stage(emit="stream")
def fans(job: DatasetJob, *, width: int = 4, seconds: float = 0.0) -> Iterator[DatasetJob]:
    """Find so many documents below the one that came. All attempts yield the same."""
    attempt = _Attempt(job)
    attempt.note("began")
    for number in range(width):
        document = f"{job.documents[0]}.{number}"
        job.found(document, f"{document}.txt")
        time.sleep(seconds)
        # The text does not travel: it is written to the store, where a condition that loads reads it.
        text = "passed over" if number == 1 else "kept"
        yield job.with_entities([{"id": document, "schema": "PlainText", "properties": {"bodyText": [text]}}])
    attempt.note("ended")


@stage(ports=("default", "copies"))
def works(job: DatasetJob, *, seconds: float = 0.0) -> Iterator[Out]:
    """Take some time, and hand on on two ports. Ordered to, it takes all the memory that there is for it."""
    attempt = _Attempt(job)
    attempt.note("began")
    if _ordered("hoard"):
        attempt.note("hoard")
        held = list[bytes]()
        while True:
            held.append(os.urandom(4 << 20))
    time.sleep(seconds)
    yield Out("default", attempt.child())
    yield Out("copies", attempt.child())
    attempt.note("ended")


@stage(retry={"max": 5, "base": "100ms", "backoff": "none"})
async def rests(job: DatasetJob, *, seconds: float = 0.0, fails_every: int = 0) -> DatasetJob:
    """
    Rest in the worker's own loop, or, ordered to, block it. Some documents fail, each other time.
    """
    attempt = _Attempt(job)
    await asyncio.to_thread(attempt.note, "began")
    if _ordered("block"):
        await asyncio.to_thread(attempt.note, "block")
        time.sleep(float(os.environ.get("OAFLOW_BLOCK", "1")))
    await asyncio.sleep(seconds)
    if fails_every and sum(map(int, job.documents[0].split("."))) % fails_every == 0 and _is_first(job):
        raise RuntimeError("not yet")
    await asyncio.to_thread(attempt.note, "ended")
    return attempt.child()


def _is_first(job: DatasetJob) -> bool:
    """
    Whether this process sees a job for the first time.
    """
    key = job.context["oaflow"]["run"], job.documents[0]
    if key in _seen:
        return False
    _seen.add(key)
    return True


_seen = set[tuple[str, str]]()


@stage
async def waits(job: DatasetJob) -> DatasetJob:
    """Ordered to, wait until it is told to go on."""
    attempt = _Attempt(job)
    await asyncio.to_thread(attempt.note, "began")
    if _ordered("hold"):
        limit = time.monotonic() + _PATIENCE
        while not (Path(os.environ["OAFLOW_ORDERS"]) / "go").exists() and time.monotonic() < limit:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(attempt.note, "ended")
    return attempt.child()


@stage
def ends(job: DatasetJob) -> None:
    """Hand on nothing."""
    attempt = _Attempt(job)
    attempt.note("began")
    attempt.note("ended")


@stage
def refuses(job: DatasetJob) -> None:
    """Refuse what came, which is the end of it here."""
    attempt = _Attempt(job)
    attempt.note("began")
    attempt.note("ended")
    raise Reject("not wanted")


@stage
def reports(job: DatasetJob) -> DatasetJob:
    """A join; what follows it gets its job."""
    attempt = _Attempt(job)
    attempt.note("began")
    attempt.note("ended")
    return attempt.child()
