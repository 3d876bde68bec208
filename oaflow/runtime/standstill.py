"""
Reports which async stage blocks the event loop of its worker, and where. A blocked loop stops all async stages of the
worker.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from oaflow.runtime.held import Held
from oaflow.runtime.troubles import authors

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two checks

# How many checks in a row must find that the loop has not turned. Not seconds, because a process that was stopped as a
# whole has missed the checks, too.
STILL = 3


class Standstill:
    """
    A thread that checks whether the loop turns.

    Args:
        at: returns the job that an asyncio task of the loop is working on, or None; called in that thread.
        warn: takes the job and the warning, once the loop turns again.
    """

    def __init__(self, at: Callable[["asyncio.Task[object]"], Held | None], warn: Callable[[Held, str], None]) -> None:
        self._at, self._warn = at, warn
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oaflow standstill", daemon=True)
        self._turned = True
        self._since = 0.0
        self._found: tuple[Held, str, float] | None = None

    def start(self) -> None:
        """
        Start to check the loop that runs this.
        """
        self._loop, self._loops_thread = asyncio.get_running_loop(), threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        """
        Stop checking.
        """
        self._stop.set()

    def _run(self) -> None:
        still = 0
        while not self._stop.wait(LOOK):
            if self._turned:
                still, self._turned, self._since = 0, False, time.monotonic()
                try:
                    self._loop.call_soon_threadsafe(self._turn)
                except RuntimeError:  # it is closed
                    return
                continue
            still += 1
            if still == STILL:
                self._look()

    def _look(self) -> None:
        task = asyncio.current_task(self._loop)
        held = None if task is None else self._at(task)
        if held is None:
            return
        frame = sys._current_frames().get(self._loops_thread)  # pyright: ignore[reportPrivateUsage]  # it is documented
        places = list(authors(reversed(list(traceback.walk_stack(frame))), None))
        where = f", in {places[-1][0]}, line {places[-1][1]}" if places else ""
        self._found = held, where, self._since
        log.warning("run %s: %s", held.passage.id, _said(held, f"blocks its worker{where}", "stand still"))

    def _turn(self) -> None:
        self._turned = True
        if self._found is not None:
            (held, where, since), self._found = self._found, None
            seconds = time.monotonic() - since
            self._warn(held, _said(held, f"blocked its worker for {seconds:.0f} s{where}", "stood still"))


def _said(held: Held, what: str, others: str) -> str:
    return (
        f"async stage {held.stage.name!r} {what}: all async stages there {others}. Await what takes time, or write def"
        " in place of async def"
    )
