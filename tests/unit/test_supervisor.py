"""
Which deaths of workers say that they do not start.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oaflow.runtime.supervisor import Died, Registered, Supervisor, WorkerDoesNotStartError

ENDS = "raise SystemExit('no such library')"
FAULTS = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
WAITS = "import time; time.sleep(60)"

PATIENCE = 20.0


def pids(supervisor: Supervisor) -> tuple[int, ...]:
    return tuple(vital.pid for vital in supervisor.vitals)


# It registers when it gets the signal.
TELLS = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.write(int(sys.argv[2]), b'{"event": "registered", "worker": 7}\\n'))
os.write(1, b"%d ready" % os.getpid())
while True: signal.pause()
"""


@contextmanager
def supervised(code: str, logs: Path, now: Callable[[], float] = lambda: 0.0) -> Iterator[Supervisor]:
    """
    One worker that runs this code in place of a worker's, and does not register by itself. With a clock that stands
    every death is soon.
    """
    supervisor = Supervisor(
        [sys.executable, "-S", "-c", code],
        count=1,
        logs=logs,
        environment={},
        now=now,
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


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


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


class Clock:
    """
    A clock that goes when it is told to.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def killed(supervisor: Supervisor) -> Died:
    (pid,) = pids(supervisor)
    os.killpg(pid, signal.SIGKILL)
    return next_death(supervisor)


def test_workers_that_are_killed_before_they_register_are_replaced_later_and_later(tmp_path: Path) -> None:
    clock = Clock()
    pauses: list[float] = []
    with supervised(WAITS, tmp_path, clock) as supervisor:
        supervisor.poll()
        for _ in range(9):
            died = killed(supervisor)
            assert died.code == -signal.SIGKILL
            pauses.append(died.pause)
            if died.pause:
                clock.now += died.pause - 0.25
                assert supervisor.poll() == []
                assert pids(supervisor) == ()
                clock.now += 0.25
            supervisor.poll()
            assert len(pids(supervisor)) == 1

    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_worker_that_was_killed_after_it_registered_is_replaced_at_once(tmp_path: Path) -> None:
    clock = Clock()
    with supervised(TELLS, tmp_path, clock) as supervisor:
        supervisor.poll()
        killed(supervisor)
        clock.now += killed(supervisor).pause
        supervisor.poll()
        (log,) = tmp_path.iterdir()
        (pid,) = pids(supervisor)
        wait_for(lambda: f"{pid} ready" in log.read_text())
        os.kill(pid, signal.SIGUSR1)
        wait_for(lambda: any(isinstance(event, Registered) for event in supervisor.poll()))

        assert killed(supervisor).pause == 0
        assert killed(supervisor).pause == 0  # as after the first that was killed
        assert killed(supervisor).pause == 1


def test_once_one_has_registered_those_that_do_not_start_are_replaced_later_and_later(tmp_path: Path) -> None:
    clock = Clock()
    fails, logs = tmp_path / "fails", tmp_path / "logs"
    code = f"import os\nif os.path.exists({str(fails)!r}): raise SystemExit('the database is away')\n{TELLS}"
    pauses: list[float] = []
    with supervised(code, logs, clock) as supervisor:
        supervisor.poll()
        (log,) = logs.iterdir()
        wait_for(lambda: "ready" in log.read_text())
        os.kill(pids(supervisor)[0], signal.SIGUSR1)
        wait_for(lambda: any(isinstance(event, Registered) for event in supervisor.poll()))
        fails.touch()
        assert killed(supervisor).pause == 0
        for _ in range(5):
            died = next_death(supervisor)
            assert (died.code, died.log) == (1, log)
            pauses.append(died.pause)
            clock.now += died.pause

    assert pauses == [0, 1, 2, 4, 8]


def test_a_supervisor_that_pauses_can_be_stopped(tmp_path: Path) -> None:
    with supervised(WAITS, tmp_path) as supervisor:
        supervisor.poll()
        killed(supervisor)
        assert killed(supervisor).pause == 1

        assert supervisor.stop() == []
        assert supervisor.poll() == []
