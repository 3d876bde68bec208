"""
The link between a worker and an executor: a socket for messages, and two pipes for what is printed.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from oaflow.runtime.executors import Executor, Stream
from oaflow.runtime.frames import Frames, read_handover
from oaflow.runtime.lines import Lines
from oaflow.runtime.logged import Logged
from oaflow.runtime.messages import Handover


class Receiver(Protocol):
    """
    Who hears what an executor says.
    """

    def received(self, executor: Executor, handovers: list[Handover]) -> None:
        """
        It handed over.
        """
        ...

    def came_back(self, executor: Executor, jobs: Sequence[int]) -> None:
        """
        It is at another job for so long that these are not to wait behind it.
        """
        ...

    def printed(self, executor: Executor, stream: Stream, text: str, job: int | None, logged: Logged | None) -> None:
        """
        It printed a line, or logged something.

        Args:
            job: that did so, where its executor said which.
        """
        ...

    def lost(self, executor: Executor) -> None:
        """
        No message will come from it any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class End:
    """
    One end of a link.
    """

    messages: socket.socket
    out: int
    err: int

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """
        Those of the socket and of both pipes.
        """
        return self.messages.fileno(), self.out, self.err

    def close(self) -> None:
        """
        Give all of it back.
        """
        self.messages.close()
        os.close(self.out)
        os.close(self.err)


def new_link() -> tuple[End, End]:
    """
    The end of the worker, and that of the executor.
    """
    ours, theirs = socket.socketpair()
    out, out_theirs = os.pipe()
    err, err_theirs = os.pipe()
    return End(ours, out, err), End(theirs, out_theirs, err_theirs)


async def connect(executor: Executor, end: End, receiver: Receiver) -> None:
    """
    Listen to an executor in the loop that runs, and let it be written to.

    Args:
        executor: it gets the transport and the pipes.
        end: the worker's.
        receiver: who is told.
    """
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: _Messages(executor, receiver), sock=end.messages)
    for descriptor, stream in ((end.out, "stdout"), (end.err, "stderr")):
        heard = loop.create_future()
        executor.pipes.append(heard)
        lines = Lines(partial(receiver.printed, executor, cast("Stream", stream)), heard)
        await loop.connect_read_pipe(lambda lines=lines: lines, os.fdopen(descriptor, "rb", 0))


class _Messages(asyncio.Protocol):
    """
    What comes over the socket.
    """

    def __init__(self, executor: Executor, receiver: Receiver) -> None:
        self._executor, self._receiver = executor, receiver
        self._frames = Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._executor.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            match message:
                case ("unbegun", jobs):
                    self._receiver.came_back(self._executor, jobs)
                case rows:
                    self._receiver.received(self._executor, [read_handover(row) for row in rows])

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.lost(self._executor)
