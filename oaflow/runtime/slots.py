"""
Slots for jobs of async stages, which run in the event loop of the worker: what waits for one, and what runs in one.

A slot is one asyncio task that takes job after job: a task for each job would cost as much as what it is for.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from oaflow.runtime.feeding import put_ahead
from oaflow.runtime.held import Held

SLOTS = 50

# Jobs of a slot after which it lets others have a turn: stages that never wait would never yield.
TURNS = 50


class Slots:
    """
    The slots of one worker. A suspect (`charges`) runs alone: where the worker dies then, it was the one.

    Args:
        attempt: makes one attempt at a job, and raises nothing but its cancellation.
        closed: whether nothing is to be begun now.
        busy: whether something runs elsewhere, beside which no suspect is alone.
        drop: takes a job that was claimed, and is not to be run any more.
        freed: told of the end of each job.
    """

    def __init__(
        self,
        attempt: Callable[[Held], Coroutine[Any, Any, None]],
        *,
        closed: Callable[[], bool],
        busy: Callable[[], bool],
        drop: Callable[[Held], None],
        freed: Callable[[], None],
    ) -> None:
        self._attempt, self._closed, self._busy, self._drop, self._freed = attempt, closed, busy, drop, freed
        self._waiting: deque[Held] = deque()
        self._suspects: deque[Held] = deque()
        self._alone: int | None = None  # the suspect that runs, or ran last
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        self._coming = False  # whether a slot has been begun whose turn has not come yet
        self._resting: set[int] = set()

    @property
    def waiting(self) -> int:
        """
        How many jobs wait for a slot, suspects left out.
        """
        return len(self._waiting)

    @property
    def urgency(self) -> int | None:
        """
        The priority of what is next, None where nothing waits.
        """
        return self._waiting[0].row.priority if self._waiting else None

    @property
    def running(self) -> int:
        """
        How many jobs run.
        """
        return len(self._running)

    @property
    def one_alone(self) -> bool:
        """
        Whether a suspect runs, or waits until nothing else does: then nothing else is to be begun.
        """
        return bool(self._suspects) or self._alone in self._running

    def put(self, held: Held) -> None:
        """
        Take a job, to be run when it is its turn.
        """
        (self._suspects if held.row.suspect else self._waiting).append(held)

    def put_first(self, held: Held) -> None:
        """
        Take a job that goes before all that waits.
        """
        self._waiting.appendleft(held)

    def put_ahead(self, held: Held) -> None:
        """
        Take a job that goes before all that is not more urgent.
        """
        put_ahead(self._waiting, held, lambda other: other.row.priority)

    def has(self, which: Callable[[Held], bool]) -> bool:
        """
        Whether such a job waits for a slot.
        """
        return any(which(held) for held in (*self._waiting, *self._suspects))

    def fill(self) -> None:
        """
        Begin what there is room for.
        """
        if self._closed() or self._alone in self._running:
            return
        if self._suspects:
            if not self._running and not self._busy():
                self._alone = self._suspects[0].row.id
                self._begin(self._suspects.popleft())
            return
        if self._waiting and not self._coming and len(self._running) - len(self._resting) < SLOTS:
            self._coming = True
            self._begin(None)

    def take_back(self, which: Callable[[Held], bool] = lambda held: True) -> list[Held]:
        """
        What waits and is not begun, all of it or some; it is the caller's again.
        """
        back = [held for held in (*self._waiting, *self._suspects) if which(held)]
        if back:
            self._waiting = deque(held for held in self._waiting if not which(held))
            self._suspects = deque(held for held in self._suspects if not which(held))
        return back

    def rest(self, job: int) -> bool:
        """
        Let a job that waits count for nothing, and another run in its place: as many at most as run otherwise. Answers
        whether it does: not where a suspect waits for all that runs.
        """
        if job not in self._running or self.one_alone:
            return False
        if job not in self._resting:
            if len(self._resting) >= SLOTS:
                return False
            self._resting.add(job)
            self.fill()
        return True

    def go_on(self, job: int) -> None:
        """
        It waits no more.
        """
        self._resting.discard(job)

    def job_of(self, task: "asyncio.Task[object]") -> int | None:
        """
        The job that an asyncio task is at. Read from another thread, too.
        """
        return next((job for job, other in list(self._running.items()) if other is task), None)

    def cancel(self, job: int) -> bool:
        """
        Cancel the attempt at one job; answers whether it runs here.
        """
        if job not in self._running:
            return False
        self._cancelled.add(job)
        self._running[job].cancel()
        return True

    def cancel_all(self) -> None:
        """
        Cancel all attempts.
        """
        for job in self._running:
            self.cancel(job)

    def is_cancelled(self, job: int) -> bool:
        """
        Whether the attempt at a job was cancelled here. If a stage function cancels its task itself, that is its error.
        """
        return job in self._cancelled

    async def empty(self) -> None:
        """
        Wait until no attempt runs.
        """
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _begin(self, suspect: Held | None) -> None:
        task = asyncio.create_task(self._work(suspect), name="oaflow slot")
        if suspect is not None:
            self._running[suspect.row.id] = task
        task.add_done_callback(self._over)

    async def _work(self, suspect: Held | None) -> None:
        """
        Take job after job. When its turn has come, a slot begins the next: stages that never wait need only one, which
        takes all that is there; those that wait are begun one after the other.
        """
        task = asyncio.current_task()
        assert task is not None
        if suspect is None:
            self._coming = False
        held, turns = suspect or self._next(), 0
        while held is not None:
            job = held.row.id
            self._running[job] = task
            if turns % TURNS == 0:
                if turns:
                    await asyncio.sleep(0)
                self.fill()
            await self._attempt(held)
            self._forget(job)
            turns += 1
            # A function that has cancelled this task is at its end, but the next job would be hit by it.
            held = None if task.cancelling() else self._next()

    def _over(self, task: "asyncio.Task[None]") -> None:
        for job in [job for job, other in self._running.items() if other is task]:
            self._forget(job)  # it was cancelled
        self.fill()

    def _forget(self, job: int) -> None:
        del self._running[job]
        self._resting.discard(job)
        self._cancelled.discard(job)
        self._freed()

    def _next(self) -> Held | None:
        if self._closed() or self.one_alone:
            return None
        while self._waiting:
            held = self._waiting.popleft()
            if not held.passage.cancelled:
                return held
            self._drop(held)
        return None
