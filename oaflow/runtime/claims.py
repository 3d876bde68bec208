"""
Claims that have been sent and not answered. Jobs that they may still bring are this worker's, though it does not know
them yet.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Claims:
    """
    When the claims were sent that are not answered yet. Read by the heart, in its own thread.
    """

    def __init__(self) -> None:
        self._sent: dict[object, float] = {}
        self.asked = self.came = 0  # claims that were sent, and jobs that came of them

    @contextmanager
    def sent(self) -> Generator[None]:
        """
        A claim is on the wire for the time of the block.
        """
        token = object()
        self._sent[token] = time.monotonic()
        self.asked += 1
        try:
            yield
        finally:
            del self._sent[token]

    @property
    def any(self) -> bool:
        """
        Whether there is one.
        """
        return bool(self._sent)

    @property
    def oldest(self) -> float:
        """
        When the oldest of them was sent, on the monotonic clock; infinity where there is none.
        """
        return min(list(self._sent.values()), default=float("inf"))
