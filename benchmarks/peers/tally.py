"""
What all systems have in common: the job that they carry, the address of their store, and a record of who ran when.

Each execution of a stage is one record at the end of a file that all processes share: one system call of about a
microsecond, the same for every system.
"""

import os
import struct
import time
from functools import cache
from pathlib import Path

RECORD = struct.Struct("=Bid")  # stage, number of the root, epoch seconds

STAGES = "abc"


def note(stage: str, number: int) -> None:
    """
    A stage has run for a root. The file is the one that `TALLY` names.
    """
    os.write(_file(), RECORD.pack(STAGES.index(stage), number, time.time()))


@cache
def _file() -> int:
    return os.open(os.environ["TALLY"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def store() -> str:
    """
    The address of the database, or of Redis.
    """
    return os.environ["STORE"]


def count(path: Path) -> int:
    """
    How many executions there were until now.
    """
    return path.stat().st_size // RECORD.size if path.exists() else 0


def records(path: Path) -> list[tuple[int, int, float]]:
    """
    All executions: (number of the stage, number of the root, epoch seconds).
    """
    return list(RECORD.iter_unpack(path.read_bytes()))


def job(number: int) -> dict[str, object]:
    """
    What the jobs of a root carry: about 300 bytes of JSON, as those of `benchmarks.ground`.
    """
    properties = {"fileName": [f"{number}.pdf"], "contentHash": [f"{number:040x}"]}
    return {
        "number": number,
        "dataset": "bench",
        "batch": "bench-aaaaaa",
        "payload": {
            "entities": [{"id": f"doc-{number}", "schema": "Document", "properties": properties}],
            "context": {"oaflow": {"run": "bench-aaaaaa", "stage": "a"}},
        },
    }
