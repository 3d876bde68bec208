"""
The same chain in the real openaleph-procrastinate, from the environment of `tests/compat`: sync tasks, each of which
defers the next, and procrastinate's own command for workers, as OpenAleph's services run it.
"""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import stock
from benchmarks.ground import ROOT, Ground, url
from benchmarks.peers.tally import job
from tools.environments import Environments

ENVIRONMENTS = Environments(
    ROOT / "tests" / "compat", Path(os.environ.get("OAFLOW_COMPAT_CACHE") or ROOT / ".venv-compat")
)

CONCURRENCY = 50  # 10 was no faster


def enqueue(address: str, roots: int) -> None:
    """
    The first jobs, not timed.
    """
    stock.enqueue(address, [{**job(number), "queue": "a", "task": "a"} for number in range(roots)])


@contextmanager
def worker(place: Ground, address: str) -> Generator[subprocess.Popen[bytes]]:
    """
    One worker process for the time of a block.
    """
    python = ENVIRONMENTS.make("oap") / "bin" / "python"
    process = subprocess.Popen(
        [
            *(str(python), "-m", "procrastinate", "--app", "benchmarks.peers.openaleph.app", "worker"),
            *("--queues", "a,b,c", "--concurrency", str(CONCURRENCY)),
        ],
        env=place.environment(PROCRASTINATE_DB_URI=url(address), OPENALEPH_DB_URI=url(address), LOG_LEVEL="ERROR"),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
