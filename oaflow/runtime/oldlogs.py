"""
Which logs are too old to be kept, and taking them away.
"""

import os
from collections.abc import Collection
from pathlib import Path

_DAY = 86_400.0

# Of all workers, and appended to without an end: what belongs to no run.
_SHARED = "worker"


def old_logs(folder: Path, before: float, wanted: Collection[str]) -> list[Path]:
    """
    `RUN.jsonl`, `RUN.log` and `worker-PID-SLOT.log` that nobody has written to since.

    Args:
        before: seconds since 1970; what was written to later is kept.
        wanted: ids of runs whose logs are kept.
    """
    workers = [file for file in folder.glob("worker-*.log") if not _is_written(file)]
    runs = [*folder.glob("*.jsonl"), *(file for file in folder.glob("*.log") if not file.stem.startswith("worker-"))]
    runs = [file for file in runs if file.stem != _SHARED and file.stem not in wanted]
    return [file for file in (*runs, *workers) if _written_at(file) < before]


def remove_old_logs(folder: Path, days: int, now: float, wanted: Collection[str]) -> None:
    """
    Removes the logs that are older than so many days, as far as this account may.
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
    Whether the supervisor that the file is named after still runs: its workers may have been silent all the time.
    """
    pid = file.stem.split("-")[1]
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
