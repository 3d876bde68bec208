"""
Workers and executors killed with -9 while jobs pass, and the database restarted under them: lost, doubled, stuck.
"""

import contextlib
import random
import signal
import statistics
import time
from dataclasses import dataclass, field

import psutil
import psycopg

from benchmarks.ground import Ground, begin, chain, finished, ground, worker
from benchmarks.harness import Figure, Report, Size, Target
from benchmarks.watch import roles
from oaflow.postgres.server import Server

# Roots (three jobs each) and kills.
AMOUNTS: dict[Size, tuple[int, int]] = {"tiny": (400, 3), "small": (1_500, 12), "full": (3_000, 60)}

JOB_SECONDS = 0.03
WORKERS, EXECUTORS = 2, 2

AT_WORK = "the job of a dead executor is handed over by another"

# What PostgreSQL does on these: `fast` ends its sessions and writes a checkpoint, `immediate` is a crash.
RESTARTS = (signal.SIGINT, signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT)


@dataclass
class Faults:
    """
    What was done to the run, and how many seconds it took until the jobs of a dead worker were given back.

    Attributes:
        executors: when one of them was killed, by the clock.
        others: when anything else was done.
    """

    kills: dict[str, int] = field(default_factory=lambda: {"worker": 0, "executor": 0})
    executors: list[float] = field(default_factory=list[float])
    others: list[float] = field(default_factory=list[float])
    recovered: list[float] = field(default_factory=list[float])
    restarted: list[float] = field(default_factory=list[float])


def measure(size: Size, rounds: int, seed: int = 20) -> Report:
    """
    One run, whatever the rounds; the kills are drawn from the seed.
    """
    roots, kills = AMOUNTS[size]
    with ground() as place:
        address = place.database("kills")
        run = begin(address, chain(["benchmarks.stages.crash"] * 3, {"seconds": JOB_SECONDS}), roots)
        faults = Faults()
        with worker(place, address, executors=EXECUTORS, workers=WORKERS) as root:
            _harm(place, address, run, root, kills, random.Random(seed), faults)
            state = finished(address, run, patience=300)
            alive = root.is_running() and root.status() != psutil.STATUS_ZOMBIE
        lost, doubled, stuck, failed, again = _account(address, run, roots)
        handed = _handed_over(address, run, faults)
    # A restarted server took no connection for a moment, and the next hand-over came after that.
    times = {"a dead worker's jobs are free again": faults.recovered, "hand-over after a restart": faults.restarted}
    # p95, as the promise is of nearly all of them; of those in whose time nothing else was killed or restarted.
    late = statistics.quantiles(handed, n=20, method="inclusive")[-1] if len(handed) > 1 else None
    killed = f"{faults.kills['worker']} workers and {faults.kills['executor']} executors killed"
    return Report(
        "kills",
        f"{killed}, {len(faults.restarted)} restarts of the database, over {3 * roots:,} jobs",
        (
            Figure("kills", "kills", (sum(faults.kills.values()),), Target("at least", kills)),
            Figure("restarts of the database", "restarts", (len(faults.restarted),), Target("at least", len(RESTARTS))),
            Figure("lost", "jobs", (lost,), Target("exactly", 0)),
            Figure("handed over twice", "jobs", (doubled,), Target("exactly", 0)),
            Figure("stuck", "jobs", (stuck,), Target("exactly", 0)),
            Figure("failed", "jobs", (failed,)),
            Figure("run again after a crash", "attempts", (again,)),
            *(Figure(what, "s", tuple(seconds)) for what, seconds in times.items() if seconds),
            *([Figure(f"{AT_WORK}: half of them", "s", (statistics.median(handed),))] if handed else []),
            *([Figure(f"{AT_WORK}: 95 of 100", "s", (late,), Target("at most", 1.0))] if late is not None else []),
        ),
        (f"seed {seed}; the run is {state}; the supervisor {'lives' if alive else 'DIED'}",),
        raw={"kills": faults.kills, "state": state, "handed over after an executor died": handed},
    )


