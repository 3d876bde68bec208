"""
Limits with real workers, some of them killed: never more at once, nearly always as many, and as often as was said.

OAFLOW_CHAOS (20x1500) asks for 20 kills, and for how much of the limit is used, which among other tests says how busy
the machine is: a few kills are enough for CI.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.acceptance.conftest import Command
from tests.acceptance.limited import limited_pipeline, noting, one
from tests.acceptance.limited_stages import RUNNING
from tests.chaos.test_kills import PATIENCE, SEED, Started

LONG = "OAFLOW_CHAOS" in os.environ
# A place is empty until it is found out that its worker is dead, half a second: where kills follow one another at once
# that is most of the time.
KILLS, BETWEEN, SECONDS = (20, 12.0, 1.0) if LONG else (5, 1.5, 0.5)
USED = 0.95
AT_ONCE = 3

DONE = "SELECT coalesce(sum(done), 0)::int FROM oaflow.counters WHERE stage = 'asks'"

HOLDERS = """
SELECT DISTINCT o.pid FROM oaflow.workers o JOIN procrastinate_jobs j ON j.worker_id = o.id
 WHERE j.queue_name = 'service' AND j.status = 'doing'
"""


class Seen:
    """
    How many ran at once, looked at from outside.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.numbers: list[int] = []

    def look(self, until: Callable[[], bool]) -> None:
        while not until():
            self.numbers.append(one(self._connection, RUNNING))
            time.sleep(0.01)

    @property
    def used(self) -> float:
        return sum(self.numbers) / len(self.numbers) / AT_ONCE


def test_never_more_at_once_than_the_limit_and_nearly_always_as_many_whoever_is_killed(
    cli: Command, started: Started
) -> None:
    chance = random.Random(SEED)
    print(f"OAFLOW_SEED={SEED}")
    count = 12 + round(AT_ONCE * BETWEEN / SECONDS * KILLS)
    pipeline = limited_pipeline(cli, count, SECONDS, concurrency=AT_ONCE)
    with noting(cli) as connection:
        running = started(cli.start("run", pipeline, "-d", "demo", "--workers", "4"))
        while one(connection, RUNNING) < AT_ONCE:  # the workers start
            assert running.poll() is None
            time.sleep(0.01)
        seen, killed = Seen(connection), 0
        for _ in range(KILLS):
            end = time.monotonic() + BETWEEN * chance.uniform(0.5, 1.0)
            seen.look(lambda end=end: time.monotonic() > end)
            victims = [pid for (pid,) in connection.execute(HOLDERS).fetchall()]
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                killed += 1
        seen.look(lambda: one(connection, DONE) > count - 2 * AT_ONCE)
        _, err = running.communicate(timeout=PATIENCE)

        assert running.returncode == 0, err
        noted = "SELECT max(beside), count(*), count(DISTINCT document) FROM asked"
        ((most, attempts, documents),) = connection.execute(noted).fetchall()
        print(f"{most} at once, {seen.used:.1%} used; {attempts} attempts at {documents} documents, {killed} kills")
        assert max(most, *seen.numbers) == AT_ONCE
        assert documents == count
        assert attempts > count  # what was killed had begun
        assert seen.used >= USED or not LONG
