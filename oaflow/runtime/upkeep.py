"""
What a worker does besides its jobs: takes back the jobs of dead workers, finishes what a kill left unfinished, watches
the disks, makes partitions for the history of the coming days and drops old ones.
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

ROWS_EVERY = 30.0  # seconds between two comparisons of counters and rows
ROOM_EVERY = 2.0
REPORT_HOLDS = 10.0  # seconds that a full disk reported by a job is believed
HISTORY_EVERY = 3600.0
DAYS_AHEAD = 7
ENDED_SECONDS = 600.0  # that a job has ended before its row goes: a hand-over that is sent again still finds it
ROWS_AT_ONCE = 10_000  # of the default partition, a few hundredths of a second


class Upkeep:
    """
    Three loops, started and cancelled by the dispatcher.

    Args:
        wire: to the database.
        settings: of the worker.
        changed: called when there may be something new to do.
        due: called where a tick of a schedule has passed, or a webhook is due; None: that is not looked for.
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
        A run has ended, and nothing of it is in hand here. If it was cancelled, its last jobs may have handed over what
        nobody claims: that is taken out at the next heartbeat.
        """
        self._over = True

    async def recover(self) -> None:
        """
        Every heartbeat: recovery in every worker, and the sweeper; both let one worker in at a time. And runs of which
        too much has failed are given up, also where nobody follows them.
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
                # Reading all live rows takes its time on a deep queue: it gets at most a twentieth of it.
                rows_at = time.monotonic() + max(ROWS_EVERY, 20 * (time.monotonic() - began))
            self._changed()

    async def keep_history(self) -> None:
        """
        Every hour: partitions of the history for the coming days (without one, rows go to the default partition), and
        what is older than `OAFLOW_KEEP` days is taken out, with the logs of that age. On our own server the rows of
        jobs that have ended go, too.
        """
        keep = self._settings.keep
        while True:
            try:
                await self._wire.send("partitions", ledger.make_partitions, DAYS_AHEAD)
                while await self._wire.send("forget", ledger.forget, keep, ROWS_AT_ONCE):
                    pass
                if self._settings.db_uri is None:  # our own server: nobody else looks for these rows
                    await self._prune()
            except Refused as refused:  # a role that may not make tables: then `oaflow db migrate` made the last ones
                log.info("no new partitions, and none dropped: %s", refused)
            try:
                open_runs = await self._wire.send("open runs", ledger.open_run_ids)
                await asyncio.to_thread(remove_old_logs, self._settings.home / "logs", keep, time.time(), open_runs)
            except Refused:
                log.exception("upkeep")
            await asyncio.sleep(HISTORY_EVERY)

    async def _prune(self) -> None:
        """
        Take out the rows of jobs that have ended: what is to be known of them is in the history.
        """
        last: int | None = 0
        while last is not None:
            last, _ = await self._wire.send("prune", ledger.prune, last, ROWS_AT_ONCE, ENDED_SECONDS)

    def report_full(self, stage: str, problem: str) -> None:
        """
        A job found a disk full, perhaps one that is not watched: nothing is claimed for a while, then tried again.
        """
        self.no_room = f"{DISK}a job of stage {stage} is full: {problem}"
        self._reported = (time.monotonic(), self.no_room)

    async def _problem(self, folders: Sequence[Path]) -> str | None:
        found = await asyncio.to_thread(full, folders)  # the server of a disk may be away, and says nothing then
        if self._reported is not None and time.monotonic() - self._reported[0] < REPORT_HOLDS:
            return self._reported[1]
        self._reported = None
        return found

    async def watch_room(self) -> None:
        """
        Every two seconds: where a disk is full, runs pause and say so; they go on when there is room again.
        """
        home = self._settings.home
        archive = self._settings.archive_path or home / "archive"
        folders = [home, archive, home / "temp", Path(tempfile.gettempdir())]
        # By host, so that the next worker here lets go on what one that was killed here had paused.
        host = f"{socket.gethostname()}: "
        full_before: bool | None = None
        while True:
            problem = await self._problem(folders)
            self.no_room = problem
            try:
                if problem:
                    if not full_before:
                        log.error("%s; nothing is claimed until there is room", problem)
                    # Each time: a run that was begun meanwhile waits, too.
                    await self._wire.send("pause", ledger.pause, f"{host}{problem}; {GOES_ON}")
                elif full_before is not False:
                    await self._wire.send("unpause", ledger.unpause, host + DISK)
                    self._changed()
                full_before = bool(problem)
            except Refused:
                log.exception("upkeep")
            await asyncio.sleep(ROOM_EVERY)
