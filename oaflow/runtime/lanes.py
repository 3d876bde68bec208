"""
Lanes: tasks that have a limit or locks. Decides which of them to ask for now; nothing here waits.

Their jobs are claimed separately, as far as places and locks are free. A lane that was full is asked for again at the
time that the database named, and when a job of it has ended here, but not with every notification.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

# Not each for itself where many may begin in a second: what was due meanwhile comes with the next answer.
SHORTEST = 0.05


class Way(NamedTuple):
    """
    What of such a task is to be claimed here: of which runs. `at_once` says that only so many run at once, `locks` that
    its jobs may have one, `rated` that only so many begin in a time.
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
    One of them. `due` says that it is worth to ask; `later` is the moment from which it will be. `after` is the last
    lock of which a job came. `left` says that its jobs are left to other workers.
    """

    way: Way
    due: bool = True
    after: str = ""
    left: bool = False
    later: asyncio.TimerHandle | None = field(default=None, repr=False)

    def ask(self) -> None:
        """
        It is worth to ask, whatever was answered before.
        """
        if self.later is not None:
            self.later.cancel()
        self.due, self.later, self.left = True, None, False


class Lanes:
    """
    The lanes of one worker.

    Args:
        wake: called when the moment of one has come.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lanes: dict[tuple[str, str], Lane] = {}

    def take(self, ways: Iterable[Way]) -> set[tuple[str, str]]:
        """
        Learn what has a limit or locks now; what is known of the others is dropped.

        Returns:
            the queue and task of each that had none before.
        """
        before, self._lanes = self._lanes, {(way.queue, way.task): Lane(way) for way in ways}
        for lane in before.values():
            if lane.later is not None:
                lane.later.cancel()
        return self._lanes.keys() - before.keys()

    def of(self, queue: str, task: str) -> Lane | None:
        """
        The lane of a task on a queue, None where it has neither limit nor locks.
        """
        return self._lanes.get((queue, task))

    @property
    def due(self) -> list[Lane]:
        """
        Those that are to be asked for.
        """
        return [lane for lane in self._lanes.values() if lane.due]

    def look(self) -> None:
        """
        There may be something new: not where something stands in the way, and the moment of the next has not come.
        """
        for lane in self._lanes.values():
            lane.due |= lane.later is None

    def changed(self) -> None:
        """
        A limit is another than before, or places became free: what was answered says nothing any more.
        """
        for lane in self._lanes.values():
            lane.ask()

    def ended(self, queue: str, task: str) -> None:
        """
        A job has ended: where only so many run at once, or one of each lock, there is a place for the next.
        """
        lane = self._lanes.get((queue, task))
        if lane is not None and (lane.way.at_once or lane.way.locks):
            lane.ask()

    def answered(self, lane: Lane, *, full: bool, again: float | None) -> None:
        """
        A claim was answered.

        Args:
            full: whether it brought all that was asked for.
            again: in how many seconds it is worth to ask again, because of a limit or a lock.
        """
        if again is not None and not lane.due and self._lanes.get((lane.way.queue, lane.way.task)) is lane:
            lane.later = asyncio.get_running_loop().call_later(max(again, SHORTEST), self._come, lane)
        lane.due |= full and again is None

    def leave(self, tasks: Iterable[tuple[str, str]], seconds: float) -> None:
        """
        Leave the jobs of some tasks, by queue and name, to other workers for so long, or until there is time for them.
        """
        for lane in filter(None, map(self._lanes.get, set(tasks))):
            lane.ask()
            lane.due, lane.left = False, True
            lane.later = asyncio.get_running_loop().call_later(seconds, self._come, lane)

    def has_time(self) -> None:
        """
        An attempt has ended here: what was left to others may be asked for again.
        """
        for lane in self._lanes.values():
            if lane.left:
                lane.ask()

    def _come(self, lane: Lane) -> None:
        lane.ask()
        self._wake()
