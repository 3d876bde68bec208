"""
Workers and executors killed with -9 at random moments, and a server that is restarted: nothing lost, handed over twice
or stuck.

OAFLOW_CHAOS=KILLSxJOBS asks for more than the few of CI; OAFLOW_SEED repeats one.
"""

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from oaflow.postgres import migrate
from oaflow.postgres.layout import layout
from oaflow.postgres.server import Server
from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import executors_of, tree
from tests.integration.handovers import counters, recount
from tests.waiting import waited

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]

KILLS, JOBS = map(int, os.environ.get("OAFLOW_CHAOS", "12x1500").split("x"))
SEED = int(os.environ.get("OAFLOW_SEED") or random.randrange(1 << 30))

# Ten times what is expected.
PATIENCE = 600.0


@pytest.fixture
def chance() -> random.Random:
    print(f"OAFLOW_SEED={SEED}")
    return random.Random(SEED)


def pipeline(cli: Command, count: int, seconds: float = 0.005) -> str:
    stages = {
        "source": {"with": {"count": count}, "next": "first"},
        "first": {"task": "note", "with": {"log": str(cli.folder / "noted"), "seconds": seconds}, "next": "second"},
        "second": {"task": "breathes", "next": "end"},
        "end": {},
    }
    name = cli.pipeline("chaos", stages)
    path = cli.folder / name
    path.write_text(path.read_text().replace("stages_for_tests.", "process_stages."))
    return name


def workers_of(root: int) -> list[int]:
    return [pid for pid, command in tree(root).items() if "oaflow.runtime.worker" in command]


def nothing_lost_or_doubled(uri: str, count: int) -> Counter[str]:
    """
    The invariants, from the rows themselves. Answers how often each outcome was met.
    """
    with psycopg.connect(uri, autocommit=True) as connection:
        ((run, state),) = connection.execute("SELECT id, state FROM oaflow.runs").fetchall()
        assert state == "finished"
        assert counters(connection, run) == recount(connection, run)
        assert {name: values.get("done") for name, values in counters(connection, run).items()} == {
            "source": 1,
            "first": count,
            "second": count,
            "end": count,
        }
        per_stage = connection.execute(
            "SELECT stage, count(*), count(DISTINCT documents[1]) FROM oaflow.hops"
            " WHERE outcome = 'done' AND stage <> 'source' GROUP BY stage"
        ).fetchall()
        assert sorted(per_stage) == [("end", count, count), ("first", count, count), ("second", count, count)]
        doubled = connection.execute(
            "SELECT job FROM oaflow.hops WHERE outcome = 'done' GROUP BY job HAVING count(*) > 1"
        ).fetchall()
        assert doubled == []
        stuck = connection.execute(
            "SELECT id FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
            " UNION ALL SELECT job FROM oaflow.charges UNION ALL SELECT job FROM oaflow.chunks"
        ).fetchall()
        assert stuck == []
        charged = connection.execute(
            "SELECT stage, detail -> 'error' ->> 'type', detail -> 'error' ->> 'message', count(*)"
            " FROM oaflow.hops WHERE outcome = 'retried' GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 5"
        ).fetchall()
        assert charged == [], "a kill is no fault of the function"
        return Counter(dict(connection.execute("SELECT outcome, count(*)::int FROM oaflow.hops GROUP BY 1").fetchall()))


def done(connection: psycopg.Connection[tuple[int]]) -> int:
    row = connection.execute("SELECT coalesce(sum(done), 0)::int FROM oaflow.counters").fetchone()
    return row[0] if row else 0


def test_kills_lose_nothing_and_double_nothing(cli: Command, started: Started, chance: random.Random) -> None:
    # Every kill of an executor is the crash of a job that may be killed again: far more than three would be bad luck.
    hasty = cli.at(OAFLOW_HEARTBEAT="0.5", OAFLOW_DEAD_AFTER="2", OAFLOW_CRASHES="1000")
    running = started(hasty.start("run", pipeline(cli, JOBS), "-d", "demo", "--workers", "2", "--json"))
    recovered: list[float] = []
    kills: Counter[str] = Counter()
    share = 3 * JOBS / (KILLS + 2)
    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        for number in range(KILLS):
            _wait(lambda number=number: done(connection) >= share * (number + 0.5) or running.poll() is not None)
            time.sleep(chance.random() * 0.1)
            kind = chance.choice(["worker", "executor", "executor"])
            victims = workers_of(running.pid) if kind == "worker" else executors_of(running.pid)
            if not victims:
                continue
            victim, killed = chance.choice(victims), time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                kills[kind] += 1
            if kind == "worker":
                # Until all that it held runs or waits again under somebody who lives.
                _wait(lambda victim=victim: _forgotten(connection, victim) or running.poll() is not None)
                recovered.append(time.monotonic() - killed)
    out, err = running.communicate(timeout=PATIENCE)

    assert running.returncode == 0, err
    outcomes = nothing_lost_or_doubled(cli.environment["OAFLOW_DB_URI"], JOBS)
    print(f"{dict(kills)} kills, {dict(outcomes)}; recovered in {_seconds(recovered)}; {out}")
    assert sum(kills.values()) >= KILLS / 2, kills


