"""
What the history costs: a hand-over with its row, and the same hand-over without; and the room that the rows take.
"""

import re
import time
from functools import partial
from typing import NamedTuple

import psycopg

from benchmarks import floor
from benchmarks.ground import Ground, begin, chain, ground
from benchmarks.harness import Figure, Report, Size, interleaved, ratios
from benchmarks.rates import ASYNC, executors_of_all_cores, ours
from benchmarks.watch import processor_time

ROOTS: dict[Size, int] = {"tiny": 200, "small": 3_000, "full": 30_000}

_FUNCTIONS = """
SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = 'oaflow' AND p.proname ~ '^complete_' AND p.prosrc LIKE '%INSERT INTO oaflow.hops%'
"""

_ROOM = """
SELECT sum(pg_table_size(c.oid))::float8, sum(pg_indexes_size(c.oid))::float8
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'oaflow.hops'::regclass
"""


class Sent(NamedTuple):
    """
    The statements of a chain: jobs a second, CPU of the server for a job, and what was kept of each.
    """

    rate: float
    processor: float
    table: float
    indexes: float


def measure(size: Size, rounds: int) -> Report:
    """
    The statements of the chain with history and without, and the chain in a worker with samples of what stages return
    and without.
    """
    roots, executors = ROOTS[size], executors_of_all_cores()
    with ground() as place:
        sent = interleaved(
            {"kept": partial(_sent, place, roots, True), "not kept": partial(_sent, place, roots, False)}, rounds
        )
        samples = {"some": None, "none": "0"}
        worked = interleaved(
            {key: partial(_worked, place, roots, executors, value) for key, value in samples.items()}, rounds
        )
    kept, bare = sent["kept"], sent["not kept"]
    micro = 1e6
    figures = (
        Figure("statements alone", "jobs/s", tuple(one.rate for one in kept)),
        Figure("statements alone, no history", "jobs/s", tuple(one.rate for one in bare)),
        Figure("with history to without", "times", ratios([one.rate for one in kept], [one.rate for one in bare])),
        Figure(
            "history: time",
            "µs a job",
            tuple(micro / one.rate - micro / other.rate for one, other in zip(kept, bare, strict=True)),
        ),
        Figure(
            "history: CPU of the database",
            "µs a job",
            tuple(micro * (one.processor - other.processor) for one, other in zip(kept, bare, strict=True)),
        ),
        Figure("history: table", "bytes a job", tuple(one.table for one in kept)),
        Figure("history: indexes", "bytes a job", tuple(one.indexes for one in kept)),
        Figure("a worker, samples as by default", "jobs/s", tuple(rate for rate, _ in worked["some"])),
        Figure("a worker, OAFLOW_SAMPLES=0", "jobs/s", tuple(rate for rate, _ in worked["none"])),
        Figure("samples: table", "bytes a job", tuple(_more(worked["some"], worked["none"]))),
    )
    return Report(
        "history",
        f"a chain of three empty stages, {roots:,} roots, on our own server",
        figures,
        (
            "Each job is about one document and has one successor at most. Without history: the same functions, less"
            " their INSERT.",
        ),
    )


def _more(some: list[tuple[float, float]], none: list[tuple[float, float]]) -> list[float]:
    return [one - other for (_, one), (_, other) in zip(some, none, strict=True)]


def _sent(place: Ground, roots: int, kept: bool) -> Sent:
    address = place.database("history", events=False)
    if not kept:
        without_history(address)
    plan = chain(ASYNC)
    run = begin(address, plan, roots)
    before = processor_time(place.postmaster)
    rate = floor.rate(address, plan, run)
    time.sleep(0.5)  # what the server's processes used is told when they are idle
    jobs = roots * len(plan.stages)
    used = (processor_time(place.postmaster) - before) / jobs
    if rows(address, run) != (jobs if kept else 0):
        raise RuntimeError(f"the history has {rows(address, run)} rows of {jobs} jobs")
    table, indexes = room(address)
    return Sent(rate, used, table / jobs, indexes / jobs)


def rows(address: str, run: str) -> int:
    """
    How many hand-overs of a run its history has.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM oaflow.hops WHERE run = %s AND outcome = 'done'", [run]
        ).fetchone()
    assert row is not None
    return row[0]


def _worked(place: Ground, roots: int, executors: int, samples: str | None) -> tuple[float, float]:
    """
    Jobs a second, and bytes of the table of history for each.
    """
    more = {} if samples is None else {"OAFLOW_SAMPLES": samples}
    addresses = list[str]()
    rate, _ = ours(place, ASYNC, roots, executors, events=False, prepare=lambda at: addresses.append(at) or at, **more)
    return rate, room(addresses[0])[0] / (3 * roots)


def without_history(address: str) -> None:
    """
    Have hand-overs of a database of ours write no history.

    Raises:
        RuntimeError: no function writes it as is expected here.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        functions = [row[0] for row in connection.execute(_FUNCTIONS).fetchall()]
        if not functions:
            raise RuntimeError("no function of the hand-over writes history")
        for definition in functions:
            # A part of the statement that writes nothing, and that nothing asks, is not run at all.
            connection.execute(re.sub(r"INSERT INTO oaflow\.hops \([^)]*\)", "", definition))


def room(address: str) -> tuple[float, float]:
    """
    Bytes of the history: of its tables, and of their indexes.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(_ROOM).fetchone()
    assert row is not None
    return row[0], row[1]
