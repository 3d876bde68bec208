"""
What a worker reports to its supervisor: JSON lines over a pipe, which `supervisor` reads.
"""

import os
import select
from collections.abc import Mapping
from typing import Any

import orjson

from oaflow.runtime.vitals import Pulse

# Characters of a message: a write of up to 4,096 bytes comes in one piece, and other threads log as well.
_LONGEST = 600


class Control:
    """
    The worker's end of the pipe.

    Recurring messages are dropped while nobody reads: a supervisor that was stopped for an hour must not stop its
    workers, too.

    Args:
        descriptor: to write to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def registered(self, worker: int) -> None:
        """
        The worker has its row in the database, under this id.

        Raises:
            BrokenPipeError: the supervisor is gone.
        """
        self._tell(event="registered", worker=worker)

    def drained(self) -> None:
        """
        The worker has ended as it was told to.

        Raises:
            BrokenPipeError: the supervisor is gone.
        """
        self._tell(event="drained")

    def due(self) -> None:
        """
        A tick of a schedule has passed, or a webhook is due.
        """
        self._tell_if_heard(event="due")

    def pulse(self, pulse: Pulse) -> None:
        """
        The state of the worker.
        """
        self._tell_if_heard(event="pulse", heart=pulse.heart, database=pulse.database, plans=pulse.plans)

    def figures(self, figures: Mapping[str, Any]) -> bool:
        """
        What the worker has counted. Returns whether it was sent.
        """
        return self._tell_if_heard(event="figures", **figures)

    def stale(self, text: str, help: str) -> None:
        """
        The worker still has the old code of a stage that has changed.
        """
        self._tell_if_heard(event="stale", text=text, help=help)

    def warned(self, text: str) -> None:
        """
        The worker has logged a warning or an error.
        """
        self._tell_if_heard(event="warned", text=text[:_LONGEST])

    def _tell(self, **event: Any) -> None:
        os.write(self._descriptor, orjson.dumps(event) + b"\n")

    def _tell_if_heard(self, **event: Any) -> bool:
        heard = bool(select.select([], [self._descriptor], [], 0)[1])
        try:
            if heard:
                self._tell(**event)
        except BrokenPipeError:  # the supervisor is gone
            return False
        return heard