def _forgotten(connection: psycopg.Connection[tuple[int]], pid: int) -> bool:
    return not connection.execute("SELECT 1 FROM oaflow.workers WHERE pid = %s", (pid,)).fetchall()


def _seconds(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} s, at most {max(values):.1f} s" if values else "no time"


def _wait(condition: Callable[[], bool]) -> None:
    assert waited(condition, PATIENCE, 0.02), "it never happened"


@pytest.fixture
def own_home(shared_folder: Path) -> Iterator[Path]:
    """
    The home of a server that a test may restart; durable, as those of users are.
    """
    home = shared_folder / f"chaos-{os.getpid()}"
    with Server(home) as server:
        migrate(server.address.uri, own=True)
        yield home


def test_a_server_that_is_restarted_loses_nothing_and_doubles_nothing(
    cli: Command, own_home: Path, started: Started, chance: random.Random
) -> None:
    jobs = JOBS // 2
    uri = layout(own_home).uri
    environment = {"OAFLOW_DB_URI": uri, "OAFLOW_HEARTBEAT": "0.5", "OAFLOW_DEAD_AFTER": "4"}
    running = started(
        cli.at(**environment).start("run", pipeline(cli, jobs, 0.08), "-d", "demo", "--workers", "2", "--json")
    )
    away: list[float] = []

    def so_far() -> int:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(uri, autocommit=True) as connection:
            return done(connection)
        return -1

    for number, mode in enumerate(["fast", "immediate", "fast", "immediate"]):
        _wait(lambda number=number: so_far() >= 3 * jobs * (number + 0.5) / 8 or running.poll() is not None)
        time.sleep(chance.random() * 0.1)
        before, began = so_far(), time.monotonic()
        assert running.poll() is None, "the run was over before its server was restarted"
        restart(own_home, mode)
        _wait(lambda before=before: so_far() > before or running.poll() is not None)
        away.append(time.monotonic() - began)
    out, err = running.communicate(timeout=PATIENCE)

    assert running.returncode == 0, err
    outcomes = nothing_lost_or_doubled(uri, jobs)
    print(f"{dict(outcomes)}; away {_seconds(away)}; {out}")


def restart(home: Path, mode: str) -> None:
    """
    The postmaster is told to stop, as an administrator does it, and started again.
    """
    pid = int((layout(home).data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGINT if mode == "fast" else signal.SIGQUIT)
    _wait(lambda: not Path(f"/proc/{pid}").exists())
    with Server(home):  # as any command starts it that comes
        pass


def test_what_waits_to_be_put_together_leaves_in_time_though_the_worker_that_brought_it_is_killed(
    cli: Command, started: Started, until: Callable[[Callable[[], object]], object]
) -> None:
    log, goes_on = cli.folder / "log", cli.folder / "goes on"
    cli.environment |= {"OAFLOW_HEARTBEAT": "0.3", "OAFLOW_DEAD_AFTER": "1.5"}
    last = "e.id == 'doc-100'"
    pipeline = cli.pipeline(
        "gathers",
        {
            "source": {"with": {"count": 101}, "next": [{"to": "waits", "where": last}, {"to": "work", "else": True}]},
            "work": {"with": {"seconds": 0.05}, "next": "notes"},
            # More can come all the time, and never enough of it: only the clock is left.
            "waits": {"with": {"file": str(goes_on)}, "timeout": "10m", "next": "notes"},
            "notes": {"with": {"log": str(log)}, "collect": {"size": 1000, "wait": "5s"}},
        },
    )
    process = started(cli.start("run", pipeline, "-d", "demo", "--workers", "2"))

    def arrived() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        return sorted(document for line in lines for document in json.loads(line)["documents"])

    with psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True) as connection:
        until(lambda: connection.execute("SELECT to_regclass('oaflow.collected') IS NOT NULL").fetchone() == (True,))
        waiting = "SELECT count(*) >= 60 FROM oaflow.collected"
        until(lambda: connection.execute(waiting).fetchone() == (True,))
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        killed = time.monotonic()

        until(lambda: len(arrived()) >= 100)

    assert time.monotonic() - killed < 60  # ten times what is expected: 5 s, and what a dead worker is missed after
    goes_on.touch()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert arrived() == sorted(f"doc-{number}" for number in range(101))
