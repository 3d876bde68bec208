"""
Statements that are sent until they are answered.

Everything that workers send is fenced in the database, so after a cut connection, a restart of the server or a lost
answer the same statement is simply sent again. If the server still works on it, this waits.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import psycopg.errors
import psycopg_pool

from oaflow.ledger.unanswered import Statement, end, is_worked_on
from oaflow.sessions import WITHOUT_JIT

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")

TRANSIENT = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolTimeout,
    psycopg_pool.PoolClosed,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    TimeoutError,
    OSError,
)

Pool = psycopg_pool.AsyncConnectionPool[Any]


def lean_pool(**options: Any) -> Pool:
    """
    A pool without the check per checkout that procrastinate requests: it doubles the round trips, and a statement on a
    dead connection is sent again anyway.
    """
    options.pop("check", None)
    return psycopg_pool.AsyncConnectionPool(**options)


def autocommit(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> Awaitable[None] | None:
    """
    For `configure=` of the pool: one round trip per statement. As `kwargs={"autocommit": True}` it would break the
    LISTEN connection of procrastinate 3.10, which passes it, too. It also works for a pool of sync connections, which
    procrastinate makes from the same arguments if the app is opened without an event loop.
    """
    if isinstance(connection, psycopg.Connection):
        connection.autocommit = True
        return None
    return connection.set_autocommit(True)


def direct(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> Awaitable[None] | None:
    """
    The same, for connections that have a session to themselves.
    """
    if isinstance(connection, psycopg.Connection):
        autocommit(connection)
        connection.execute(WITHOUT_JIT)
        return None
    return _direct(connection)


async def _direct(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)
    await connection.execute(WITHOUT_JIT)


def unprepared(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> Awaitable[None] | None:
    """
    As `autocommit`, for a pooler that gives each statement to any free session. That session lacks what another one
    prepared, and what is set in it would apply to whoever comes next.
    """
    connection.prepare_threshold = None
    return autocommit(connection)


class Refused(Exception):
    """
    Postgres understood the statement but refuses it: sending it again will not help.
    """

    def __init__(self, cause: psycopg.Error) -> None:
        self.cause = cause
        self.worker_gone = isinstance(cause, psycopg.errors.ForeignKeyViolation)
        super().__init__(str(cause).splitlines()[0] if str(cause) else type(cause).__name__)


class Wire:
    """
    Sends statements over a pool of connections, and waits out temporary problems.

    Args:
        pool: gives the connections.
        timeout: seconds after which the server is asked about a statement without an answer. It is sent again if the
            server no longer works on it, or does not answer that either: a half-open connection would hang.

    Attributes:
        worker: the current id of the worker that sends over it.
    """

    def __init__(self, pool: Callable[[], Pool], *, timeout: float = 20.0) -> None:
        self._pool = pool
        self._timeout = timeout
        self.worker = 0
        self.away_since: float | None = None

    async def send(
        self,
        what: str,
        call: Callable[Concatenate[psycopg.AsyncConnection[Any], P], Awaitable[T]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """
        Run `call` with a connection and the arguments until it is answered; `what` names it in the log.

        Raises:
            Refused: Postgres refuses the statement itself.
        """
        delay = 0.05
        before: Statement | None = None
        while True:
            try:
                async with self._pool().connection(timeout=self._timeout) as connection:
                    if before is not None:
                        async with asyncio.timeout(self._timeout):
                            await end(connection, before, self._timeout)
                    before = Statement(connection.info.backend_pid, time.monotonic())
                    answer = await self._answer(what, connection, call(connection, *arguments, **named))
                self.away_since = None
                return answer
            except TRANSIENT as problem:
                if self.away_since is None:
                    self.away_since = asyncio.get_running_loop().time()
                    log.warning("%s is sent again: %s", what, str(problem).splitlines()[:1] or type(problem).__name__)
            except psycopg.Error as problem:
                raise Refused(problem) from problem
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(delay * 2, 2.0)

    async def _answer(self, what: str, connection: psycopg.AsyncConnection[Any], call: Awaitable[T]) -> T:
        """
        The answer of a call that is on the wire.

        Raises:
            TimeoutError: there will be no answer.
        """
        answer = asyncio.ensure_future(call)
        try:
            while not (await asyncio.wait({answer}, timeout=self._timeout))[0]:
                if not await is_worked_on(connection, self._timeout) and not answer.done():
                    raise TimeoutError(f"no answer for {self._timeout:g} s, and the server is not at it")
                log.info("%s takes longer than %g s; the server is at it", what, self._timeout)
            return await answer
        finally:
            if not answer.done():  # psycopg cancels it on the server, or closes the connection
                answer.cancel()
                await asyncio.gather(answer, return_exceptions=True)
