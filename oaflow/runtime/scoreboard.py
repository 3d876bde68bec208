"""
What an executor is doing, in shared memory that outlives it. So a crash is charged to the right job without any
message.
"""

import mmap
import os
import struct
import tempfile

SIZE = 16

_JOB = struct.Struct("<q")
_SINCE = struct.Struct("<d")


def new_scoreboard() -> int:
    """
    A descriptor of shared memory for one.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("oaflow-scoreboard")
    else:  # macOS
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, SIZE)
    return fd


class Scoreboard:
    """
    The job that is running, and since when on the monotonic clock, which all processes of a machine share.

    Written by the executor, read by its worker. Each member is eight aligned bytes, and so never seen half written.
    """

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, SIZE)

    def begin(self, job: int, since: float) -> None:
        """
        Say that a job runs.
        """
        _SINCE.pack_into(self._map, 8, since)
        _JOB.pack_into(self._map, 0, job)

    def clear(self) -> None:
        """
        Say that none runs.
        """
        _JOB.pack_into(self._map, 0, 0)

    def read(self) -> tuple[int, float] | None:
        """
        The job that runs, or ran when the process died, and since when.
        """
        (job,) = _JOB.unpack_from(self._map, 0)
        return (job, _SINCE.unpack_from(self._map, 8)[0]) if job else None

    def close(self) -> None:
        """
        Give the memory back.
        """
        self._map.close()
