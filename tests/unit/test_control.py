"""
A worker goes on whatever became of its supervisor.
"""

import json
import os
from collections.abc import Iterator

import pytest

from oaflow.runtime.control import Control
from oaflow.runtime.vitals import Pulse


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(write)


def test_a_supervisor_that_does_not_read_stops_no_worker(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)  # so that a test that fails ends
    control = Control(write)
    for _ in range(10_000):
        control.due()
        control.pulse(Pulse(0.0))
        control.figures({"counts": {}})
    assert not control.figures({"counts": {}})
    lines = os.read(read, 1 << 20).splitlines()
    assert {json.loads(line)["event"] for line in lines} == {"due", "pulse", "figures"}
    os.close(read)


def test_a_supervisor_that_is_gone_stops_no_loop_of_a_worker(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.close(read)
    control = Control(write)
    control.due()
    control.pulse(Pulse(0.0))
    assert not control.figures({"counts": {}})
    with pytest.raises(BrokenPipeError):  # who begins anew then, ends
        control.registered(1)
