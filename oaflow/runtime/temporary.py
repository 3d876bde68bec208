"""
Folders for temporary files, which are deleted after their process ends, even if it is killed.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import time
from pathlib import Path


class TempFolder:
    """
    A folder of this process for its executors' temporary files. A lock marks it as in use, so that the next pool
    removes what a killed one left.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.path = parent / f"{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}"
        self._lock: int | None = None

    def open(self) -> None:
        """
        Make it, and remove those that no process holds.
        """
        self._parent.mkdir(parents=True, exist_ok=True)
        for other in self._parent.iterdir():
            with contextlib.suppress(OSError):
                _remove_unheld(other)
        # Locked before it is in its place: another process would take a folder with a free lock for an abandoned one.
        lock = self._parent / f"{self.path.name}.lock"
        self._lock = os.open(lock, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path.mkdir()
        lock.rename(self.path / ".lock")

    def close(self) -> None:
        """
        Remove it.
        """
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_unheld(folder: Path) -> None:
    lock = os.open(folder / ".lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
