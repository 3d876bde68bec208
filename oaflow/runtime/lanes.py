"""
Lanes: tasks that have a limit or locks. Decides which of them to claim now; nothing here waits.

Their jobs are claimed separately, as far as places and locks are free. A full lane is claimed again at the time that
the database named, and when a job of it has ended here, but not after every notification.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

# Avoids one claim per job if many may start per second: jobs that become due meanwhile come with the next answer.
SHORTEST = 0.05


class Way(NamedTuple):
    """
    What to claim of such a task: the runs. `at_once` tells whether it has `concurrency`, `locks` whether its jobs may
    have a lock, `rated` whether it has a `rate`.
    """

    queue: str
    task: str
    at_once: bool
    in_loop: bool
    runs: tuple[str, ...]
    locks: bool = False
    rated: bool = False


@dataclass(slots=True, eq=False)
class Lane:
    """
    One lane. `due` tells whether a claim is worthwhile now, and `later` is the moment from which it will be. `after` is
    the lock of the last job that came. `left` tells whether its jobs are left to other workers.
    """

    way: Way
    due: bool = True
    after: str = ""
    left: bool = False
    later: asyncio.TimerHandle | None = field(default=None, repr=False)

    def ask(self) -> None:
        """
        A claim is worthwhile now, whatever was answered before.
        """
        if self.later is not None:
            self.later.cancel()
        self.due, self.later, self.left = True, None, False


class Lanes:
    """
    The lanes of one worker.

    Args:
        wake: called when the moment of a lane has come.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lanes: dict[tuple[str, str], Lane] = {}

    def take(self, ways: Iterable[Way]) -> set[tuple[str, str]]:
        """
        Take the tasks that have a limit or locks now; forget the others.

        Returns:
            the queue and task of each that had neither before.
        """
        before, self._lanes = self._lanes, {(way.queue, way.task): Lane(way) for way in ways}
        for lane in before.values():
            if lane.later is not None:
                lane.later.cancel()
        return self._lanes.keys() - before.keys()

    def of(self, queue: str, task: str) -> Lane | None:
        """
        The lane of a task on a queue; None if it has neither limit nor locks.
        """
        return self._lanes.get((queue, task))

    @property
    def due(self) -> list[Lane]:
        """
        The lanes that should be claimed.
        """
        return [lane for lane in self._lanes.values() if lane.due]

    def look(self) -> None:
        """
        There may be new jobs: claim each lane, unless it is blocked until a moment that has not come.
        """
        for lane in self._lanes.values():
            lane.due |= lane.later is None

    def changed(self) -> None:
        """
        A limit has changed, or places became free: earlier answers no longer count.
        """
        for lane in self._lanes.values():
            lane.ask()

    def ended(self, queue: str, task: str) -> None:
        """
        A job has ended: a lane with `concurrency` or locks has a place for the next.
        """
        lane = self._lanes.get((queue, task))
        if lane is not None and (lane.way.at_once or lane.way.locks):
            lane.ask()

    def answered(self, lane: Lane, *, full: bool, again: float | None) -> None:
        """
        A claim was answered.

        Args:
            full: whether it brought as many jobs as were requested.
            again: after how many seconds a claim is worthwhile again, because of a limit or a lock.
        """
        if again is not None and not lane.due and self._lanes.get((lane.way.queue, lane.way.task)) is lane:
            lane.later = asyncio.get_running_loop().call_later(max(again, SHORTEST), self._come, lane)
        lane.due |= full and again is None

    def leave(self, tasks: Iterable[tuple[str, str]], seconds: float) -> None:
        """
        Leave the jobs of some tasks, by queue and name, to other workers for a time, or until there is time for them
        here.
        """
        for lane in filter(None, map(self._lanes.get, set(tasks))):
            lane.ask()
            lane.due, lane.left = False, True
            lane.later = asyncio.get_running_loop().call_later(seconds, self._come, lane)

    def has_time(self) -> None:
        """
        An attempt has ended here: lanes that were left to others may be claimed again.
        """
        for lane in self._lanes.values():
            if lane.left:
                lane.ask()

    def _come(self, lane: Lane) -> None:
        lane.ask()
        self._wake()
