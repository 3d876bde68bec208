"""
The history of a run, in pages. Each page starts where the last one ended, and costs the same wherever it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from oaflow.ledger.statements import sql

# How many lines are read for a page, of which only some may match the filters.
LINES = 2_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_JOB = 2**63 - 1

# The limits of PostgreSQL for the parts of a place: job, microseconds, table, block and line.
_LARGEST = (_LAST_JOB, _LAST_JOB, 2**32 - 1, 2**32 - 1, 2**16 - 1)


@dataclass(frozen=True, slots=True)
class Hop:
    """
    A line of a run's history: what became of an attempt at a job, or, without a job, what happened to the run.

    Attributes:
        id: of the line; `hops(after=id)` returns the lines after it.
        at: when it was written.
        parent: the job that this one came from; None for a first job of the run, and for a join.
        attempt: the number of the attempt.
        outcome: how it ended: `done`, `failed`, `diverted` (failed, and sent on by `on_error`), `retried`, `crashed`,
            `cancelled`, `vanished` (the job was deleted), `orphaned` (its worker died, and others continue it), `chunk`
            (a part of a stream), `collected` and `parted` (combined with others, taken apart again),
            `answered` (by a service), `reopened` (by a retry); of a run `root`, with its first jobs, and `joined`.
        started, ended: when the attempt started and ended.
        worker: id of the worker that made it.
        version: version of the stage's code.
        documents: ids of the documents that it was about.
        successors: the jobs that were handed over.
        detail: further facts, as JSON.
    """

    id: str
    at: datetime
    stage: str | None
    job: int | None
    parent: int | None
    attempt: int | None
    outcome: str
    started: datetime | None
    ended: datetime | None
    worker: int | None
    version: str | None
    documents: Sequence[str] | None
    successors: Sequence[int] | None
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Place:
    """
    The position of a line: job, time, table, and place in the table.
    """

    job: int | None
    at: datetime
    part: int
    place: str

    def __str__(self) -> str:
        block, offset = self.place.strip("()").split(",")
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return f"{'' if self.job is None else self.job}-{micros}-{self.part}-{block}-{offset}"

    @classmethod
    def read(cls, id: str) -> "_Place":
        job, *rest = id.split("-")
        numbers = [int(job or 0), *map(int, rest)]
        if any(number > largest for number, largest in zip(numbers, _LARGEST, strict=True)):
            raise ValueError(f"no line can lie at {id!r}")
        _, micros, part, block, offset = numbers
        at = _EPOCH + timedelta(microseconds=micros)
        return cls(numbers[0] if job else None, at, part, f"({block},{offset})")


# Before all others.
START = _Place(None, _EPOCH, 0, "(0,0)")


def is_place(id: str) -> bool:
    """
    Whether a text can be the id of a line.
    """
    try:
        _Place.read(id)
    except (ValueError, OverflowError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Lines:
    """
    Some lines of a history. `next` is the id after which the others come; None if there are no more.
    """

    hops: Sequence[Hop]
    next: str | None


def hops(
    connection: Connection[Any],
    run: str,
    *,
    stage: str | None = None,
    job: int | None = None,
    document: str | None = None,
    outcome: str | None = None,
    after: str | None = None,
    lines: int = LINES,
) -> Lines:
    """
    Some lines of the history of a run: first those of the run itself, then those of each job, oldest first.

    Args:
        stage, job, document, outcome: only lines with this value. A page may be empty then, although others follow.
        after: only lines after the line with this id.
        lines: how many are read at most.
    """
    begin = START if after is None else _Place.read(after)
    if job is not None and (begin.job is None or begin.job < job):
        begin = replace(START, job=job)
    low = -1 if begin.job is None else begin.job
    values = {
        "run": run,
        "stage": stage,
        "outcome": outcome,
        "document": document,
        "whole": begin.job is None,
        "low": low,
        "high": _LAST_JOB if job is None else job,
        "at": begin.at,
        "part": begin.part,
        "place": begin.place,
        "lines": lines,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql("hops"), values).fetchall()
    if not rows:
        return Lines([], None)
    last = rows[0]
    more = last["lines"] >= lines
    end = _Place(last["last_job"], last["last_at"], last["last_part"], last["last_place"])
    return Lines([_hop(row) for row in rows if row["at"] is not None], str(end) if more else None)


def _hop(row: Mapping[str, Any]) -> Hop:
    return Hop(
        id=str(_Place(row["job"], row["at"], row["part"], row["place"])),
        **{name: row[name] for name in _COLUMNS},
    )


_COLUMNS = tuple(name for name in Hop.__slots__ if name != "id")
