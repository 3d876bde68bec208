"""
What an executor knows of the jobs that it was sent.
"""

from pathlib import Path
from typing import Any, cast

import pytest

from oaflow.runtime import executors
from oaflow.runtime.executors import Executor
from oaflow.runtime.messages import Assignment


def test_the_arguments_of_a_job_are_read_once_for_all_of_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def documents_of(args: bytes) -> list[str]:
        read.append(args)
        return [args.decode()]

    monkeypatch.setattr(executors, "documents_of", documents_of)
    nothing = cast(Any, None)
    executor = Executor(1, nothing, Path(), 1, nothing)
    jobs = [Assignment(number, 1, "run", "stage", f"doc-{number}".encode()) for number in (7, 8)]

    told = [executor.documents_of(job) for job in jobs for _ in range(1000)]

    assert told == [["doc-7"]] * 1000 + [["doc-8"]] * 1000
    assert read == [b"doc-7", b"doc-8"]
