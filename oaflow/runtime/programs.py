"""
Measures the memory of programs that a stage function has started. Linux only: elsewhere they are invisible.

This runs ten times a second for each executor, so the cheap checks come first.
"""

import os
import time
from collections.abc import Iterator

from oaflow.runtime.processes import resident

_TICKS = os.sysconf("SC_CLK_TCK")


def memory_of_programs(pid: int, since: float, above: int) -> int:
    """
    The memory in bytes of the programs that a process has started, and of theirs. Shared memory is not counted.

    Args:
        since: on the monotonic clock. Programs started earlier are left out, because they belong to an earlier job.
        above: the result is 0 if all of them together have no more than this.
    """
    programs = list(descendants(pid))
    if not programs or sum(map(resident, programs)) <= above:
        return 0
    return sum(private(program) for program in programs if started(program) >= since - 2 / _TICKS)


def descendants(pid: int) -> Iterator[int]:
    """
    The children of a process, and theirs. Orphans are not among them, because they have no parent any more.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # a child is listed under the thread that started it
    except OSError:
        return
    for thread in threads:
        for child in _read(f"/proc/{pid}/task/{thread}/children").split():
            yield int(child)
            yield from descendants(int(child))


def private(pid: int) -> int:
    """
    Resident bytes that a process shares with no other; 0 if it is gone. A forked process shares the pages that it has
    not written to, and programs share their libraries.
    """
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith((b"Private_Clean:", b"Private_Dirty:")))


def started(pid: int) -> float:
    """
    When a process was started, on the monotonic clock, to the tick; minus infinity if it is gone.
    """
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # before it is a name, which may contain anything
    if len(fields) < 20:
        return float("-inf")
    # The system counts from its boot, also while the machine sleeps.
    return int(fields[19]) / _TICKS - time.clock_gettime(time.CLOCK_BOOTTIME) + time.monotonic()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
