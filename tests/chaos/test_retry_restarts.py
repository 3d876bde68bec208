"""
A job that waits for its next attempt, while the database is restarted and workers are stopped and killed: no attempt is
spent, none comes early, and what fails at last has failed once.
"""

import itertools
import os
import signal
from pathlib import Path

from oaflow.postgres.layout import layout
from tests.acceptance.conftest import Command, unbalanced
from tests.acceptance.test_processes import Started, Until, ended, query
from tests.acceptance.test_together import NOBODY, OUTCOMES, SCHEDULED, begun, lines, one, pipeline, settled, stop
from tests.chaos.test_kills import own_home as own_home
from tests.chaos.test_kills import restart, workers_of

DELAY = 3.0


def test_the_count_and_the_delay_of_a_retry_hold_over_restarts_of_the_database_and_of_workers(
    cli: Command, own_home: Path, started: Started, until: Until
) -> None:
    uri = layout(own_home).uri
    cli = cli.at(OAFLOW_DB_URI=uri, OAFLOW_HEARTBEAT="0.5", OAFLOW_DEAD_AFTER="2")
    log = cli.folder / "log"
    name = pipeline(
        cli,
        "waits",
        {
            "names": {"with": {"count": 1}, "next": "fails"},
            "fails": {
                "task": "fails_until",
                "with": {"log": str(log), "gate": str(cli.folder / "never")},
                "retry": {"max": 2, "base": f"{DELAY}s", "cap": f"{DELAY}s"},
            },
        },
    )
    worker = started(cli.start("worker"))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: one(cli, SCHEDULED) == 1)
    restart(own_home, "immediate")
    until(lambda: len(lines(log)) == 2 and one(cli, SCHEDULED) == 1)
    for pid in workers_of(worker.pid):
        os.kill(pid, signal.SIGKILL)
    stop(worker)
    assert query(cli, "SELECT retries, crashes FROM oaflow.charges") == [(2, 0)]
    started(cli.start("worker"))

    result = ended(running)

    assert result.code == 1, result.err
    began = [line["at"] for line in lines(log)]
    assert len(began) == 3
    assert all(later - earlier >= DELAY for earlier, later in itertools.pairwise(began)), began
    assert dict(query(cli, OUTCOMES.format("fails"))) == {"retried": 2, "failed": 1}
    assert query(cli, "SELECT attempts FROM oaflow.failures") == [(3,)]
    assert result.json["stages"]["fails"]["failed"] == 1
    settled(cli)
    assert unbalanced(uri) == []
