"""
The attempts that are running, in the worker's loop or in executors.
"""

from oaflow.runtime.held import Held
from oaflow.runtime.outcomes import Outcomes
from oaflow.runtime.passages import Passages
from oaflow.runtime.pool import Pool
from oaflow.runtime.slots import Slots


class Attempts:
    """
    The attempts of one worker.

    Args:
        slots: where async stages run.
        pool: the executors, where the others run.
        passages: tells which stages are async.
        outcomes: takes the end of an attempt that was cut short because its run was cancelled.
    """

    def __init__(self, slots: Slots, pool: Pool, passages: Passages, outcomes: Outcomes) -> None:
        self._slots, self._pool, self._passages, self._outcomes = slots, pool, passages, outcomes

    @property
    def any(self) -> bool:
        """
        Whether there are any.
        """
        return bool(self._slots.running) or bool(self._pool.at_work)

    @property
    def idle(self) -> bool:
        """
        Whether an executor is idle.
        """
        return any(executor.load == 0 for executor in self._pool.executors)

    def rest(self, held: Held) -> bool:
        """
        Let a stream wait and something else run in its place; returns whether it does.
        """
        return self._place_of(held).rest(held.row.id)

    def go_on(self, held: Held) -> None:
        """
        Let the stream continue.
        """
        self._place_of(held).go_on(held.row.id)

    def acknowledge(self, held: Held, position: int) -> None:
        """
        Tell a stream that the database has recorded a chunk.
        """
        event = held.acknowledged.pop(position, None)
        if event is not None:
            event.set()
        else:
            self._pool.acknowledge(held.row.id, position)

    def break_off(self, held: Held) -> None:
        """
        End an attempt at a stream that would run on in vain: its run was cancelled, or the worker stops.
        """
        if not self._runs_in_loop(held):
            if (executor := self._pool.at(held.row.id)) is not None and executor.death is None:
                self._pool.kill(executor, "its stream was broken off")
        elif self._slots.cancel(held.row.id) and held.passage.cancelled:
            self._outcomes.end(held, "cancelled")

    def abandon(self, held: Held) -> None:
        """
        End an attempt at a job that now belongs to another worker.
        """
        self._slots.cancel(held.row.id)
        if (executor := self._pool.at(held.row.id)) is not None:
            self._pool.kill(executor, "its job is another worker's now")

    def _runs_in_loop(self, held: Held) -> bool:
        return self._passages.probe_of(held.stage.task).is_async

    def _place_of(self, held: Held) -> Slots | Pool:
        return self._slots if self._runs_in_loop(held) else self._pool
