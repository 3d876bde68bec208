"""
Finds logs that are too old to be kept, and removes them.
"""

import os
from collections.abc import Collection
from pathlib import Path

_DAY = 86_400.0

# The log of all workers for lines that belong to no run; it is appended to without an end.
_SHARED = "worker"


def old_logs(folder: Path, before: float, wanted: Collection[str]) -> list[Path]:
    """
    Each `RUN.jsonl`, `RUN.log` and `worker-PID-SLOT.log` that has not been written to since.

    Args:
        before: seconds since 1970; files written to later are kept.
        wanted: ids of runs whose logs are kept.
    """
    workers = [file for file in folder.glob("worker-*.log") if not _is_written(file)]
    runs = [*folder.glob("*.jsonl"), *(file for file in folder.glob("*.log") if not file.stem.startswith("worker-"))]
    runs = [file for file in runs if file.stem != _SHARED and file.stem not in wanted]
    return [file for file in (*runs, *workers) if _written_at(file) < before]


def remove_old_logs(folder: Path, days: int, now: float, wanted: Collection[str]) -> None:
    """
    Remove the logs that are older than a number of days, as far as permissions allow.
    """
    for file in old_logs(folder, now - days * _DAY, wanted):
        try:
            file.unlink(missing_ok=True)
        except OSError:
            continue  # of another account


def _written_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # another worker was faster
        return float("inf")


def _is_written(file: Path) -> bool:
    """
    Whether the supervisor that the file is named after is still running: its workers may have been silent all along.
    """
    pid = file.stem.split("-")[1]
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
