"""
Workers of the noting stages.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import ROOT
from tests.warm import Warm

# As people start them.
WORKER = (sys.executable, "-m", "oaflow", "worker")

# One that waits for less.
HASTY = (sys.executable, "-m", "tests.chaos.hasty_worker")


@dataclass(frozen=True)
class Post:
    """
    Where workers work.

    Attributes:
        address: of the database, as they see it.
        notes: its address for the notes of the stages, which nothing harms.
        folder: for their home, their orders and their output.
        environment: whatever else is set for them.
        warm: what forks those that are modules; without it, each is a new process.
    """

    address: str
    notes: str
    folder: Path
    environment: Mapping[str, str]
    warm: Warm | None = None

    @property
    def orders(self) -> Path:
        """
        A file in here orders a misdeed of a stage.
        """
        folder = self.folder / "orders"
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """
        Start one.
        """
        places = {
            "OAFLOW_DB_URI": self.address,
            "OAFLOW_HOME": str(self.folder / "home"),
            "OAFLOW_NOTES": self.notes,
            "OAFLOW_ORDERS": str(self.orders),
            "PYTHONPATH": os.pathsep.join(filter(None, [self.environment.get("PYTHONPATH"), str(ROOT)])),
        }
        environment = {**self.environment, **places}
        with (self.folder / "workers.log").open("ab") as log:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            if self.warm is not None and command[:2] == (sys.executable, "-m"):
                return self.warm.start(command[3:], self.folder, environment, command[2], **streams)
            return subprocess.Popen(command, cwd=self.folder, env=environment, **streams)


@contextmanager
def crew(post: Post, *command: str, count: int = 1) -> "Iterator[list[subprocess.Popen[bytes]]]":
    """
    So many workers for the time of a block, drained at its end.
    """
    processes = [post.start(*command) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(30)
            finally:
                process.kill()


def foreign(name: str) -> bool:
    """
    Whether a variable of the environment would change what workers do.
    """
    return (
        name.startswith(("OAFLOW_", "PROCRASTINATE_", "FTM_", "ARCHIVE_", "OPENALEPH_", "ALEPH_", "PG"))
        or name == "DEBUG"
    )


def clean() -> dict[str, str]:
    """
    The environment without what changes what workers do.
    """
    return {name: value for name, value in os.environ.items() if not foreign(name)}
