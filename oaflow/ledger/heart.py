"""
The heartbeat of a worker: a thread with its own connection, so that blocking code in the event loop does not stop it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row

log = logging.getLogger(__name__)

SHORTEST_LIMIT = 2.0  # the least time limit of a beat, in seconds

BEAT = "SELECT alive, suspects FROM oaflow.heartbeat_v1(%s, %s::bigint[], %s::bigint[])"


class Heart:
    """
    Beats every `interval` seconds until stopped, and reports each beat.

    Args:
        conninfo: gives the address of the database.
        interval: seconds between two beats.
        mine: the ids of the jobs in hand; called in this thread.
        oldest: when the oldest claim still on the wire was sent (monotonic), or infinity.
        told: called in this thread after each beat, with whether the worker still has a row.
    """

    def __init__(
        self,
        conninfo: Callable[[], str],
        interval: float,
        *,
        mine: Callable[[], Sequence[int]],
        oldest: Callable[[], float],
        told: Callable[[bool], None],
    ) -> None:
        self._conninfo, self._interval = conninfo, interval
        self._mine, self._oldest, self._told = mine, oldest, told
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oaflow heartbeat", daemon=True)
        self._seen: dict[int, float] = {}
        self.worker = 0
        # When it last tried to beat, and when the database last answered (monotonic); None if never.
        self.tried: float | None = None
        self.answered: float | None = None

    def start(self, worker: int) -> None:
        """
        Start to beat for a worker.
        """
        self.worker = worker
        self.tried = self.answered = time.monotonic()  # it is registered
        self._thread.start()

    def stop(self) -> None:
        """
        Stop beating; returns when the thread has ended.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        # Its own event loop in its own thread: a beat on a half-open connection must time out, which a synchronous one
        # cannot.
        asyncio.run(self._beats())

    async def _beats(self) -> None:
        connection: psycopg.AsyncConnection[Any] | None = None
        limit = max(self._interval, SHORTEST_LIMIT)
        while not await asyncio.to_thread(self._stop.wait, self._interval):
            self.tried = time.monotonic()
            try:
                async with asyncio.timeout(limit):
                    if connection is None or connection.closed:
                        connection = await psycopg.AsyncConnection.connect(
                            self._conninfo(), autocommit=True, application_name="oaflow heartbeat", connect_timeout=5
                        )
                    alive = await self._beat(connection)
            except (psycopg.Error, TimeoutError, OSError) as problem:
                log.warning("no heartbeat: %s", str(problem).splitlines()[:1] or type(problem).__name__)
                if connection is not None:
                    await connection.close()
                connection = None
            else:
                self.answered = time.monotonic()
                self._told(alive)
        if connection is not None:
            await connection.close()

    async def _beat(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        worker, mine, oldest = self.worker, list(self._mine()), self._oldest()
        # Leaked jobs: seen one beat ago, too, not in hand, and no claim on the wire could still bring them.
        leaked = [job for job, seen in self._seen.items() if job not in mine and seen < oldest]
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(BEAT, (worker, mine, leaked))
            row = await cursor.fetchone()
        assert row is not None
        alive, suspects = row
        now = time.monotonic()
        self._seen = {job: self._seen.get(job, now) for job in suspects}
        return alive or worker != self.worker
