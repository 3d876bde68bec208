"""
Splits what processes print into lines, each with the job that printed it.
"""

import asyncio
from collections.abc import Callable

from oaflow.runtime.logged import Logged, unpacked

LONGEST_LINE = 16_384

# Before the first output of a job, its executor writes a line of its own with the id of the job; a logged message is
# such a line, too.
MARK = b"\x1e"


class Lines(asyncio.Protocol):
    """
    Reads a pipe line by line. Lines of the executor's own name the job of the following lines, or carry a logged
    message.

    Args:
        line: takes each line, with its job, and with the message if it was logged.
        heard: done when no more lines will come.
    """

    def __init__(self, line: Callable[[str, int | None, Logged | None], None], heard: "asyncio.Future[None]") -> None:
        self._line, self._heard = line, heard
        self._rest = b""
        self._job: int | None = None

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        while len(rest) >= LONGEST_LINE:
            self._take(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest = rest

    def _take(self, line: bytes) -> None:
        before, mark, own = line.rpartition(MARK)
        logged = unpacked(own) if mark and not own.isdigit() else None
        if not mark or (logged is None and not own.isdigit()):
            self._line(line.decode(errors="replace"), self._job, None)
            return
        if before:  # a line that its job did not terminate
            self._line(before.decode(errors="replace"), self._job, None)
        if logged is None:
            self._job = int(own) or None
        else:
            self._line(logged.text, self._job, logged)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._take(self._rest)
        if not self._heard.done():
            self._heard.set_result(None)
