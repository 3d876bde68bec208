"""
Workers whose clocks differ by hours: what is decided by time is decided by the clock of the database.
"""

import os
import signal
from pathlib import Path

import psycopg

from tests.chaos.crew import WORKER, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import begin, ended
from tests.chaos.test_kills import workers_of
from tests.chaos.test_statements import wait
from tests.warm import Warm

HERE = Path(__file__).parent
HOUR = 3600.0


def test_workers_whose_clocks_differ_by_hours_harm_nobody(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    def post(skew: float) -> Post:
        path = os.pathsep.join([str(HERE / "skewed"), clean_environment["PYTHONPATH"]])
        environment = {**clean_environment, "OAFLOW_SKEW": str(skew), "PYTHONPATH": path}
        return Post(database, database, tmp_path, environment, warm)

    passage = begin(database, tmp_path, seconds=0.02, fails_every=3)
    with crew(post(HOUR), *WORKER), crew(post(-HOUR), *WORKER) as (late,), psycopg.connect(database) as connection:
        connection.autocommit = True

        def one(statement: str) -> int:
            row = connection.execute(statement).fetchone()  # pyright: ignore[reportArgumentType]
            return row[0] if row else 0

        wait(lambda: one("SELECT count(*) FROM oaflow.workers") == 2, lambda: "two workers")
        passage.enter(40)
        wait(lambda: one("SELECT count(*) FROM oaflow.hops WHERE outcome = 'done'") > 100, lambda: "it goes on")
        assert one("SELECT count(*) FROM oaflow.hops WHERE outcome = 'orphaned'") == 0
        killed = workers_of(late.pid)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        passage.seal()

        assert ended(database, passage.id, 200.0) == "finished"  # a retry after 0.1 s waits for no hour
        skewed = "SELECT count(DISTINCT sign(extract(epoch FROM started - at))) FROM oaflow.hops"
        assert one(f"{skewed} WHERE outcome = 'done' AND abs(extract(epoch FROM started - at)) > 3000") == 2
    assert findings(read(passage)) == []
