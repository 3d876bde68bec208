"""
Samples of what stage functions returned, from the history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.statements import sql

# How many rows are fetched at once: each has up to 64 kB.
_ROWS = 50


@dataclass(frozen=True, slots=True)
class Returned:
    """
    The sample of one hop: `jobs` as [port, job, what each edge took], and the `depth` of the job that emitted them.
    """

    stage: str
    job: int
    jobs: list[tuple[str, dict[str, Any], list[list[int] | None] | None]]
    depth: dict[str, int]


@dataclass(frozen=True, slots=True)
class ReturnedOf:
    """
    How much a stage returned: the number of `hops`, of how many of them samples are `kept`, as far as there is room,
    how many `jobs` these returned, and how many of its own jobs used up their attempts.
    """

    stage: str
    hops: int
    kept: int
    jobs: int
    diverted: int
    failed: int


def returned(connection: Connection[Any], run: str, *, stage: str | None, limit: int) -> Iterator[Returned]:
    """
    The samples of a run, stage by stage, with a limit of hops for each; only a few rows are in memory at a time.
    """
    with (
        connection.transaction(),
        connection.cursor("oaflow_returned", row_factory=class_row(Returned)) as cursor,
    ):
        cursor.itersize = _ROWS
        yield from cursor.execute(sql("returned"), {"run": run, "stage": stage, "limit": limit})


def returned_of(connection: Connection[Any], run: str) -> dict[str, ReturnedOf]:
    """
    How many samples a run has, by stage.
    """
    with connection.cursor(row_factory=class_row(ReturnedOf)) as cursor:
        return {row.stage: row for row in cursor.execute(sql("returned_of"), {"run": run})}
