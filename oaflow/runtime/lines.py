"""
What processes print, cut into lines, each with the job that printed it.
"""

import asyncio
from collections.abc import Callable

LONGEST_LINE = 16_384

# Before the first thing that a job prints, its executor writes a line of its own with the number of the job.
MARK = b"\x1e"


class Lines(asyncio.Protocol):
    """
    What comes out of a pipe, by lines. Lines of the executor's own say which job the following ones belong to.
    """

    def __init__(self, line: Callable[[str, int | None], None], heard: "asyncio.Future[None]") -> None:
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
        before, mark, job = line.rpartition(MARK)
        if mark and job.isdigit():
            if before:  # a line that its job did not end
                self._line(before.decode(errors="replace"), self._job)
            self._job = int(job) or None
        else:
            self._line(line.decode(errors="replace"), self._job)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._take(self._rest)
        if not self._heard.done():
            self._heard.set_result(None)
