"""
Finds out whether there is room on the disks that a worker writes to.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

GIB = 1024**3

# How every sentence here begins.
DISK = "the disk of "

# And how it ends, where a run is paused for it.
GOES_ON = "the run goes on by itself when there is room (df -h)"


def full(folders: Iterable[Path]) -> str | None:
    """
    The sentence that says which disk is full, or None. Full is below the smaller of 5 % and 1 GiB free.
    """
    for folder in folders:
        try:
            usage = shutil.disk_usage(folder)
        except OSError:  # it is not there, or its server is away: that says nothing of its disk
            continue
        if usage.free < min(usage.total * 0.05, GIB):
            return f"{DISK}{folder} is full: {usage.free // 1024**2} MiB of {usage.total // 1024**2} MiB are free"
    return None
