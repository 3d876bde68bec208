"""
The chain in other systems, each with its best documented settings and each hand-over kept in its store, beside oaflow.

Needs `redis-server`. The systems are in environments of their own, from the locks in `benchmarks/peers`; a lock is made
with `scripts/lock`.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks.ground import ROOT, Ground, ground, url
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.peers import tally
from benchmarks.rates import ASYNC, ours, procrastinate
from tools.environments import Environments

ENVIRONMENTS = Environments(
    ROOT / "benchmarks" / "peers", Path(os.environ.get("OAFLOW_PEERS_CACHE") or ROOT / ".venv-peers")
)

ROOTS: dict[Size, int] = {"tiny": 200, "small": 2_000, "full": 10_000}
PROCESSES = (1, 2)
LEAST = 4.0  # times the fastest of the others, in that round

PATIENCE = 60.0  # seconds without any execution


@dataclass(frozen=True)
class Peer:
    """
    A system beside which oaflow is measured.

    Attributes:
        name: of its module and its lock in `benchmarks/peers`.
        store: where its jobs are.
        share: it gets so many times fewer roots, where it is slow; its rate does not depend on them.
        promises: what it says of a hand-over, read in its docs and its source, not tried here.
    """

    title: str
    name: str
    store: Literal["postgres", "redis"]
    share: int
    promises: str

    def commands(self, processes: int) -> list[list[str]]:
        """
        What is started to work in so many processes, after the interpreter.
        """
        module = f"benchmarks.peers.{self.name}"
        count = str(processes)
        match self.name:
            case "taskiq":
                return [["taskiq", "worker", f"{module}:broker", "--workers", count, "--max-async-tasks", "100"]]
            case "dramatiq":
                return [["dramatiq", module, "--processes", count, "--threads", "8"]]
            case "celery":
                quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
                return [["celery", "-A", module, "worker", "--pool", "prefork", "-c", count, "-O", "fair", *quiet]]
            case _:
                return [[module, "work"]] * processes


PEERS = (
    Peer("PgQueuer", "pgqueuer", "postgres", 2, "at least once; acknowledged in groups, apart from the next enqueue"),
    Peer("taskiq, Redis stream", "taskiq", "redis", 2, "at least once, after 10 minutes idle; Redis may lose 1 s"),
    Peer("Dramatiq, Redis", "dramatiq", "redis", 2, "at least once; Redis may lose 1 s"),
    Peer("Celery, Redis", "celery", "redis", 4, "can lose: acknowledged before it runs; Redis may lose 1 s"),
    Peer("DBOS", "dbos", "postgres", 10, "a step at least once, its result once"),
)

PROMISES = {
    "oaflow": "handed over exactly once, with counters and history",
    "procrastinate": "can lose; at least once with the recovery of its docs",
    **{peer.title: peer.promises for peer in PEERS},
}


def measure(size: Size, rounds: int) -> Report:
    """
    Rates in one and in two processes.
    """
    roots = ROOTS[size]
    if shutil.which("redis-server") is None:
        raise RuntimeError("there is no redis-server: apt-get install redis-server")
    with ground() as place:
        variants: dict[str, Callable[[], float]] = {}
        for processes in PROCESSES:
            variants[_named("oaflow", processes)] = partial(_ours, place, roots, processes, events=True)
            variants[_named("oaflow, own server", processes)] = partial(_ours, place, roots, processes, events=False)
            variants[_named("procrastinate", processes)] = partial(_stock, place, roots // 5, processes)
            for peer in PEERS:
                variants[_named(peer.title, processes)] = partial(_peer, place, peer, roots // peer.share, processes)
        found = {name: tuple(rates) for name, rates in interleaved(variants, rounds).items()}
    figures = [Figure(name, "jobs/s", rates) for name, rates in found.items()]
    for processes in PROCESSES:
        others = [found[_named(peer.title, processes)] for peer in PEERS]
        fastest = [max(of_round) for of_round in zip(*others, strict=True)]
        for name in ("oaflow", "oaflow, own server"):
            figures.append(
                Figure(
                    f"{_named(name, processes)}, to the fastest of the others",
                    "times",
                    ratios(found[_named(name, processes)], fastest),
                    Target("at least", LEAST),
                )
            )
    return Report(
        "field",
        f"a chain of three empty stages, {roots:,} roots for oaflow, fewer for slower systems",
        tuple(figures),
        tuple(f"{name}: {promise}." for name, promise in PROMISES.items()),
    )


def _named(title: str, processes: int) -> str:
    return f"{title}: {processes} process{'es' if processes > 1 else ''}"


def _ours(place: Ground, roots: int, processes: int, *, events: bool) -> float:
    return ours(place, ASYNC, roots, 1, workers=processes, events=events)[0]


def _stock(place: Ground, roots: int, processes: int) -> float:
    """
    With the pool that is mostly the faster one; `chain` shows both.
    """
    return procrastinate(place, "lean", roots, workers=processes)[0]


def _peer(place: Ground, peer: Peer, roots: int, processes: int) -> float:
    python = str(ENVIRONMENTS.make(peer.name) / "bin" / "python")
    records = place.folder / f"tally-{peer.name}"
    records.unlink(missing_ok=True)
    with _store(place, peer) as store:
        environment = place.environment(STORE=store, TALLY=str(records))
        subprocess.run(
            [python, "-m", f"benchmarks.peers.{peer.name}", "enqueue", str(roots)],
            env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with _working(place, [[python, "-m", *rest] for rest in peer.commands(processes)], environment):
            _wait(peer, records, 3 * roots)
    return _rate(peer, records, roots)


@contextmanager
def _store(place: Ground, peer: Peer) -> Generator[str]:
    """
    A new database, or a Redis of its own, which keeps what is written as its docs say: on disk every second.
    """
    if peer.store == "postgres":
        yield url(place.empty_database(peer.name))
        return
    folder = place.folder / "redis"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    port = _free_port()
    kept = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", *kept], stdout=subprocess.DEVNULL
    )
    try:
        _until_open(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _until_open(port: int) -> None:
    limit = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


@contextmanager
def _working(place: Ground, commands: list[list[str]], environment: dict[str, str]) -> Generator[None]:
    """
    Processes for the time of a block, each the leader of a group of its own: some start further ones.
    """
    with (place.folder / "peers.txt").open("ab") as output:
        processes = [
            subprocess.Popen(
                command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )
            for command in commands
        ]  # fmt: skip
    try:
        yield
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(peer: Peer, records: Path, jobs: int) -> None:
    """
    Until so many executions are recorded.

    Raises:
        RuntimeError: there were none for a while.
    """
    before, since = 0, time.monotonic()
    while (now := tally.count(records)) < jobs:
        if now > before:
            before, since = now, time.monotonic()
        if time.monotonic() > since + PATIENCE:
            raise RuntimeError(f"{peer.title} ran {now} of {jobs} jobs")
        time.sleep(0.2)


def _rate(peer: Peer, records: Path, roots: int) -> float:
    found = tally.records(records)
    distinct = {(stage, number) for stage, number, _ in found}
    if len(found) != 3 * roots or len(distinct) != 3 * roots:
        raise RuntimeError(f"{peer.title} ran {len(found)} jobs, {len(distinct)} of {3 * roots} different ones")
    times = [at for _, _, at in found]
    return len(found) / (max(times) - min(times))
