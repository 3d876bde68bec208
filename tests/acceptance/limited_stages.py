"""
A stage that says over a connection of its own that it runs: as a service would see it, whatever oaflow believes.
"""

import asyncio
import time
from functools import cache
from typing import Any

import psycopg

from oaflow import DatasetJob, stage

RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'running' AND datname = current_database()"


@cache
def own(uri: str) -> psycopg.Connection[Any]:
    return psycopg.connect(uri, autocommit=True)


@stage
def asks(job: DatasetJob, *, uri: str, seconds: float = 0.0) -> DatasetJob:
    """Ask a service: note how many do so at this moment, this one counted in, and be one of them for some seconds."""
    # One name more while it runs; where the process is killed, the server sees the end of its connection.
    own(uri).execute("SET application_name = 'running'")
    own(uri).execute(f"INSERT INTO asked (document, beside) VALUES (%s, ({RUNNING}))", (job.documents[0],))
    time.sleep(seconds)
    own(uri).execute("SET application_name = 'idle'")
    return job


@stage
def asks_quickly(job: DatasetJob, *, uri: str) -> DatasetJob:
    """Ask a service that answers at once: note that it was asked."""
    own(uri).execute("INSERT INTO asked (document) VALUES (%s)", (job.documents[0],))
    return job


@stage
async def asks_in_loop(job: DatasetJob, *, uri: str, seconds: float = 0.0) -> DatasetJob:
    """The same in the worker's loop: a connection for each job, since many run in one process."""
    connection = await psycopg.AsyncConnection.connect(uri, autocommit=True, application_name="running")
    async with connection:
        await connection.execute(f"INSERT INTO asked (document, beside) VALUES (%s, ({RUNNING}))", (job.documents[0],))
        await asyncio.sleep(seconds)
        await connection.execute("SET application_name = 'idle'")
    return job
