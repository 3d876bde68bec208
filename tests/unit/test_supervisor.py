"""
Which deaths of workers say that they do not start.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oaflow.runtime.supervisor import Died, Supervisor, WorkerDoesNotStartError

ENDS = "raise SystemExit('no such library')"
FAULTS = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
WAITS = "import time; time.sleep(60)"

PATIENCE = 20.0


@contextmanager
def supervised(code: str, logs: Path) -> Iterator[Supervisor]:
    """
    One worker that runs this code in place of a worker's, and never registers.
    """
    supervisor = Supervisor(
        [sys.executable, "-S", "-c", code],
        count=1,
        logs=logs,
        environment={},
        now=lambda: 0.0,  # every death is soon
    )
    try:
        yield supervisor
    finally:
        supervisor.kill()
        supervisor.stop()


def next_death(supervisor: Supervisor) -> Died:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        for event in supervisor.poll():
            if isinstance(event, Died):
                return event
        time.sleep(0.01)
    raise AssertionError("no worker died")


@pytest.mark.parametrize(("code", "exit_code"), [(ENDS, 1), (FAULTS, -signal.SIGSEGV)])
def test_workers_that_end_by_themselves_three_times_in_a_row_do_not_start(
    code: str, exit_code: int, tmp_path: Path
) -> None:
    with supervised(code, tmp_path) as supervisor:
        next_death(supervisor)
        next_death(supervisor)
        with pytest.raises(WorkerDoesNotStartError) as raised:
            next_death(supervisor)

    assert raised.value.code == exit_code


def test_workers_that_are_killed_before_they_register_are_replaced_each_time(tmp_path: Path) -> None:
    with supervised(WAITS, tmp_path) as supervisor:
        supervisor.poll()
        for _ in range(5):
            (pid,) = supervisor.pids
            os.killpg(pid, signal.SIGKILL)
            assert next_death(supervisor).code == -signal.SIGKILL

        assert len(supervisor.pids) == 1
