"""
OpenAleph's own housekeeping while a run passes whose workers are killed: its indexes, its hunt for stalled workers and
their jobs, its deletion of what has ended.
"""

import sys
import threading
import time

import psycopg
import pytest

from oaflow.postgres import migrate
from tests.acceptance.conftest import clean_environment
from tests.chaos.crew import Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import begin, ended

__all__ = ["clean_environment"]

SECONDS = 15

# Nobody sees these die, and OpenAleph finds them silent before oaflow does.
WORKER = (sys.executable, "-m", "oaflow.runtime.worker", "--executors", "1")
OPTIONS = {"seconds": SECONDS, "every": 0.5, "silent": 2.5}


@pytest.mark.slow
def test_housekeeping_of_openaleph_beside_a_run_with_kills_harms_nothing(
    shared_oap, empty_database, tmp_path, clean_environment, warm
):
    shared_oap("init_db", {})
    migrate(empty_database, own=False)
    answers = []
    theirs = threading.Thread(target=lambda: answers.append(shared_oap("housekeep", OPTIONS)))
    passage = begin(empty_database, tmp_path, seconds=0.05, fails_every=5)
    post = Post(empty_database, empty_database, tmp_path, clean_environment, warm)
    with crew(post, *WORKER, count=2) as workers:
        theirs.start()
        until = time.monotonic() + SECONDS - 3
        while time.monotonic() < until:
            passage.enter(5)
            time.sleep(2.0)
            passage.enter(5)
            number = who_has_a_job(empty_database, [worker.pid for worker in workers])
            workers[number].kill()
            workers[number].wait()
            workers[number] = post.start(*WORKER)
        theirs.join()
        passage.seal()
        assert ended(empty_database, passage.id, 90.0) == "finished"

    assert answers[0]["rounds"] > 1
    assert findings(read(passage)) == []
    with psycopg.connect(empty_database) as connection:
        (orphaned,) = connection.execute("SELECT count(*) FROM oaflow.hops WHERE outcome = 'orphaned'").fetchone()
        (left,) = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
    # They do find something to do: jobs come back by either's hand, and rows of ended jobs are gone.
    assert answers[0]["put_back"] + orphaned > 0
    assert left < len(passage.expected)


def who_has_a_job(address: str, workers: list[int]) -> int:
    """
    Which of these processes is at a job, as soon as one is: a machine may be slow to start them.
    """
    query = (
        "SELECT w.pid FROM procrastinate_jobs j JOIN oaflow.workers w ON w.id = j.worker_id"
        " WHERE j.status = 'doing' AND w.pid = ANY (%s) LIMIT 1"
    )
    until = time.monotonic() + 30.0
    with psycopg.connect(address, autocommit=True) as connection:
        while (row := connection.execute(query, [workers]).fetchone()) is None:
            assert time.monotonic() < until
            time.sleep(0.01)
    return workers.index(row[0])
