"""
Stands between workers and Postgres, and cuts or stalls the statement that it is told to: before the server has it, or
when it has taken effect and only the answer is lost.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.chaos.protocol import ENCRYPT, Message, Request, Requests, messages, startup

When = Literal["before", "answer lost"]
How = Literal["cut", "stall"]

_READY, _ERROR = b"Z", b"E"

# What comes before the end of an answer, and need not be passed on before it.
_PARTS = frozenset((b"1", b"2", b"T", b"D", b"C", b"n", b"t", b"I"))


class Kind(NamedTuple):
    """
    How a statement is known: by words of its text, by bytes among its values, by bytes of its answer.
    """

    text: str
    values: bytes = b""
    but: bytes = b"\xff"  # no value holds this: it is no UTF-8
    answer: bytes = b""

    def is_sent(self, request: Request) -> bool:
        """
        Whether this is it, as far as the request tells.
        """
        return self.text in request.text and self.values in request.values and self.but not in request.values


# The statements of a worker. What fires a join, or puts together what waited, is known from the answer only.
KINDS = {
    "fetch": Kind("oaflow.fetch_v"),
    "fetch with a limit": Kind("oaflow.fetch_lane_v"),
    "complete": Kind("oaflow.complete_v", but=b'"retried"'),
    "retry": Kind("oaflow.complete_v", values=b'"retried"'),
    "heartbeat": Kind("oaflow.heartbeat_v"),
    "recover": Kind("oaflow.recover_v"),
    "sweep": Kind("oaflow.sweep_v"),
    "gather": Kind("oaflow.close_v", answer=b"gathered"),
    "join": Kind("oaflow.close_v", answer=b"joined"),
    "listen": Kind("LISTEN"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is to become of one statement. What is stalled goes on after so many `seconds`, wanted or not.
    """

    statement: str
    when: When
    how: How
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.statement}, {self.when}, {self.how}"


class Proxy:
    """
    A proxy for the time of a block, in a thread of its own.

    Args:
        uri: of the database behind it.

    Attributes:
        address: of the database, as those see it who come through here.
        struck: what was done, with the second (epoch) of it.
        away: set it, and nobody gets through; see `leave`.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._folder = tempfile.TemporaryDirectory(prefix="oaflow-proxy-", dir="/tmp")
        self._known = conninfo_to_dict(uri)
        self._socket = f".s.PGSQL.{self._known.get('port', 5432)}"
        self.address = make_conninfo(uri, host=self._folder.name)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._armed: list[Fault] = []
        self._lock = threading.Lock()
        self._sessions: set[_Session] = set()
        self.struck: list[tuple[Fault, float]] = []
        self.away = False

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_unix_server(self._connected, Path(self._folder.name) / self._socket))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    def arm(self, *faults: Fault) -> None:
        """
        Strike each of these at the next statement of its kind.
        """
        with self._lock:
            self._armed += faults

    def disarm(self) -> None:
        """
        Strike nothing that has not been met yet.
        """
        with self._lock:
            self._armed.clear()

    @property
    def armed(self) -> tuple[Fault, ...]:
        """
        What is not struck yet.
        """
        with self._lock:
            return tuple(self._armed)

    def leave(self) -> None:
        """
        Cut everybody off, and let nobody in until `away` is false again.
        """
        self.away = True
        self._call(self._drop(None))

    def drop(self, kind: str) -> None:
        """
        Cut the sessions that have sent a statement of a kind.
        """
        self._call(self._drop(kind))

    async def _drop(self, kind: str | None) -> None:
        for session in list(self._sessions):
            if kind is None or kind in session.kinds:
                session.cut()

    # -- in the proxy's own thread ---------------------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _close(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _connected(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            code, first = await startup(client)
            while code in ENCRYPT:
                answers.write(b"N")
                code, first = await startup(client)
            server, questions = await self._connect()
        except (OSError, asyncio.IncompleteReadError):
            answers.transport.abort()
            return
        questions.write(first)
        session = _Session(client, answers, server, questions, self._fitting, self._take)
        self._sessions.add(session)
        try:
            await session.run()
        except asyncio.CancelledError:
            pass  # the proxy closes
        finally:
            self._sessions.discard(session)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.away:
            raise ConnectionRefusedError
        host = str(self._known.get("host") or "localhost")
        if host.startswith("/"):
            return await asyncio.open_unix_connection(Path(host) / self._socket)
        return await asyncio.open_connection(host, int(self._known.get("port", 5432)))

    def _fitting(self, request: Request, when: When) -> list[Fault]:
        """
        What is armed for a statement, as far as the request tells.
        """
        return [fault for fault in self.armed if fault.when == when and KINDS[fault.statement].is_sent(request)]

    def _take(self, faults: list[Fault]) -> Fault | None:
        """
        Strike the first of these that no other session has struck meanwhile.
        """
        with self._lock:
            for fault in faults:
                if fault in self._armed:
                    self._armed.remove(fault)
                    self.struck.append((fault, time.time()))
                    return fault
        return None


class _Session:
    """
    One client and its connection to the server.
    """

    def __init__(
        self,
        client: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        questions: asyncio.StreamWriter,
        fitting: Callable[[Request, When], list[Fault]],
        take: Callable[[list[Fault]], Fault | None],
    ) -> None:
        self._client, self._answers, self._server, self._questions = client, answers, server, questions
        self._fitting, self._take = fitting, take
        self._awaited: list[Fault] = []
        self.kinds: set[str] = set()

    async def run(self) -> None:
        """
        Pass on what both sides say, until one hangs up.
        """
        asking, answering = asyncio.create_task(self._ask()), asyncio.create_task(self._answer())
        try:
            await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
            for writer in (self._answers, self._questions):
                writer.close()

    def cut(self) -> None:
        """
        Hang up on the client. The server notices by itself.
        """
        self._answers.transport.abort()
        self._questions.close()

    async def _ask(self) -> None:
        requests = Requests()
        async for message in messages(self._client):
            request = requests.add(message)
            if request is None:
                continue
            self.kinds.update(name for name, kind in KINDS.items() if kind.is_sent(request))
            # Of a join it is not known before: the caller sees to it that the next one fires.
            if (fault := self._take(self._fitting(request, "before"))) is not None:
                if fault.how == "cut":
                    self.cut()
                    return
                await asyncio.sleep(fault.seconds)
            # Whose answer tells which it was is taken then: meanwhile another session may be the one that fires.
            self._awaited = self._fitting(request, "answer lost")
            await _send(self._questions, request.encoded)

    async def _answer(self) -> None:
        held: list[Message] = []
        async for message in messages(self._server):
            held.append(message)
            if message.kind in _PARTS or (self._awaited and message.kind != _READY):
                continue
            awaited, self._awaited = self._awaited, []
            if awaited and all(part.kind != _ERROR for part in held):
                found = [fault for fault in awaited if any(KINDS[fault.statement].answer in part.body for part in held)]
                if (fault := self._take(found)) is not None:
                    if fault.how == "cut":
                        self.cut()
                        return
                    await asyncio.sleep(fault.seconds)
            await _send(self._answers, b"".join(part.encoded() for part in held))
            held.clear()


async def _send(side: asyncio.StreamWriter, data: bytes) -> None:
    """
    Pass on to a side, where it is still there.
    """
    with suppress(ConnectionError):
        if not side.is_closing():
            side.write(data)
            await side.drain()
