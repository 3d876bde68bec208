"""
Measures the memory of programs that a stage function has started. Linux only: elsewhere they are not seen.

Looked at ten times a second for each executor, so the cheap questions come first.
"""

import os
import time
from collections.abc import Iterator

from oaflow.runtime.processes import resident

_TICKS = os.sysconf("SC_CLK_TCK")


def memory_of_programs(pid: int, since: float, above: int) -> int:
    """
    Bytes that programs hold which a process has started, or these have. What they share is not counted.

    Args:
        since: on the monotonic clock. Programs that were started before are left out: they are an earlier job's.
        above: 0 is answered where all of them together have no more than this.
    """
    programs = list(descendants(pid))
    if not programs or sum(map(resident, programs)) <= above:
        return 0
    return sum(private(program) for program in programs if started(program) >= since - 2 / _TICKS)


def descendants(pid: int) -> Iterator[int]:
    """
    The children of a process, and theirs. One that was left by its parent is nobody's child, and not among them.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # a child stands with the thread that started it
    except OSError:
        return
    for thread in threads:
        for child in _read(f"/proc/{pid}/task/{thread}/children").split():
            yield int(child)
            yield from descendants(int(child))


def private(pid: int) -> int:
    """
    Resident bytes that a process shares with no other; 0 where it is gone. A forked process shares what it has not
    written to, and programs their libraries.
    """
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith((b"Private_Clean:", b"Private_Dirty:")))


def started(pid: int) -> float:
    """
    When a process was started, on the monotonic clock, to the tick; minus infinity where it is gone.
    """
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # before it stands a name, which may hold anything
    if len(fields) < 20:
        return float("-inf")
    # The system counts from its boot, and goes on while the machine sleeps.
    return int(fields[19]) / _TICKS - time.clock_gettime(time.CLOCK_BOOTTIME) + time.monotonic()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
