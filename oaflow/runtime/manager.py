"""
The job manager that procrastinate's Worker talks to: plain tasks go its way, stages are the dispatcher's.

`register_worker` starts the dispatcher, `unregister_worker` drains it, so any procrastinate worker of an oaflow app
runs stages too.
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
CHANNEL = "oaflow"  # of what is notified of runs

# That a claim of plain tasks may take: procrastinate's Worker looks only between two of them whether it is to stop, so
# with a database that is away it would go on for ever. What comes of one that is left the heart gives back.
FETCH_SECONDS = 20.0


class FlowJobManager(manager.JobManager):
    """
    A JobManager that fetches by task, beats its own heart, survives a lost LISTEN connection, and runs a dispatcher.

    Args:
        connector: of the app.
        plain_tasks: gives the names of the app's tasks.
        address: finds the address of the database to listen at, which a pooler before it does not hear.
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
        # Plain jobs in hand: the heart of this worker answers for them too.
        self._plain: set[int] = set()

    def _pool(self) -> Any:
        return cast("Any", self.connector).pool

    async def prepare(self) -> Dispatcher:
        """
        Make the dispatcher and start its processes. No database is needed for that.
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
        Undo `prepare`, where no worker was registered.
        """
        if self.dispatcher is not None:
            await self.dispatcher.dismiss()
            self.dispatcher = None

    async def unregister_worker(self, worker_id: int) -> None:
        """
        Let running stages end, give the rest back, and take the worker out.
        """
        if self.dispatcher is not None:
            await self.dispatcher.drain()
            self.dispatcher = None

    async def update_heartbeat(self, worker_id: int) -> None:
        """
        Nothing: the dispatcher's heart is a thread of its own, and beats until the last job has ended.
        """

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """
        Nothing: recovery takes a dead worker's row away together with its jobs.
        """
        return []

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """
        Claim the next job of a plain task of this app; stages and other people's tasks are left alone.
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
            except Refused as refused:  # declared dead: the dispatcher learns of it, too, and registers anew
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
        Put a plain job back, also where another one of its queueing lock waits by now: procrastinate would fail there,
        and leave it `doing` under a worker that is not at it.
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
        Listen, and begin again when the connection is lost. Its cancellation is the first sign of a shutdown.
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
                # The worker clears its wake-up after an empty fetch; a notification that came during it would wait for
                # the next poll, 5 s (3 of 380 jobs, measured): so the last of them is repeated once.
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
        What procrastinate's Worker is to be told. Of jobs that were inserted the last is enough: it asks what there is.
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
