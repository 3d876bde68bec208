"""
Makes streams wait while too many jobs are open in the stages after them, by holding back the answer that their last
chunk is in the database.

While a stream rests, another process or slot works in its place, so that the jobs that it waits for can be done.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from oaflow.ledger import handover as ledger
from oaflow.ledger.depths import depths
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.attempts import Attempts
from oaflow.runtime.held import Held, Passage
from oaflow.runtime.loops import begin
from oaflow.runtime.pressure import Pressure, Stream, Triple

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25  # between two counts of the open jobs, while a stream rests


@dataclass(slots=True)
class _Waiting:
    held: Held
    positions: list[int] = field(default_factory=list[int])


class Resting:
    """
    The streams of one worker.

    Args:
        wire: to the database.
        deep: how many jobs may be open in the stages after a stream before it rests (`OAFLOW_DEEP`).
        attempts: the attempts at streams, which rest and continue; asked again to rest as long as a stream does.
        passages: the runs that the worker knows.
        changed: called when the jobs that may start have changed.
    """

    def __init__(
        self,
        wire: Wire,
        deep: int,
        attempts: Attempts,
        *,
        passages: Callable[[], Iterable[Passage]],
        changed: Callable[[], None],
    ) -> None:
        self._wire, self._pressure, self._attempts = wire, Pressure(deep), attempts
        self._passages, self._changed = passages, changed
        self._said: frozenset[Stream] = frozenset()
        self._waiting: dict[int, _Waiting] = {}
        self._watch: asyncio.Task[None] | None = None
        self._stopped = False

    def handed(self, held: Held, position: int, jobs: int) -> None:
        """
        A chunk of a stream, of a number of jobs, is in the database. The stream is told now, or when it may continue.
        """
        passage = held.passage
        look = self._pressure.handed(passage.plan, passage.id, held.stage.name, jobs)
        if not (look or passage.state == "paused"):
            self._attempts.acknowledge(held, position)
            return
        if self._stopped:
            self._attempts.break_off(held)
            return
        self._waiting.setdefault(held.row.id, _Waiting(held)).positions.append(position)
        self._begin()

    def open(self, triples: list[Triple]) -> list[Triple]:
        """
        The queues, tasks and runs whose jobs may start: not those of resting streams.
        """
        if not self._pressure.resting:
            return triples
        closed = self._pressure.closed({passage.id: passage.plan for passage in self._passages()})
        return [triple for triple in triples if triple not in closed]

    async def look(self) -> None:
        """
        Count the open jobs, in the runs where that matters.
        """
        passages = {passage.id: passage for passage in self._passages() if passage.plan.rests}
        if passages:
            for run, opened in (await self._wire.send("depths", depths, list(passages))).items():
                self._pressure.saw(passages[run].plan, run, opened)
        resting = self._pressure.resting
        if resting != self._said:
            self._said = resting
            self._changed()
            most = [
                (run, stage, self._pressure.most(passages[run].plan, stage))
                for run, stage in sorted(resting)
                if run in passages
            ]
            await self._wire.send("rests", ledger.say_rests, self._wire.worker, most)
        if resting and not self._stopped:
            self._begin()

    def unsaid(self) -> None:
        """
        The record in the database is gone: write it again.
        """
        self._said = frozenset()

    def forget(self, job: int) -> None:
        """
        An attempt has ended, or starts again.
        """
        self._waiting.pop(job, None)

    def forget_run(self, run: str) -> None:
        """
        A run has ended.
        """
        self._pressure.forget(run)

    def stop(self) -> None:
        """
        Stop resting: end the streams that rest, or would, because they could not finish now.
        """
        self._stopped = True
        if self._watch is not None:
            self._watch.cancel()
        for waiting in list(self._waiting.values()):
            self._attempts.break_off(waiting.held)
        self._waiting.clear()

    def _begin(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = begin(self._look_on(), "resting")

    async def _look_on(self) -> None:
        while True:
            try:
                await self.look()
            except Refused:
                log.exception("how much is open is not known")
            for waiting in list(self._waiting.values()):
                self._decide(waiting)
            if not self._waiting and not self._pressure.resting:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _decide(self, waiting: _Waiting) -> None:
        held = waiting.held
        if held.passage.cancelled:
            self.forget(held.row.id)
            self._attempts.break_off(held)
        elif not (self._is_to_rest(held) and self._attempts.rest(held)):
            self.forget(held.row.id)
            self._attempts.go_on(held)
            for position in waiting.positions:
                self._attempts.acknowledge(held, position)

    def _is_to_rest(self, held: Held) -> bool:
        return held.passage.state == "paused" or self._pressure.rests(held.passage.id, held.stage.name)
