"""
Sends completions (ends of attempts) to the database in groups: all that came while the last statement was being
answered, and a moment longer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import orjson

from oaflow.ledger.handover import complete
from oaflow.ledger.rows import Completion
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.loops import begin

log = logging.getLogger(__name__)

GROUP = 100

# Seconds from one statement of a busy channel to the next. A group of two costs hardly more than one: at 190 jobs a
# second this halved the statements, and what they cost on both sides.
PAUSE = 0.01

# A channel is busy if it sent so many within so many seconds. Any other sends at once: with little to do, a pause saves
# nothing, and the next stage waits for it (95 of 100 hops took up to 11 ms, and 3.6 without).
BUSY, BUSY_SECONDS = 4, 0.1

# So many wait in the first channel before the next one gets some, too: with one more than needed groups are smaller.
ENOUGH = 25

# The answer for a job that was failed, since Postgres did not take what it hands over.
REFUSED = "refused"

Settled = Callable[[Completion, str], None]
Begin = Callable[[Sequence[Completion]], Awaitable[list[Completion]]]


async def _as_they_are(group: Sequence[Completion]) -> list[Completion]:
    return list(group)


class Completer:
    """
    Takes completions at once, and tells later what became of each.

    Several channels send at the same time where there is enough for them; all parts of one job go through one channel,
    in order.

    Args:
        wire: to the database.
        settled: called with each completion and its answer; `refused` where Postgres did not take what it carries.
        begin: called with each group before it is sent, and answers what is sent in its place.
        channels: statements on the wire at the same time.
        pause: seconds from the beginning of a statement to the next one of its channel, unless a whole group waits.
    """

    def __init__(
        self, wire: Wire, settled: Settled, *, begin: Begin = _as_they_are, channels: int = 2, pause: float = PAUSE
    ) -> None:
        self._wire, self._settled, self._begin, self._pause = wire, settled, begin, pause
        # No asyncio.Queue: its put, get and task_done cost 3 us a job.
        self._queues: list[deque[Completion]] = [deque() for _ in range(channels)]
        self._filled = [asyncio.Event() for _ in range(channels)]
        self._enough = [1] * channels  # how many must wait in a channel for it to be told
        self._parts: dict[int, int] = {}  # the channels of jobs of which parts have come, and not the end
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.waiting = 0

    def start(self) -> None:
        """
        Begin to send.
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
        if len(queue) == self._enough[channel]:
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
        End, sent or not.
        """
        for task in self._tasks:
            task.cancel()

    def forget(self) -> None:
        """
        Drop what is not sent yet: the worker was declared dead, and its jobs are others' now.
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
        held: list[Completion] = []  # parts of a job that is already in the group: they go with the next one
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
            # What is held can be joined by nothing: the next part of a stream has no use for a pause.
            if busy and not held and len(queue) < GROUP and (rest := began + self._pause - loop.time()) > 0:
                await self._rest(number, rest)

    async def _rest(self, number: int, seconds: float) -> None:
        """
        Wait until a whole group is there, so long at most. By the clock alone, channels that have all that is in hand
        keep the loop waiting: two groups each 10 ms are 20,000 jobs a second.
        """
        filled = self._filled[number]
        filled.clear()
        self._enough[number] = GROUP
        clock = asyncio.get_running_loop().call_later(seconds, filled.set)
        try:
            await filled.wait()
        finally:
            self._enough[number] = 1
            clock.cancel()

    async def _send(self, number: int, group: list[Completion]) -> None:
        worker = self._wire.worker
        shard = (worker * len(self._queues) + number) % 64
        try:
            answers = await self._wire.send("complete", complete, worker, shard, group)
        except Refused as refused:
            if len(group) > 1:  # the culprit must not take the others with it
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
        except Refused as refused:  # left to recovery, which finds it under a worker that no longer holds it
            log.error("the failure of job %s was refused too: %s", item.job, refused)
            return False
        return answers.get(item.job) in ("applied", "already")


def _failed(item: Completion, refused: Refused) -> Completion:
    detail = orjson.loads(item.detail)
    error = {"type": "Refused", "message": f"the database refused what stage {item.stage!r} returned: {refused}"}
    kept = {"documents": detail["documents"]} if "documents" in detail else {}
    return item._replace(outcome="failed", successors=(), position=None, detail=orjson.dumps(kept | {"error": error}))
