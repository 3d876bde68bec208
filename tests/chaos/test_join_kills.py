"""
A join behind a stream whose workers and executors are killed while it streams: it fires once, after all.
"""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import Started, Until, ended, executors_of, query
from tests.acceptance.test_together import begun, lines, noted, one, pipeline, settled
from tests.chaos.test_kills import workers_of

COUNT = 1600
KILLS = 4
HANDED = "SELECT count(*)::int FROM procrastinate_jobs WHERE task_name = 'together_stages.takes'"
NOBODY = ("-d", "demo", "--workers", "0", "--json")


@pytest.mark.parametrize("kind", ["", "_async"])
def test_a_join_behind_a_stream_fires_once_and_after_all_whoever_is_killed(
    cli: Command, started: Started, until: Until, kind: str
) -> None:
    log, joined, last = (cli.folder / name for name in ("log", "joined", "last"))
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.3", "OAFLOW_DEAD_AFTER": "2", "OAFLOW_CRASHES": "1000"}
    name = pipeline(
        cli,
        "streams",
        {
            "names": {"with": {"count": 2}, "next": "pours"},
            "pours": {"task": f"pours{kind}", "with": {"count": COUNT, "seconds": 0.001}, "next": "takes"},
            "takes": {"with": {"log": str(log)}},
            "reports": {"with": {"log": str(joined)}, "join": ["takes"]},
            "ends": {"task": "reports", "with": {"log": str(last)}, "join": ["reports"]},
        },
    )
    workers = [started(cli.start("worker")) for _ in range(2)]
    running = begun(cli, started, name, *NOBODY)
    killed = 0
    for kill in range(KILLS):
        until(lambda kill=kill: one(cli, HANDED) > 2 * COUNT * (kill + 1) // (KILLS + 2))
        worker = workers[kill % 2]
        for pid in (workers_of if kill // 2 % 2 == 0 else executors_of)(worker.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    result = ended(running)

    assert result.code == 0, result.err
    assert killed >= KILLS
    assert set(noted(log, "ends")) == {f"doc-{number}" for number in range(COUNT)}
    rows = "SELECT count(*)::int, count(DISTINCT (args #>> '{payload,context,oaflow,parent}',"
    rows += " args #>> '{payload,entities,0,id}'))::int FROM procrastinate_jobs"
    assert query(cli, f"{rows} WHERE task_name = 'together_stages.takes'") == [(2 * COUNT, 2 * COUNT)]
    assert dict(query(cli, "SELECT stage, fired FROM oaflow.joins")) == {"reports": 1, "ends": 1}
    assert one(cli, "SELECT sum(cardinality(successors))::int FROM oaflow.hops WHERE outcome = 'joined'") == 2
    assert began(joined) >= max(line["at"] for line in lines(log))
    assert began(last) >= began(joined)
    settled(cli)


def began(path: Path) -> float:
    """
    When a join began, which did so once.
    """
    (line,) = lines(path)
    return line["at"]
