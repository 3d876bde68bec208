"""
Features of the language that meet in one run, while workers and executors are killed.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import Started, Until, ended, executors_of, query
from tests.acceptance.test_together import NOBODY, begun, lines, noted, one, pipeline, settled
from tests.chaos.test_kills import workers_of

OPEN = "SELECT coalesce(sum(open), 0)::int FROM oaflow.counters"
HANDED = "SELECT coalesce(sum(size), 0)::int FROM oaflow.chunks"
TAKES = """
SELECT count(*)::int, count(DISTINCT args #>> '{payload,entities,0,id}')::int FROM procrastinate_jobs
 WHERE args #>> '{payload,context,oaflow,stage}' = 'takes'
"""


@pytest.fixture(autouse=True)
def hasty(cli: Command) -> None:
    """
    Who is dead is missed soon, and is nobody's crash.
    """
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.3", "OAFLOW_DEAD_AFTER": "2", "OAFLOW_CRASHES": "1000"}


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", ["", "_async"])
def test_a_stream_after_which_only_one_job_may_be_open_comes_to_its_end(
    cli: Command, started: Started, until: Until, kind: str
) -> None:
    log = cli.folder / "log"
    cli.environment["OAFLOW_DEEP"] = "1"
    name = pipeline(
        cli,
        "shallow",
        {
            "pours": {"task": f"pours{kind}", "with": {"count": 400}, "next": "takes"},
            "takes": {"with": {"log": str(log)}},
        },
    )
    workers = [started(cli.start("worker")) for _ in range(2)]
    running = begun(cli, started, name, *NOBODY)
    for some, (find, worker) in zip((50, 200), ((executors_of, workers[0]), (workers_of, workers[1])), strict=True):
        until(lambda some=some: len(lines(log)) > some)
        kill(find(worker.pid))

    result = ended(running)

    assert result.code == 0, result.err
    assert query(cli, TAKES) == [(400, 400)]
    settled(cli)


def killed_meanwhile(workers: Sequence[subprocess.Popen[str]], log: Path, every: int, until: Until) -> None:
    """
    Kill executors, a worker and executors again, each after so many more lines of a log.
    """
    for number, find in enumerate((executors_of, workers_of, executors_of)):
        some = len(lines(log)) + every
        until(lambda some=some: len(lines(log)) > some)
        kill(find(workers[number % 2].pid))


def test_streams_with_one_lock_run_one_after_the_other_whoever_is_killed(
    cli: Command, started: Started, until: Until
) -> None:
    log = cli.folder / "log"
    name = pipeline(
        cli,
        "locked",
        {
            "names": {"with": {"count": 4}, "next": "pours"},
            "pours": {"with": {"count": 200, "seconds": 0.003}, "lock": "'one'", "next": "takes"},
            "takes": {"with": {"log": str(log)}, "lock": "job.entities[0].id"},
        },
    )
    workers = [started(cli.start("worker")) for _ in range(2)]
    running = begun(cli, started, name, *NOBODY)
    killed_meanwhile(workers, log, 200, until)

    result = ended(running)

    assert result.code == 0, result.err
    assert query(cli, TAKES) == [(800, 200)]
    parts = query(cli, "SELECT min(at), max(at) FROM oaflow.hops WHERE stage = 'pours' GROUP BY job ORDER BY 1")
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(parts)), parts
    settled(cli)


def test_what_is_put_together_for_a_stage_with_a_rate_arrives_once_whoever_is_killed(
    cli: Command, started: Started, until: Until
) -> None:
    log, taken, joined = (cli.folder / name for name in ("log", "taken", "joined"))
    name = pipeline(
        cli,
        "rated",
        {
            "names": {"with": {"count": 150}, "next": "works"},
            "works": {"task": "takes", "with": {"log": str(cli.folder / "worked"), "seconds": 0.005}, "next": "puts"},
            "puts": {
                "task": "takes",
                "with": {"log": str(log), "seconds": 0.05},
                "collect": {"size": 7, "wait": "1s"},
                "rate": "10/s",
                "next": "takes",
            },
            "takes": {"with": {"log": str(taken)}, "split": 1},
            "reports": {"with": {"log": str(joined)}, "join": "run"},
        },
    )
    workers = [started(cli.start("worker")) for _ in range(2)]
    running = begun(cli, started, name, *NOBODY)
    killed_meanwhile(workers, log, 8, until)

    result = ended(running)

    assert result.code == 0, result.err
    assert query(cli, TAKES) == [(150, 150)]
    assert noted(taken, "ends").keys() == {f"doc-{number}" for number in range(150)}
    assert max(len(line["documents"]) for line in lines(log)) == 7
    (report,) = lines(joined)
    assert report["at"] >= max(line["at"] for line in lines(taken))
    settled(cli)


@pytest.mark.parametrize("kind", ["", "_async"])
def test_a_stream_whose_worker_is_killed_while_its_run_is_paused_goes_on_when_that_is_resumed(
    cli: Command, started: Started, until: Until, kind: str
) -> None:
    log = cli.folder / "log"
    name = pipeline(
        cli,
        "rests",
        {
            "pours": {"task": f"pours{kind}", "with": {"count": 1500, "seconds": 0.001}, "next": "takes"},
            "takes": {"with": {"log": str(log)}},
        },
    )
    worker = started(cli.start("worker"))
    running = begun(cli, started, name, *NOBODY)
    until(lambda: len(lines(log)) > 100)
    assert cli("pause").code == 0
    kill(workers_of(worker.pid))
    until(lambda: one(cli, "SELECT count(*) FROM oaflow.hops WHERE outcome = 'orphaned' AND stage = 'pours'") == 1)
    until(lambda: query(cli, "SELECT 1 FROM oaflow.workers"))
    time.sleep(1.0)  # another worker is there, and the run is paused
    handed, took = one(cli, HANDED), len(lines(log))
    assert one(cli, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == 0
    time.sleep(1.0)
    assert (one(cli, HANDED), len(lines(log))) == (handed, took)
    assert 0 < handed < 1500

    assert cli("resume", "--json", "--detach", "--workers", "0").code == 0

    result = ended(running)
    assert result.code == 0, result.err
    assert query(cli, TAKES) == [(1500, 1500)]
    settled(cli)


def test_a_run_that_is_given_up_while_its_stream_changes_hands_has_an_account_that_balances(
    cli: Command, started: Started, until: Until
) -> None:
    name = pipeline(
        cli,
        "wrong",
        {"pours": {"with": {"count": 100_000, "seconds": 0.001}, "next": "fails"}, "fails": {}},
    )
    workers = [started(cli.start("worker")) for _ in range(2)]
    running = begun(cli, started, name, *NOBODY, "--stop-after", "300")
    for some, find in ((50, workers_of), (150, executors_of)):
        until(lambda some=some: one(cli, "SELECT count(*) FROM oaflow.failures") > some)
        for worker in workers:
            kill(find(worker.pid))

    result = ended(running)

    assert result.code == 1, result.err
    ((state, reason),) = query(cli, "SELECT state, reason FROM oaflow.runs")
    assert state == "cancelled"
    assert reason.startswith("stopped after")
    until(lambda: one(cli, OPEN) == 0)
    assert cli("receipt", "--json").json["balanced"] is True
    failed = one(cli, "SELECT count(*)::int FROM oaflow.failures")
    assert 300 <= failed < 2_000
    handed = one(cli, "SELECT count(*)::int FROM procrastinate_jobs WHERE task_name = 'together_stages.fails'")
    done = one(
        cli, "SELECT count(*)::int FROM oaflow.hops WHERE stage = 'fails' AND outcome IN ('failed', 'cancelled')"
    )
    assert handed == done < 20_000
