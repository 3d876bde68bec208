"""
DBOS: `enqueue NUMBER`, or `work`. The database is that of `STORE`.

One async workflow of three steps for a root, not three jobs: that is how it is meant. 200 at once, a look every 50 ms.
"""

import os
import sys
import threading
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.peers.tally import job, note, store

CONCURRENCY = 200
POLL = 0.05  # seconds

# The same version for who enters and who works, else the jobs are others'; an executor is a process.
config: DBOSConfig = {
    "name": "bench",
    "system_database_url": store(),
    "application_version": "bench",
    "executor_id": str(os.getpid()),
    "log_level": "ERROR",
    "sys_db_pool_size": 20,
}
DBOS(config=config)


@DBOS.step()
async def a(payload: dict[str, Any]) -> dict[str, Any]:
    """Hand on."""
    note("a", payload["number"])
    return payload


@DBOS.step()
async def b(payload: dict[str, Any]) -> dict[str, Any]:
    """Hand on."""
    note("b", payload["number"])
    return payload


@DBOS.step()
async def c(payload: dict[str, Any]) -> None:
    """End."""
    note("c", payload["number"])


@DBOS.workflow(name="flow")
async def flow(payload: dict[str, Any]) -> None:
    """Three steps, each recorded before the next begins."""
    await c(await b(await a(payload)))


def enqueue(roots: int) -> None:
    """
    Make the tables and the queue, and enter the first jobs.
    """
    DBOS.listen_queues([])
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=CONCURRENCY, polling_interval_sec=POLL)
    DBOS.destroy()
    client = DBOSClient(system_database_url=store())
    for number in range(roots):
        client.enqueue({"queue_name": "bench", "workflow_name": "flow", "app_version": "bench"}, job(number))
    client.destroy()


def work() -> None:
    """
    Work until told to stop.
    """
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=CONCURRENCY, polling_interval_sec=POLL)
    threading.Event().wait()


if __name__ == "__main__":
    enqueue(int(sys.argv[2])) if sys.argv[1] == "enqueue" else work()
