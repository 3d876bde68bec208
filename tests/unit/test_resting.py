"""
What becomes of a stream that hands over a part in a worker that is told to stop.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from oaflow.runtime.resting import Resting

PLAN: Any = SimpleNamespace(rests={"pours": ("takes",)}, stages={"takes": SimpleNamespace(collect=None)})


@pytest.mark.parametrize(
    ("state", "jobs", "becomes"),
    [("running", 300, "goes on"), ("running", 301, "broken off"), ("paused", 1, "broken off")],
)
def test_a_stream_that_would_rest_is_broken_off_in_a_worker_that_stops(state, jobs, becomes):
    told: list[str] = []
    held: Any = SimpleNamespace(
        row=SimpleNamespace(id=1),
        stage=SimpleNamespace(name="pours"),
        passage=SimpleNamespace(id="drip-1", plan=PLAN, state=state, cancelled=False),
    )
    nothing: Any = None
    attempts: Any = SimpleNamespace(
        acknowledge=lambda held, position: told.append("goes on"),
        break_off=lambda held: told.append("broken off"),
    )
    resting = Resting(nothing, 300, attempts, passages=lambda: [held.passage], changed=nothing)
    resting.stop()

    resting.handed(held, 0, jobs)

    assert told == [becomes]
