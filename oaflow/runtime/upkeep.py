"""
What a worker does besides its jobs: recovers the jobs of dead workers, finishes what a kill left unfinished, watches
the disks, creates partitions for the history of the coming days and drops old ones.
"""

import asyncio
import logging
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from oaflow.ledger import handover as ledger
from oaflow.ledger.schedules import any_due
from oaflow.ledger.wire import Refused, Wire
from oaflow.runtime.oldlogs import remove_old_logs
from oaflow.runtime.room import DISK, GOES_ON, full
from oaflow.settings import Settings

log = logging.getLogger(__name__)

ROWS_EVERY = 30.0  # seconds between two comparisons of counters with rows
ROOM_EVERY = 2.0
REPORT_HOLDS = 10.0  # how many seconds a job's report of a full disk counts
HISTORY_EVERY = 3600.0
DAYS_AHEAD = 7
ENDED_SECONDS = 600.0  # a job's row is kept this long after its end, for a hand-over that is sent again
ROWS_AT_ONCE = 10_000  # rows of the default partition, a few hundredths of a second


class Upkeep:
    """
    Three loops, started and cancelled by the dispatcher.

    Args:
        wire: to the database.
        settings: of the worker.
        changed: called when there may be new work.
        due: called when a tick of a schedule has passed, or a webhook is due; None: neither is watched.
    """

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        changed: Callable[[], None],
        due: Callable[[], None] | None = None,
    ) -> None:
        self._wire, self._settings, self._changed, self._due = wire, settings, changed, due
        self.no_room: str | None = None
        self._reported: tuple[float, str] | None = None
        self._over = False  # whether a run has ended since

    def over(self) -> None:
        """
        A run has ended, and this worker holds none of its jobs. If it was cancelled, its last jobs may have handed over
        jobs that no worker will claim: those are removed at the next heartbeat.
        """
        self._over = True

    async def recover(self) -> None:
        """
        At every heartbeat, in every worker: recovery and the sweeper, which each admit one worker at a time. Also
        cancels runs with too many failures, even if no command follows them.
        """
        settings = self._settings
        rows_at = time.monotonic() + ROWS_EVERY
        while True:
            await asyncio.sleep(settings.heartbeat)
            began = time.monotonic()
            rows = began >= rows_at
            try:
                await self._wire.send("recover", ledger.recover, settings.dead_after)
                await self._wire.send("sweep", ledger.sweep, rows)
                if self._over:
                    self._over = False
                    await self._wire.send("cancel", ledger.cancel_rest)
                if self._due is not None and await self._wire.send("what is due", any_due):
                    self._due()
            except Refused:
                log.exception("upkeep")
            if rows:
                # Reading all live rows is slow with a long queue: it may use at most a twentieth of the time.
                rows_at = time.monotonic() + max(ROWS_EVERY, 20 * (time.monotonic() - began))
            self._changed()

    async def keep_history(self) -> None:
        """
        Every hour: create partitions of the history for the coming days (without one, rows go to the default
        partition), and remove history and logs older than `OAFLOW_KEEP` days. On our own server, also delete the rows
        of ended jobs.
        """
        keep = self._settings.keep
        while True:
            try:
                await self._wire.send("partitions", ledger.make_partitions, DAYS_AHEAD)
                while await self._wire.send("forget", ledger.forget, keep, ROWS_AT_ONCE):
                    pass
                if self._settings.db_uri is None:  # our own server: no other program reads these rows
                    await self._prune()
            except Refused as refused:  # a role without CREATE: `oaflow db migrate` made the last ones
                log.info("no new partitions, and none dropped: %s", refused)
            try:
                open_runs = await self._wire.send("open runs", ledger.open_run_ids)
                await asyncio.to_thread(remove_old_logs, self._settings.home / "logs", keep, time.time(), open_runs)
            except Refused:
                log.exception("upkeep")
            await asyncio.sleep(HISTORY_EVERY)

    async def _prune(self) -> None:
        """
        Delete the rows of ended jobs; the history has what matters about them.
        """
        last: int | None = 0
        while last is not None:
            last, _ = await self._wire.send("prune", ledger.prune, last, ROWS_AT_ONCE, ENDED_SECONDS)

    def report_full(self, stage: str, problem: str) -> None:
        """
        A job found a disk full, perhaps one that is not watched: claim nothing for a while, then try again.
        """
        self.no_room = f"{DISK}a job of stage {stage} is full: {problem}"
        self._reported = (time.monotonic(), self.no_room)

    async def _problem(self, folders: Sequence[Path]) -> str | None:
        found = await asyncio.to_thread(full, folders)  # the server of a disk may be away, and then gives no answer
        if self._reported is not None and time.monotonic() - self._reported[0] < REPORT_HOLDS:
            return self._reported[1]
        self._reported = None
        return found

    async def watch_room(self) -> None:
        """
        Every two seconds: if a disk is full, pause runs with that reason; continue them when there is room again.
        """
        home = self._settings.home
        archive = self._settings.archive_path or home / "archive"
        folders = [home, archive, home / "temp", Path(tempfile.gettempdir())]
        # By host, so that the next worker here continues the runs that a killed worker had paused.
        host = f"{socket.gethostname()}: "
        full_before: bool | None = None
        while True:
            problem = await self._problem(folders)
            self.no_room = problem
            try:
                if problem:
                    if not full_before:
                        log.error("%s; nothing is claimed until there is room", problem)
                    # Each time, because runs that started meanwhile must wait, too.
                    await self._wire.send("pause", ledger.pause, f"{host}{problem}; {GOES_ON}")
                elif full_before is not False:
                    await self._wire.send("unpause", ledger.unpause, host + DISK)
                    self._changed()
                full_before = bool(problem)
            except Refused:
                log.exception("upkeep")
            await asyncio.sleep(ROOM_EVERY)
