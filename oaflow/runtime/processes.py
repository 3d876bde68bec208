"""
What the operating system knows of other processes.
"""

import contextlib
import os
import signal
from typing import cast

# An executor that gets it says on stderr where its stage is.
WHERE_SIGNAL = signal.SIGUSR2


def kill_group(pid: int) -> None:
    """
    Kill a process with all that it has started and that has not left its group.
    """
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def signal_name(number: int) -> str:
    """
    As `SIGSEGV`.
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_PAGE = os.sysconf("SC_PAGESIZE")


def resident(pid: int) -> int:
    """
    Resident bytes of a process; 0 where it is gone.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return 0
    except (OSError, IndexError):
        return 0
    import psutil  # only where there is no /proc

    try:
        return cast("int", psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
