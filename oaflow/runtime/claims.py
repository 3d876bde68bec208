"""
Claims that have been sent but not answered. The jobs that they may bring belong to this worker, although it does not
know them yet.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Claims:
    """
    The times at which unanswered claims were sent. Read by the heartbeat, in its own thread.
    """

    def __init__(self) -> None:
        self._sent: dict[object, float] = {}
        self.asked = self.came = 0  # how many claims were sent, and how many jobs they brought

    @contextmanager
    def sent(self) -> Generator[None]:
        """
        A claim is on the wire while the block runs.
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
        Whether there is any.
        """
        return bool(self._sent)

    @property
    def oldest(self) -> float:
        """
        When the oldest of them was sent, on the monotonic clock; infinity if there is none.
        """
        return min(list(self._sent.values()), default=float("inf"))
