"""
What the operating system knows about other processes.
"""

import contextlib
import os
import signal
from typing import cast

# An executor that gets this signal writes the stack of its stage to stderr.
WHERE_SIGNAL = signal.SIGUSR2


def kill_group(pid: int) -> None:
    """
    Kill a process and everything that it started and that has not left its process group.
    """
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def signal_name(number: int) -> str:
    """
    The name of a signal, such as `SIGSEGV`.
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_PAGE = os.sysconf("SC_PAGESIZE")


def resident(pid: int) -> int:
    """
    Resident bytes of a process; 0 if it is gone.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return 0
    except (OSError, IndexError):
        return 0
    import psutil  # only if there is no /proc

    try:
        return cast("int", psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
