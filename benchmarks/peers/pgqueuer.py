"""
PgQueuer: `enqueue NUMBER`, or `work`. The database is that of `STORE`; its tables are the durable ones.

A pool of 10, batches of 50 (10 and 100 were within a tenth), uvloop.
"""

import json
import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.models import Job

from benchmarks.peers.tally import job, note, store

POOL = 10
BATCH = 50


async def enqueue(roots: int) -> None:
    """
    Install the schema and enter the first jobs.
    """
    connection = await asyncpg.connect(store())
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()
    payloads = [json.dumps(job(number)).encode() for number in range(roots)]
    await queries.enqueue(["a"] * roots, payloads, [0] * roots)
    await connection.execute("ANALYZE")
    await connection.execute("CHECKPOINT")


async def work() -> None:
    """
    Work until told to stop.
    """
    pool = await asyncpg.create_pool(store(), min_size=POOL, max_size=POOL)
    queries = Queries.from_asyncpg_pool(pool)
    pgq = PgQueuer.from_asyncpg_pool(pool)

    @pgq.entrypoint("a")
    async def a(received: Job) -> None:
        payload = json.loads(received.payload or b"")
        note("a", payload["number"])
        await queries.enqueue("b", json.dumps(payload).encode())

    @pgq.entrypoint("b")
    async def b(received: Job) -> None:
        payload = json.loads(received.payload or b"")
        note("b", payload["number"])
        await queries.enqueue("c", json.dumps(payload).encode())

    @pgq.entrypoint("c")
    async def c(received: Job) -> None:
        note("c", json.loads(received.payload or b"")["number"])

    await pgq.run(batch_size=BATCH)


if __name__ == "__main__":
    uvloop.run(enqueue(int(sys.argv[2])) if sys.argv[1] == "enqueue" else work())
