"""
Decides how many jobs a worker takes, from the queue and from the successors of jobs that it has finished. Sends
nothing.
"""

from collections.abc import Callable

from oaflow.ledger.rows import Completion, Successor
from oaflow.runtime.hand import Hand
from oaflow.runtime.lanes import Lane
from oaflow.runtime.pace import Pace
from oaflow.runtime.passages import Passages
from oaflow.runtime.slots import SLOTS, Slots

BUFFER = 400  # the most jobs that are claimed but not started
BUFFER_SECONDS = 0.2
LEAST = -(2**31)  # the range of priorities


class Appetite:
    """
    What one worker has room for.

    Args:
        executors: how many there are.
        free: how many of them are idle.
        closed: whether no attempt may start now.
        full: whether too many hand-overs await their answer.
        coming: how many jobs will wait for a place in the loop (true), or in an executor, when an answer comes.
    """

    def __init__(
        self,
        hand: Hand,
        slots: Slots,
        pace: Pace,
        passages: Passages,
        *,
        executors: int,
        free: Callable[[], int],
        closed: Callable[[], bool],
        full: Callable[[], bool],
        coming: Callable[[bool], int],
    ) -> None:
        self._hand, self._slots, self._pace, self._passages = hand, slots, pace, passages
        self._executors, self._free, self._closed, self._full, self._coming = executors, free, closed, full, coming
        # The highest priority that may still wait in the queue, as of the last claim of each kind.
        self._waits = {True: LEAST, False: LEAST}

    def left(self, in_loop: bool, priority: int | None) -> None:
        """
        A claim of async stages, or of the others, left jobs of at most this priority in the queue; None: no jobs.
        """
        self._waits[in_loop] = LEAST if priority is None else priority

    def room(self, in_loop: bool) -> int:
        """
        How many jobs to claim now, of async stages or of the others: about 200 ms of work, which is one per slot for
        slow stages; none while too many hand-overs await their answer.
        """
        if self._full() or self._slots.one_alone:
            return 0
        wanted, taken = self._wanted(in_loop), self._hand.waiting(in_loop) + self._coming(in_loop)
        return wanted - taken if taken <= wanted // 2 else 0

    def room_for(self, lane: Lane) -> int:
        """
        How many jobs to claim now of a task that has a limit. Under `concurrency`, only as many as can start: a job
        that waits here would hold a place that another worker could use. But at least one, so that the task gets its
        turn when other jobs wait for the same executors, or when none of it is here. Under `rate`, none while a claimed
        job has not started: jobs would pile up while no executor is free, and then all start at once.
        """
        if self._full() or self._slots.one_alone or (lane.way.rated and self._hand.has_of(lane)):
            return 0
        in_loop = lane.way.in_loop
        if not lane.way.at_once:
            free = self._wanted(in_loop)
        elif in_loop:
            free = SLOTS - self._slots.running
        else:
            free = self._free()
        waiting = self._hand.waiting(in_loop)
        queues = not self._hand.has_of(lane) and (waiting > 0 or not self._hand.is_at(lane))
        return max(free - waiting, int(queues))

    def places(self) -> Callable[[Completion, Successor, bool], bool | None]:
        """
        A function that decides, for one group of hand-overs, where this worker runs a successor itself: in the loop
        (true) or in an executor (false); None if it does not. It takes the completion that the successor comes from,
        and whether it would be the first continuation of it.

        A successor is continued only if it can run now and no waiting job has precedence. The first successor of a job
        that has ended takes that job's place, if it is as fast and of the same kind, so the worker holds no more jobs
        than it claimed. All others leave half of the buffer to claims, so that the queue is never starved.
        """
        # Computed once per stage of a group instead of once for each of a hundred jobs.
        kinds: dict[tuple[str, str, int], tuple[bool | None, bool]] = {}

        def place_for(parent: Completion, successor: Successor, first: bool) -> bool | None:
            key = (parent.run, successor.stage, successor.priority)
            if key not in kinds:
                kinds[key] = self._kind_for(parent.run, successor), self._pace.ahead(parent.run, successor.stage) > 1
            in_loop, fast = kinds[key]
            if in_loop is None or successor.collect is not None:
                return None
            if first and fast and parent.outcome == "done":
                held = self._hand.get(parent.job)
                if held is not None and self._passages.probe_of(held.row.task).is_async == in_loop:
                    return in_loop
            taken = self._hand.waiting(in_loop) + self._coming(in_loop)
            return in_loop if taken < self._wanted(in_loop) // 2 else None

        return place_for

    def _kind_for(self, run: str, successor: Successor) -> bool | None:
        """
        Where jobs like this one may run here now: in the loop (true) or in an executor (false); None if nowhere.
        """
        passage = self._passages.get(run)
        if passage is None or passage.state != "running" or self._closed() or self._slots.one_alone:
            return None
        if successor.priority < max(self._waits.values()):
            return None
        if not self._passages.works_on(successor.queue, successor.task, run):
            return None
        in_loop = self._passages.probe_of(successor.task).is_async
        urgency = self._hand.urgency(in_loop)
        return in_loop if urgency is None or successor.priority >= urgency else None

    def _wanted(self, in_loop: bool) -> int:
        slots = SLOTS if in_loop else self._executors
        return min(BUFFER, max(slots, self._pace.within(BUFFER_SECONDS, slots, in_loop=in_loop)))
