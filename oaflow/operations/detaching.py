"""
`--detach`: a run that continues after the command that started it has ended. A background process follows it with its
workers, and keeps the private server running until the run has ended.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select

from oaflow.errors import EnvironmentProblem
from oaflow.operations.crew import environment_of
from oaflow.operations.databases import logs_folder
from oaflow.runtime.supervisor import tail_of
from oaflow.settings import Settings

# What the process runs: a hidden command, which only `detach` starts.
_MODULE = "oaflow.cli.detached"

# How many seconds it may take to start, as a guard against hanging. On an idle machine it takes one.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Detached:
    """
    The process that follows a run, and the file with what `run` would have printed.
    """

    run: str
    pid: int
    log: Path


class NotDetachedError(EnvironmentProblem):
    """
    The process that should follow a run ended, or was silent for too long. The run has started, and waits.
    """

    def __init__(self, run: str, log: Path, tail: str) -> None:
        self.run, self.log, self.tail = run, log, tail
        said = [line for line in tail.strip().splitlines() if line] or ["it printed nothing"]
        error = next((line for line in said if line.startswith("error:")), said[-1]).removeprefix("error:").strip()
        super().__init__(
            f"the process that should follow run {run!r} does not start: {error}", help=f"oaflow resume {run}"
        )


def follower_log(settings: Settings, run: str) -> Path:
    """
    The file to which the process that follows a run in the background writes.
    """
    return logs_folder(settings) / f"{run}.log"


def detach(settings: Settings, run: str, workers: int) -> Detached:
    """
    Start the process that follows a run, and wait until it uses the database, so that the caller may exit.

    Args:
        workers: how many worker processes it has.

    Raises:
        NotDetachedError: the process does not follow the run.
    """
    log = follower_log(settings, run)
    log.parent.mkdir(parents=True, exist_ok=True)
    begins = log.stat().st_size if log.exists() else 0
    hears, says = os.pipe()
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, run, str(workers), str(says)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**environment_of(settings), "PYTHONUNBUFFERED": "1"},
                pass_fds=(says,),
                # In a session of its own, so that neither Ctrl-C nor a hang-up of the terminal reaches it.
                start_new_session=True,
            )
    finally:
        os.close(says)
    try:
        ready, _, _ = select([hears], [], [], _PATIENCE)
        if not ready or not os.read(hears, 1):
            with suppress(ProcessLookupError):
                process.terminate()
            raise NotDetachedError(run, log, tail_of(log, max(1, log.stat().st_size - begins)))
    finally:
        os.close(hears)
    return Detached(run, process.pid, log)


def said_to(descriptor: int) -> Callable[[], None]:
    """
    A function that tells `detach`, once, that the run is followed now.
    """
    left = [descriptor]

    def tell() -> None:
        if left:
            # The caller may have been killed meanwhile; the run continues anyway.
            with suppress(BrokenPipeError):
                os.write(left[0], b"1")
            os.close(left.pop())

    return tell
