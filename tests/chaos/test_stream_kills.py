"""
A long stream whose worker and executor are killed time and again: each position is handed over once, no more waits than
is allowed, and memory stays flat.

OAFLOW_STREAM=YIELDSxKILLS asks for more than the few of CI.
"""

import contextlib
import os
import signal
import subprocess
import time
from typing import Any

import psycopg
import pytest

from oaflow.runtime.attempt import CHUNK_JOBS
from oaflow.runtime.executor import MOST_UNACKNOWLEDGED
from oaflow.runtime.processes import resident
from tests.acceptance.conftest import Command
from tests.acceptance.test_pressure import OPEN, pouring
from tests.acceptance.test_processes import executors_of
from tests.chaos.test_kills import Started, workers_of

YIELDS, KILLS = map(int, os.environ.get("OAFLOW_STREAM", "24000x4").split("x"))
DEEP = min(10_000, YIELDS // 8)
PATIENCE = 60.0 + YIELDS / 200

HANDED = "SELECT coalesce(sum(size), 0)::int FROM oaflow.chunks"
RUNNING = "SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'pours' AND status = 'doing'"
CUT_OFF = "SELECT count(*) FROM oaflow.hops WHERE stage = 'pours' AND outcome IN ('crashed', 'orphaned')"
MB = 1 << 20


class Course:
    """
    A run that is followed from outside: what was handed over, how much waits, and how much memory each process takes.
    """

    def __init__(self, cli: Command, root: int) -> None:
        self.connection = psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True)
        self.root = root
        self.deepest = 0
        self.memory: list[int] = []

    def one(self, query: Any, *values: Any) -> Any:
        row = self.connection.execute(query, values).fetchone()
        return row[0] if row else None

    def handed(self) -> int:
        """
        How much has been handed over; what there is to be seen is looked at.
        """
        self.deepest = max(self.deepest, self.one(OPEN, "sips"))
        pids = [*workers_of(self.root), *executors_of(self.root)]
        self.memory += [resident(pid) for pid in pids]
        return self.one(HANDED)

    def until(self, count: int, *, cut_off: int) -> None:
        """
        Wait until so much has been handed over, and so many attempts were cut off. On a busy machine, the next kill
        would otherwise find only processes that are dying of the one before.
        """
        limit = time.monotonic() + PATIENCE
        while self.handed() < count or self.one(CUT_OFF) < cut_off:
            assert time.monotonic() < limit, f"{self.handed()} of {count}, {self.one(CUT_OFF)} of {cut_off} cut off"
            time.sleep(0.1)


@pytest.mark.timeout(4 * PATIENCE)  # as long as it was asked for
def test_a_long_stream_hands_over_each_position_once_however_often_it_is_killed(cli: Command, started: Started) -> None:
    stages = {
        "pours": {"with": {"count": YIELDS}, "next": "sips", "retry": 0},
        "sips": {"task": "sips_async", "with": {"seconds": 0.0}},
    }
    pipeline = pouring(cli, "long", stages)
    cli.environment |= {"OAFLOW_EXECUTORS": "1", "OAFLOW_DEEP": str(DEEP)}
    began = time.monotonic()
    # Nobody reads what they print in hours, and a pipe that is full would stop them.
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = started(cli.with_streams(("worker",), **silent))
    running = started(cli.with_streams(("run", pipeline, "-d", "demo"), **silent))
    course = Course(cli, worker.pid)

    killed = 0
    for kill in range(KILLS):
        # Between two kills it comes further: three crashes without progress fail a job.
        course.until(YIELDS * (kill + 1) // (KILLS + 2), cut_off=kill)
        victims = (workers_of if kill % 2 == 0 else executors_of)(worker.pid)
        assert victims, f"nobody was there for kill {kill}"  # and no attempt would be cut off
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    limit = time.monotonic() + PATIENCE
    while running.poll() is None:
        assert time.monotonic() < limit
        course.handed()
        time.sleep(0.1)
    seconds = time.monotonic() - began

    assert running.returncode == 0
    rows = course.connection.execute(
        "SELECT count(*), count(DISTINCT args #>> '{payload,entities,0,id}') FROM procrastinate_jobs"
        " WHERE args #>> '{payload,context,oaflow,stage}' = 'sips'"
    ).fetchone()
    ends = course.connection.execute(
        "SELECT attempt, outcome, at::text FROM oaflow.hops WHERE stage = 'pours' AND outcome <> 'chunk' ORDER BY at"
    ).fetchall()
    cut_off = sum(outcome in ("crashed", "orphaned") for _, outcome, _ in ends)
    print(
        f"{YIELDS:,} yields in {seconds:.0f} s, {killed} processes killed, {cut_off} attempts cut off, at most"
        f" {course.deepest:,} of {DEEP:,} open, at most {max(course.memory) / MB:.0f} MB"
    )
    assert rows == (YIELDS, YIELDS)
    assert cut_off >= KILLS, (killed, ends)
    # Once over at most in each of its attempts, and what was on the way.
    assert course.deepest <= DEEP + 2 * CHUNK_JOBS * (MOST_UNACKNOWLEDGED + 1)
    half = len(course.memory) // 2
    assert max(course.memory[half:]) < 1.25 * max(course.memory[:half])
    assert max(course.memory) < 400 * MB
