"""
When it is asked what has become due: against a clock that the tests turn.
"""

import heapq
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from oaflow.runtime.asking import PORTION, SOON, Asking


class Clock:
    """
    A loop's `call_later`, without the loop.
    """

    def __init__(self) -> None:
        self.now, self._calls, self._number = 0.0, list[tuple[float, int, Callable[[], None]]](), 0

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._calls, (self.now + seconds, self._number, call))

    def go_to(self, moment: float) -> None:
        while self._calls and self._calls[0][0] <= moment:
            self.now, _, call = heapq.heappop(self._calls)
            call()
        self.now = moment


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0, 3))
def test_what_waits_is_asked_for_when_it_is_due_and_little_later(arrivals: list[float], wait: float):
    clock, asked = Clock(), list[float]()
    asking = Asking(clock.later, lambda run: asked.append(clock.now))

    for arrival in sorted(arrivals):
        clock.go_to(arrival)
        asking.after("r", wait)
    clock.go_to(100.0)

    portion = max(SOON, wait * PORTION)
    for arrival in arrivals:
        assert any(-1e-9 <= moment - arrival - wait <= portion + 1e-9 for moment in asked)
    assert len(asked) <= 10 / portion + 2


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_ends_are_asked_for_together(ends: list[float]):
    clock, asked = Clock(), list[tuple[str, float]]()
    asking = Asking(clock.later, lambda run: asked.append((run, clock.now)))

    for end in sorted(ends):
        clock.go_to(end)
        asking.soon("r")
        asking.soon("s")
    clock.go_to(10.0)

    for run in ("r", "s"):
        moments = [moment for name, moment in asked if name == run]
        assert all(any(0 <= moment - end <= SOON + 1e-9 for moment in moments) for end in ends)
        assert len(moments) <= 2 / SOON + 1
