"""
The job manager that procrastinate's Worker uses: plain tasks run through it, and stages through the dispatcher.

`register_worker` starts the dispatcher and `unregister_worker` drains it, so any procrastinate worker of an oaflow app
runs stages, too.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import orjson
from procrastinate import connector, exceptions, jobs, manager

from oaflow.ledger.listening import Notice, listen
from oaflow.ledger.plain import claim_plain, drop_queueing_lock
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.dispatcher import Dispatcher
from oaflow.runtime.options import Options

log = logging.getLogger(__name__)

BUILTIN = "procrastinate.builtin_tasks."
CHANNEL = "oaflow"  # the channel of notifications about runs

# The time limit of a claim of plain tasks: procrastinate's Worker checks only between two claims whether to stop, so
# while the database is away it would never stop. The heartbeat gives back what an abandoned claim brings.
FETCH_SECONDS = 20.0


class FlowJobManager(manager.JobManager):
    """
    A JobManager that fetches by task, has its own heartbeat, survives a lost LISTEN connection, and runs a dispatcher.

    Args:
        connector: the connector of the app.
        plain_tasks: gives the names of the app's tasks.
        address: finds the address for LISTEN, which does not work through a pooler.
    """

    def __init__(
        self,
        connector: connector.BaseConnector,
        *,
        plain_tasks: Callable[[], Sequence[str]],
        address: Callable[[], str],
    ) -> None:
        super().__init__(connector)
        self._plain_tasks, self._address = plain_tasks, address
        self.options: Options | None = None
        self.dispatcher: Dispatcher | None = None
        self._wire = Wire(self._pool)
        # Plain jobs in hand: the heartbeat of this worker covers them, too.
        self._plain: set[int] = set()

    def _pool(self) -> Any:
        return cast("Any", self.connector).pool

    async def prepare(self) -> Dispatcher:
        """
        Make the dispatcher and start its processes. This does not need a database.
        """
        self.dispatcher = Dispatcher(self._wire, self.options or Options.from_environment(), plain=self._plain)
        await self.dispatcher.prepare()
        return self.dispatcher

    async def register_worker(self) -> int:
        """
        Register, and start the dispatcher of this worker.
        """
        return await (self.dispatcher or await self.prepare()).start()

    async def dismiss(self) -> None:
        """
        Undo `prepare`, if no worker was registered.
        """
        if self.dispatcher is not None:
            await self.dispatcher.dismiss()
            self.dispatcher = None

    async def unregister_worker(self, worker_id: int) -> None:
        """
        Let running stages end, give back the rest, and unregister the worker.
        """
        if self.dispatcher is not None:
            await self.dispatcher.drain()
            self.dispatcher = None

    async def update_heartbeat(self, worker_id: int) -> None:
        """
        Do nothing: the dispatcher has its own heartbeat thread, which beats until the last job has ended.
        """

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """
        Do nothing: recovery removes a dead worker's row together with its jobs.
        """
        return []

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """
        Claim the next job of a plain task of this app; leave stages and tasks of other apps alone.
        """
        dispatcher = self.dispatcher
        if dispatcher is None:
            return None
        wanted = list(queues) if queues else None
        with dispatcher.claims.sent():
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    row = await self._wire.send("claim", claim_plain, self._wire.worker, wanted, self._plain_tasks())
            except TimeoutError:
                return None
            except Refused as refused:  # declared dead: the dispatcher finds out, too, and registers again
                log.warning("no plain task is claimed: %s", refused)
                return None
            if row is None:
                return None
            self._plain.add(row["id"])
        return jobs.Job.from_row(row)

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        """
        End a plain job.
        """
        try:
            await super().finish_job(job, status, delete_job)
        finally:
            self._plain.discard(job.id or 0)

    async def retry_job(self, job: jobs.Job, *arguments: Any, **named: Any) -> None:
        """
        Put a plain job back, even if another job with its queueing lock waits by now: procrastinate would fail then,
        and leave it `doing` under a worker that does not run it.
        """
        try:
            try:
                await super().retry_job(job, *arguments, **named)
            except exceptions.UniqueViolation as refused:
                if refused.constraint_name != manager.QUEUEING_LOCK_CONSTRAINT or job.worker_id is None:
                    raise
                await self._wire.send("retry", drop_queueing_lock, job.worker_id, job.id or 0)
                await super().retry_job(job, *arguments, **named)
        finally:
            self._plain.discard(job.id or 0)

    async def listen_for_jobs(
        self, *, on_notification: manager.NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """
        Listen, and start again when the connection is lost. Its cancellation is the first sign of a shutdown.
        """
        loop = asyncio.get_running_loop()
        again: asyncio.TimerHandle | None = None

        async def heard(notices: Sequence[Notice]) -> None:
            nonlocal again
            if self.dispatcher is not None:
                self.dispatcher.heard([_parse(notice) for notice in notices if notice.channel == CHANNEL])
                if any(notice.channel != CHANNEL for notice in notices):
                    self.dispatcher.due()
            told = self._of_plain_tasks(notices)
            for each in told:
                await tell(*each)
            if told:
                # The worker clears its wake-up after an empty fetch, so a notification that arrived during the fetch
                # would wait for the next poll, 5 s (3 of 380 jobs, measured). So the last notification is repeated
                # once.
                if again is not None:
                    again.cancel()
                again = loop.call_later(0.05, lambda: asyncio.ensure_future(tell(*told[-1])))

        async def tell(channel: str, notification: Any) -> None:
            await on_notification(channel=channel, notification=notification)

        def missed() -> None:
            if self.dispatcher is not None:
                self.dispatcher.missed()

        try:
            await listen(self._address, [CHANNEL, *manager.get_channel_for_queues(None)], heard, missed)
        except asyncio.CancelledError:
            if self.dispatcher is not None:
                self.dispatcher.stop_claiming()
            raise

    def _of_plain_tasks(self, notices: Sequence[Notice]) -> list[tuple[str, dict[str, Any]]]:
        """
        The notifications for procrastinate's Worker. For inserted jobs the last one is enough, because it makes it
        poll.
        """
        if all(name.startswith((BUILTIN, "builtin:")) for name in self._plain_tasks()):
            return []
        parsed = [(notice.channel, _parse(notice)) for notice in notices if notice.channel != CHANNEL]
        inserted = [each for each in parsed if each[1].get("type") == "job_inserted"]
        return [each for each in parsed if each not in inserted] + inserted[-1:]


def _parse(notice: Notice) -> dict[str, Any]:
    try:
        found = orjson.loads(notice.payload)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
