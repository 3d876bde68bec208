"""
Finds out whether there is room on the disks that a worker writes to.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

GIB = 1024**3

# How every sentence here starts.
DISK = "the disk of "

# And how it ends if a run is paused because of it.
GOES_ON = "the run goes on by itself when there is room (df -h)"


def full(folders: Iterable[Path]) -> str | None:
    """
    The sentence that names the disk that is full, or None. Full means that less than 5 % and less than 1 GiB are free.
    """
    for folder in folders:
        try:
            usage = shutil.disk_usage(folder)
        except OSError:  # the folder does not exist, or its server is away: that says nothing about its disk
            continue
        if usage.free < min(usage.total * 0.05, GIB):
            return f"{DISK}{folder} is full: {usage.free // 1024**2} MiB of {usage.total // 1024**2} MiB are free"
    return None
