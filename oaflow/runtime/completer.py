"""
Sends completions (ends of attempts) to the database in groups: all that arrived while the last statement was on the
wire, and a moment longer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import orjson

from oaflow.ledger.handover import complete, shard_of
from oaflow.ledger.rows import Completion
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.loops import begin

log = logging.getLogger(__name__)

GROUP = 100

# Seconds between two statements of a busy channel. A group of two costs hardly more than one: at 190 jobs a second this
# halved the statements, and their cost on both sides.
PAUSE = 0.01

# The same while nobody waits for an answer. At 860 jobs a second (small documents), groups then have twenty jobs
# instead of eight.
LONG_PAUSE = 0.025

# A channel is busy if it sent this many statements within this many seconds. Others send at once: with little to do, a
# pause saves nothing and delays the next stage (95 of 100 hops took up to 11 ms, and 3.6 ms without it).
BUSY, BUSY_SECONDS = 4, 0.1

# How many wait in the first channel before the next one is used: more channels than needed make smaller groups.
ENOUGH = 25

# The answer for a job that was failed because Postgres refused its hand-over.
REFUSED = "refused"

Settled = Callable[[Completion, str], None]
Begin = Callable[[Sequence[Completion]], Awaitable[list[Completion]]]


def _always(_completion: Completion) -> bool:
    return True


async def _as_they_are(group: Sequence[Completion]) -> list[Completion]:
    return list(group)


class Completer:
    """
    Accepts completions at once, and reports later what became of each.

    Several channels send at the same time if there is enough work; all chunks of one job go through one channel, in
    order.

    Args:
        wire: to the database.
        settled: called with each completion and its answer; `refused` if Postgres did not accept its content.
        begin: called with each group before it is sent; returns what is sent instead.
        awaited: whether anything waits for the answer to a completion.
        channels: how many statements may be on the wire at once.
        pause: seconds from the start of a statement to the next one of its channel, unless a whole group waits.
        long_pause: the same, if nothing waits for an answer.
    """

    def __init__(
        self,
        wire: Wire,
        settled: Settled,
        *,
        begin: Begin = _as_they_are,
        awaited: Callable[[Completion], bool] = _always,
        channels: int = 2,
        pause: float = PAUSE,
        long_pause: float = LONG_PAUSE,
    ) -> None:
        self._wire, self._settled, self._begin, self._awaited = wire, settled, begin, awaited
        self._pause, self._long_pause = pause, long_pause
        # Not an asyncio.Queue: its put, get and task_done cost 3 µs per job.
        self._queues: list[deque[Completion]] = [deque() for _ in range(channels)]
        self._filled = [asyncio.Event() for _ in range(channels)]
        self._enough = [1] * channels  # how many must wait in a channel before it is woken
        self._patient = [False] * channels  # whether it pauses for longer, because nothing waits for an answer
        self._parts: dict[int, int] = {}  # the channels of jobs whose chunks have come, but not their end
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.waiting = 0

    def start(self) -> None:
        """
        Start to send.
        """
        self._tasks = [begin(self._channel(number), f"completer {number}") for number in range(len(self._queues))]

    def put(self, completion: Completion) -> None:
        """
        Send soon.
        """
        self.waiting += 1
        channel = self._channel_for(completion)
        queue = self._queues[channel]
        queue.append(completion)
        if len(queue) == self._enough[channel] or (self._patient[channel] and self._awaited(completion)):
            self._filled[channel].set()

    async def idle(self) -> None:
        """
        Wait until everything is answered.
        """
        while self.waiting:
            self._answered.clear()
            await self._answered.wait()

    def stop(self) -> None:
        """
        Stop, whether everything was sent or not.
        """
        for task in self._tasks:
            task.cancel()

    def forget(self) -> None:
        """
        Drop what is not sent yet: the worker was declared dead, and its jobs belong to others now.
        """
        for queue in self._queues:
            self.waiting -= len(queue)
            queue.clear()
        self._parts.clear()
        self._answered.set()

    def _channel_for(self, completion: Completion) -> int:
        if completion.outcome == "chunk":
            return self._parts.setdefault(completion.job, completion.job % len(self._queues))
        if self._parts and (channel := self._parts.pop(completion.job, None)) is not None:
            return channel
        for number, queue in enumerate(self._queues):
            if len(queue) < ENOUGH:
                return number
        return completion.job % len(self._queues)

    async def _channel(self, number: int) -> None:
        loop, queue, filled = asyncio.get_running_loop(), self._queues[number], self._filled[number]
        held: list[Completion] = []  # chunks of a job that is already in the group: they go with the next group
        lately: deque[float] = deque(maxlen=BUSY)
        while True:
            while not queue and not held:
                filled.clear()
                await filled.wait()
            group, held = held, []
            jobs = {item.job for item in group}
            while len(group) < GROUP and queue:
                item = queue.popleft()
                if item.job in jobs:
                    held.append(item)
                    break
                jobs.add(item.job)
                group.append(item)
            began = loop.time()
            await self._send(number, await self._begin(group))
            self._answered.set()
            lately.extend([began] * len(group))
            busy = len(lately) == BUSY and began - lately[0] < BUSY_SECONDS
            # Nothing can join what is held back: for the next chunk of a stream, a pause is useless.
            if busy and not held and len(queue) < GROUP:
                await self._rest(number, began)

    async def _rest(self, number: int, began: float) -> None:
        """
        Wait until a whole group is there, or until the pause since the last statement is over. With the pause alone,
        the loop would wait for channels that have every job in hand: two groups every 10 ms are 20,000 jobs a second.
        """
        loop, queue, filled = asyncio.get_running_loop(), self._queues[number], self._filled[number]

        def go_on_resting() -> None:
            if any(map(self._awaited, queue)):
                filled.set()
            else:
                self._patient[number] = True

        filled.clear()
        self._enough[number] = GROUP
        most = max(self._pause, self._long_pause)
        clocks = loop.call_at(began + self._pause, go_on_resting), loop.call_at(began + most, filled.set)
        try:
            await filled.wait()
        finally:
            self._enough[number], self._patient[number] = 1, False
            for clock in clocks:
                clock.cancel()

    async def _send(self, number: int, group: list[Completion]) -> None:
        worker = self._wire.worker
        shard = shard_of(worker * len(self._queues) + number)
        try:
            answers = await self._wire.send("complete", complete, worker, shard, group)
        except Refused as refused:
            if len(group) > 1:  # one bad completion must not fail the others
                for item in group:
                    await self._send(number, [item])
                return
            log.error("the hand-over of job %s was refused: %s", group[0].job, refused)
            answers = {group[0].job: REFUSED} if await self._fail(shard, _failed(group[0], refused)) else {}
        for item in group:
            self.waiting -= 1
            self._settled(item, answers.get(item.job, "gone"))

    async def _fail(self, shard: int, item: Completion) -> bool:
        try:
            answers = await self._wire.send("complete", complete, self._wire.worker, shard, [item])
        except Refused as refused:  # left to recovery, which finds that the worker no longer holds it
            log.error("the failure of job %s was refused too: %s", item.job, refused)
            return False
        return answers.get(item.job) in ("applied", "already")


def _failed(item: Completion, refused: Refused) -> Completion:
    detail = orjson.loads(item.detail)
    error = {"type": "Refused", "message": f"the database refused what stage {item.stage!r} returned: {refused}"}
    kept = {"documents": detail["documents"]} if "documents" in detail else {}
    return item._replace(outcome="failed", successors=(), position=None, detail=orjson.dumps(kept | {"error": error}))
