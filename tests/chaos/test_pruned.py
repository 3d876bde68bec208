"""
Rows are taken out the moment their jobs have ended, and the history has no partition of the day, as where a clock was
moved: a run with kills goes on, each hand-over is taken, and what somebody deleted is told from what was pruned.
"""

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.chaos.crew import HASTY, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import begin, ended
from tests.chaos.test_deleted import DELETE
from tests.chaos.test_kills import SEED
from tests.chaos.test_statements import still_open, wait
from tests.warm import Warm

KILLS, DELETED = 4, 3

DONE = "SELECT count(*)::int FROM oaflow.hops WHERE outcome = 'done'"
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'oaflow.hops'::regclass"


@contextmanager
def pruning(uri: str) -> Iterator[list[int]]:
    """
    For the time of a block whatever has ended is taken out; how much each time.
    """
    pruned: list[int] = []
    over = threading.Event()

    def prune() -> None:
        with psycopg.connect(uri, autocommit=True) as connection:
            while not over.wait(0.05):
                statement = "SELECT pruned FROM oaflow.prune_v1(0, 1000000, clock_timestamp(), false)"
                pruned.extend(rows for (rows,) in connection.execute(statement).fetchall())

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        yield pruned
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_pruning_at_once_and_a_history_without_partitions_harm_no_run(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    print(f"OAFLOW_SEED={SEED}")
    chance = random.Random(SEED)
    post = Post(database, database, tmp_path, clean_environment | {"OAFLOW_CRASHES": "1000"}, warm)
    with psycopg.connect(database, autocommit=True) as connection:

        def done() -> int:
            return sum(number for (number,) in connection.execute(DONE).fetchall())

        for (partition,) in connection.execute(PARTITIONS).fetchall():
            if not partition.endswith("hops_default"):
                connection.execute(f"DROP TABLE {partition}")  # pyright: ignore[reportArgumentType]
        passage = begin(database, tmp_path, seconds=0.02, fails_every=5)
        passage.enter(20)  # of today: workers cannot make its partition any more
        with pruning(database) as pruned, crew(post, *HASTY, "--executors", "2", count=2) as workers:
            for _ in range(KILLS):
                before = done()

                def further(before: int = before) -> bool:
                    if still_open(passage) < 40:
                        passage.enter(8)
                    return done() > before + 40

                wait(further, done)
                victim = chance.choice(workers)
                os.kill(victim.pid, signal.SIGKILL)
                workers[workers.index(victim)] = post.start(*HASTY, "--executors", "2")
            rows = connection.execute(DELETE, (DELETED,)).fetchall()
            passage.seal()

            assert ended(database, passage.id, 120.0) == "incomplete"
        assert sum(pruned) > 40 * KILLS
        ours = "SELECT DISTINCT c.relname::text FROM oaflow.hops h JOIN pg_class c ON c.oid = h.tableoid"
        assert connection.execute(ours).fetchall() == [("hops_default",)]
    # What vanished is looked for where counters and rows differ: what was pruned must not be taken for it.
    deleted = frozenset((stage, name) for stage, names in rows for name in names)
    assert deleted
    assert findings(read(passage, deleted)) == []