def _harm(
    place: Ground, address: str, run: str, root: psutil.Process, kills: int, draw: random.Random, faults: Faults
) -> None:
    every = max(1, kills // (len(RESTARTS) + 1))
    waiting = list(RESTARTS)
    while sum(faults.kills.values()) < kills or waiting:
        time.sleep(draw.uniform(0.2, 0.8))
        if _ended(address, run):
            return
        done = sum(faults.kills.values())
        if waiting and done >= every * (len(RESTARTS) - len(waiting) + 1):
            _restart(place, address, run, waiting.pop(0), faults)
        elif done < kills:
            _kill(address, root, draw, faults)


def _kill(address: str, root: psutil.Process, draw: random.Random, faults: Faults) -> None:
    role = draw.choice(("worker", "executor"))
    victims = [process for found, process in roles(root) if found == role]
    if not victims:
        return
    victim = draw.choice(victims)
    with contextlib.suppress(psutil.NoSuchProcess):
        victim.kill()
        faults.kills[role] += 1
        (faults.executors if role == "executor" else faults.others).append(time.time())
        if role == "worker":
            faults.recovered.append(_until_free(address, victim.pid, time.monotonic()))


def _until_free(address: str, pid: int, began: float) -> float:
    with psycopg.connect(address, autocommit=True) as connection:
        while time.monotonic() < began + 60:
            row = connection.execute(
                "SELECT count(*) FROM procrastinate_jobs j JOIN oaflow.workers w ON w.id = j.worker_id"
                " WHERE j.status::text = 'doing' AND w.pid = %s",
                [pid],
            ).fetchone()
            if row is None or row[0] == 0:
                break
            time.sleep(0.02)
    return time.monotonic() - began


def _restart(place: Ground, address: str, run: str, how: signal.Signals, faults: Faults) -> None:
    postmaster = place.postmaster
    began, moment = time.monotonic(), time.time()
    faults.others.append(moment)
    postmaster.send_signal(how)
    postmaster.wait(60)
    with Server(place.folder / "home"):  # as any command starts it that comes
        pass
    while time.monotonic() < began + 60:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM oaflow.hops WHERE run = %s AND at > to_timestamp(%s) AND outcome = 'done'",
                [run, moment + 0.001],
            ).fetchone()
            # Hand-overs that were on the wire when the signal came may be later than it: the server was up until now.
            if row is not None and row[0] and place.postmaster.pid != postmaster.pid:
                break
        time.sleep(0.05)
    faults.restarted.append(time.monotonic() - began)


def _handed_over(address: str, run: str, faults: Faults) -> list[float]:
    """
    For each executor that was killed at work the seconds from there until its job was handed over by another.
    """
    crashes = """
        SELECT extract(epoch FROM crashed.at)::float8, extract(epoch FROM min(done.at))::float8
          FROM oaflow.hops crashed JOIN oaflow.hops done USING (run, job)
         WHERE crashed.run = %s AND crashed.outcome = 'crashed' AND done.outcome = 'done'
         GROUP BY crashed.job, crashed.at ORDER BY 1"""
    with psycopg.connect(address, autocommit=True) as connection:
        rows = connection.execute(crashes, [run]).fetchall()
    found: list[float] = []
    for crashed, done in rows:
        killed = max((at for at in faults.executors if at <= crashed), default=None)
        if killed is not None and not any(killed - 1.0 < at < done for at in faults.others):
            found.append(done - killed)
    return found


def _ended(address: str, run: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute("SELECT state FROM oaflow.runs WHERE id = %s", [run]).fetchone()
        return row is not None and row[0] not in ("running", "paused", "interrupted")
    return False


def _account(address: str, run: str, roots: int) -> tuple[int, int, int, int, int]:
    """
    Lost, doubled, stuck, failed, tried again: of the history, and of the rows, counted apart from each other.
    """
    with psycopg.connect(address, autocommit=True) as connection:

        def one(statement: str, *values: object) -> int:
            row = connection.execute(statement, values).fetchone()  # pyright: ignore[reportArgumentType]
            return 0 if row is None else int(row[0])

        ended = one(
            "SELECT count(DISTINCT (stage, documents)) FROM oaflow.hops WHERE run = %s AND outcome = 'done'", run
        )
        failed = one("SELECT count(*) FROM oaflow.failures WHERE run = %s", run)
        twice = one(
            "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM oaflow.hops"
            " WHERE run = %s AND outcome = 'done' GROUP BY stage, documents) x",
            run,
        )
        rows = one("SELECT count(*) FROM procrastinate_jobs")
        again = one("SELECT count(*) FROM oaflow.hops WHERE run = %s AND outcome IN ('crashed', 'retried')", run)
        stuck = one("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")
    return max(0, 3 * roots - ended - failed - stuck), max(twice, rows - 3 * roots), stuck, failed, again
