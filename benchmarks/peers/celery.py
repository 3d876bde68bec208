"""
Celery over Redis: `enqueue NUMBER`; its own command works. The store is that of `STORE`.

Processes, each with 64 jobs ahead, no results, no chatter between workers: what its guide to optimizing names. Jobs are
acknowledged before they run, as is its default.
"""

import sys
from typing import Any

from celery import Celery

from benchmarks.peers.tally import job, note, store

app = Celery("bench", broker=store())
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="a")
def a(payload: dict[str, Any]) -> None:
    """Hand on."""
    note("a", payload["number"])
    b.delay(payload)


@app.task(name="b")
def b(payload: dict[str, Any]) -> None:
    """Hand on."""
    note("b", payload["number"])
    c.delay(payload)


@app.task(name="c")
def c(payload: dict[str, Any]) -> None:
    """End."""
    note("c", payload["number"])


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        a.delay(job(number))
