"""
The jobs that a worker has in hand, that is, has claimed. Those that have not started wait here for a slot or an
executor.
"""

from collections import deque
from collections.abc import Callable

from oaflow.runtime.feeding import put_ahead
from oaflow.runtime.held import Held
from oaflow.runtime.lanes import Lane, Lanes
from oaflow.runtime.passages import Passages
from oaflow.runtime.slots import Slots


class Hand:
    """
    The jobs in hand of one worker.

    Args:
        slots: where jobs of async stages wait.
        passages: knows which stages those are.
        lanes: tells which jobs hold a limited place.
        forget: called with each job that is let go.
    """

    def __init__(self, slots: Slots, *, passages: Passages, lanes: Lanes, forget: Callable[[int], None]) -> None:
        self._slots, self._passages, self._lanes, self._forget = slots, passages, lanes, forget
        self._held: dict[int, Held] = {}
        self.buffer: deque[Held] = deque()  # the jobs that wait for an executor

    @property
    def jobs(self) -> list[int]:
        """
        The ids of all of them. Read by the heartbeat, in its own thread.
        """
        return list(self._held)

    @property
    def all(self) -> list[Held]:
        """
        All of them, started or not.
        """
        return list(self._held.values())

    def get(self, job: int) -> Held | None:
        """
        One of them; None if it is not in hand.
        """
        return self._held.get(job)

    def take(self, held: Held) -> None:
        """
        A job is in hand now.
        """
        self._held[held.row.id] = held
        held.passage.held += 1

    def let_go(self, held: Held) -> None:
        """
        The job is no longer in hand.
        """
        self._forget(held.row.id)
        if self._held.pop(held.row.id, None) is not None:
            held.passage.held -= 1

    def put(self, held: Held) -> None:
        """
        Let a job wait for its turn: before the others of its priority if it holds a limited place.
        """
        limited = self._lanes.of(held.row.queue, held.row.task) is not None
        if not self._passages.probe_of(held.stage.task).is_async:
            if limited:
                put_ahead(self.buffer, held, lambda other: other.row.priority)
            else:
                self.buffer.append(held)
        elif limited and not held.row.suspect:
            self._slots.put_ahead(held)
        else:
            self._slots.put(held)

    def put_first(self, held: Held) -> None:
        """
        Let a job wait before all others.
        """
        if self._passages.probe_of(held.row.task).is_async:
            self._slots.put_first(held)
        else:
            self.buffer.appendleft(held)

    def put_back(self, jobs: list[Held]) -> None:
        """
        Let jobs that an executor did not start wait before all others, in their order.
        """
        self.buffer.extendleft(reversed(jobs))

    def waiting(self, in_loop: bool) -> int:
        """
        How many jobs wait, of async stages or of the others.
        """
        return self._slots.waiting if in_loop else len(self.buffer)

    def urgency(self, in_loop: bool) -> int | None:
        """
        The priority of the next job that waits here.
        """
        if in_loop:
            return self._slots.urgency
        return self.buffer[0].row.priority if self.buffer else None

    def has_of(self, lane: Lane) -> bool:
        """
        Whether a job of a task that has a limit waits here.
        """
        is_of_it = _of(lane)
        return self._slots.has(is_of_it) if lane.way.in_loop else any(map(is_of_it, self.buffer))

    def is_at(self, lane: Lane) -> bool:
        """
        Whether a job of it is in hand, started or not.
        """
        return any(map(_of(lane), self._held.values()))

    def take_back(self, which: Callable[[Held], bool] = lambda held: True) -> list[Held]:
        """
        Take back jobs that were claimed but not started, all or some. They stay in hand until they are let go.
        """
        back = [held for held in self.buffer if which(held)]
        if back:
            self.buffer = deque(held for held in self.buffer if not which(held))
        return [*back, *self._slots.take_back(which)]


def _of(lane: Lane) -> Callable[[Held], bool]:
    way = (lane.way.queue, lane.way.task)
    return lambda held: (held.row.queue, held.row.task) == way
