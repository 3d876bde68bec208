"""
How many jobs of a stage with a `rate` begin in any time, as these write down themselves: with workers that are killed,
whose clocks differ by hours, and whose places are all taken for a while.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from oaflow.ledger.lanes import LATE_SECONDS
from tests.acceptance.conftest import ROOT, Command
from tests.acceptance.limited import noting, one
from tests.acceptance.test_processes import Started, Until, ended, executors_of
from tests.chaos.test_kills import workers_of

RATE = 50
COUNT = 260
SKEWS = (3600.0, 0.0, -3600.0)  # of each worker's clock, in seconds
EXECUTORS = 2
PLACES = EXECUTORS * len(SKEWS)
HELD = 3.0  # seconds that nothing can begin

# What is taken at once at most: that much is made up for. As many jobs wait in a worker at most.
AT_ONCE = RATE * LATE_SECONDS + 1

# That a busy machine may take from a claim to what is written down.
SLACK = 0.5 * RATE

TAKEN = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND task_name = 'limited_stages.asks_quickly'"
BEGUN = "SELECT count(*) FROM asked"


def most_in(seconds: float, moments: Sequence[float]) -> int:
    """
    How many moments lie in any so many seconds, at most.
    """
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_no_more_begin_in_any_time_than_the_rate_allows_and_nothing_piles_up_while_no_place_is_free(
    cli: Command, started: Started, until: Until
) -> None:
    gate, held = cli.folder / "gate", cli.folder / "held"
    asks = {
        "task": "limited_stages.asks_quickly",
        "with": {"uri": cli.environment["OAFLOW_DB_URI"]},
        "rate": f"{RATE}/s",
    }
    source = {"task": "stages_for_tests.source", "with": {"count": COUNT}, "next": "asks"}
    holds = {
        "task": "together_stages.gated",
        "with": {"log": str(held), "gate": str(gate)},
        "priority": 90,
        "concurrency": PLACES,
    }
    names = {"task": "together_stages.names", "with": {"count": PLACES}, "next": "holds"}
    (cli.folder / "asking.yml").write_text(
        json.dumps({"pipeline": "asking", "stages": {"source": source, "asks": {**asks, "queue": "service"}}})
    )
    (cli.folder / "holding.yml").write_text(
        json.dumps({"pipeline": "holding", "stages": {"names": names, "holds": holds}})
    )
    path = os.pathsep.join([str(Path(__file__).parent / "skewed"), cli.environment["PYTHONPATH"], str(ROOT)])
    with noting(cli) as connection:
        workers = [
            started(
                cli.at(OAFLOW_SKEW=str(skew), PYTHONPATH=path, OAFLOW_EXECUTORS=str(EXECUTORS)).new(
                    sys.executable, "-m", "oaflow", "worker"
                )
            )
            for skew in SKEWS
        ]
        until(lambda: all(len(executors_of(worker.pid)) == EXECUTORS for worker in workers))
        asking = started(cli.start("run", "asking.yml", "-d", "asks", "--workers", "0"))
        until(lambda: one(connection, BEGUN) >= 20)
        os.kill(workers_of(workers[0].pid)[0], signal.SIGKILL)
        until(lambda: one(connection, BEGUN) >= 60 and len(executors_of(workers[0].pid)) == EXECUTORS)
        holding = started(cli.start("run", "holding.yml", "-d", "holds", "--workers", "0"))
        until(lambda: held.exists() and len(held.read_text().splitlines()) == PLACES)
        time.sleep(HELD)
        waited = one(connection, TAKEN)
        gate.touch()

        for run in (asking, holding):
            assert (result := ended(run)).code == 0, result.err

        moments = [
            moment
            for (moment,) in connection.execute(
                "SELECT extract(epoch FROM at)::float8 FROM asked ORDER BY at"
            ).fetchall()
        ]
        most = {seconds: most_in(seconds, moments) for seconds in (1 / RATE, 1.0)}
        print(f"{len(moments)} attempts in {moments[-1] - moments[0]:.1f} s, {waited} had waited; at most {most}")
        assert one(connection, "SELECT count(DISTINCT document) FROM asked") == COUNT
        assert waited <= AT_ONCE * len(SKEWS)
        for seconds, number in most.items():
            assert number <= RATE * seconds + AT_ONCE * (1 + len(SKEWS)) + SLACK, (seconds, moments)
