"""
The same chain in procrastinate as it comes. `main` is a process of its own; the address comes on stdin.

Concurrency 50 and a pool of 4; larger pools and uvloop were no faster when it was tuned. `lean` is the fastest that
its public options allow: one round trip a query, by a pool that commits by itself and checks no connection.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import procrastinate
import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

QUEUES = ["a", "b", "c"]
CONCURRENCY = 50


async def _commit_by_itself(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)


def make_app(address: str, kind: str) -> procrastinate.App:
    """
    An app with three tasks, the first two of which defer the next.
    """
    options: dict[str, Any] = {"conninfo": address, "min_size": 4, "max_size": 4}
    if kind == "lean":
        options |= {"pool_factory": _unchecked, "configure": _commit_by_itself}
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(**options))

    @app.task(name="a", queue="a")
    async def a(**job: Any) -> None:
        await app.configure_task("b", queue="b").defer_async(**job)

    @app.task(name="b", queue="b")
    async def b(**job: Any) -> None:
        await app.configure_task("c", queue="c").defer_async(**job)

    @app.task(name="c", queue="c")
    async def c(**job: Any) -> None:
        return None

    return app


def _unchecked(**options: Any) -> AsyncConnectionPool[Any]:
    return AsyncConnectionPool(**(options | {"check": None, "open": False}))


def enqueue(address: str, jobs: Sequence[dict[str, Any]]) -> None:
    """
    The first jobs, not timed.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES ('a', 'a', %s)",
                [(Jsonb(job),) for job in jobs],
            )
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")


def passed(address: str) -> tuple[int, float]:
    """
    How many jobs have ended, and the seconds between the start of the first and the end of the last.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE type = 'succeeded'), coalesce(extract(epoch FROM"
            " max(at) FILTER (WHERE type = 'succeeded') - min(at) FILTER (WHERE type = 'started')), 0)::float8"
            " FROM procrastinate_events"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


async def _work(address: str, kind: str) -> None:
    app = make_app(address, kind)
    async with app.open_async():
        await app.run_worker_async(queues=QUEUES, concurrency=CONCURRENCY)


def main(kind: str) -> None:
    """
    Work until told to stop. Not as `__main__`: procrastinate warns of an app that is made there.
    """
    asyncio.run(_work(sys.stdin.readline().strip(), kind))
