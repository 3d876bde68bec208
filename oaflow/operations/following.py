"""
Follows a run to its end, as a stream of events: what it does, which workers work on it, and what it waits for.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any, Protocol

import psycopg
from psycopg import Connection

from oaflow.entities.errors import EntityStoreError
from oaflow.ledger.runs import find_run, mark, stop
from oaflow.ledger.workers import Waiting, recover, session_of, workers
from oaflow.operations.again import has_files, settle
from oaflow.operations.binding import store_of
from oaflow.operations.databases import Database, Link
from oaflow.operations.estimating import Estimate, estimate_of
from oaflow.operations.states import Account, NoSuchRunError, RunStatus, account_of, in_order, status_of
from oaflow.operations.waits import Wait, retrying, waiting_of
from oaflow.plan import BoundPlan
from oaflow.runtime.supervisor import Died, Ended, Stale, Supervisor

# How often the counters are read. They are sums over a few dozen rows.
_LOOK = 0.25

# After this long, a job that no worker can run is named, and again when that changes.
_UNSERVED_AFTER = 10.0

# How often the remaining time is estimated, which is a tenth of a second of work.
_ESTIMATE_EVERY = 5.0

# If no job has ended for this long, the jobs that wait for another attempt are queried, and again this often.
_STILL = 2.0

# A database that is away is tried again this often.
_RETRY = 1.0

# With this many jobs done, settling a run takes so long that the user must be told.
_MANY = 20_000


@dataclass(frozen=True, slots=True)
class Progress:
    """
    The state of the run now.

    Attributes:
        exhausted: whether the source of the run has emitted everything, so that a percentage can be shown.
        estimate: how much longer it will take; None if unknown.
        retries: if no job has ended for a while, the stages with jobs that wait for another attempt.
    """

    status: RunStatus
    exhausted: bool
    estimate: Estimate | None = None
    retries: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True)
class Waits:
    """
    Jobs wait that no live worker can run.
    """

    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """
    A worker process ended unexpectedly; its jobs go back to the queue, and another process replaces it after `pause`
    seconds. Its output is in `log`.
    """

    pid: int
    code: int
    log: Path
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Unreachable:
    """
    The database is away; the run waits for it.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Reachable:
    """
    The database answers again.
    """


@dataclass(frozen=True, slots=True)
class Paused:
    """
    The run was paused, or continues (then `reason` is None).
    """

    reason: str | None


@dataclass(frozen=True, slots=True)
class Draining:
    """
    A first signal came: no more jobs start, and running ones may finish.
    """

    signal: str


@dataclass(frozen=True, slots=True)
class Settles:
    """
    The run has ended. What became of its files is now written down for the next run: this takes some minutes for a
    million files.
    """


@dataclass(frozen=True, slots=True)
class Unsettled:
    """
    The run has ended, but results of earlier runs that it has outdated could not be removed from the dataset. The next
    run of this pipeline tries again.
    """

    reason: str
    help: str | None


@dataclass(frozen=True, slots=True)
class Finished:
    """
    The last event: the state of the run, whether it was interrupted before its end, and what became of its documents
    (None if the database can no longer be asked).
    """

    status: RunStatus
    interrupted: bool
    account: Account | None


class Signalled(Protocol):
    """
    Counts requests to stop: the signals of a command; none in a program, where signals must not be caught.
    """

    @property
    def count(self) -> int: ...

    @property
    def last(self) -> Signals | None: ...


Event = Progress | Waits | Unreachable | Reachable | Paused | Settles | Unsettled | Finished

# The events of a command, which may have its own workers, and handles signals.
CommandEvent = Event | WorkerDied | Stale | Draining


def follow(
    database: Database,
    run: str,
    bound: BoundPlan,
    *,
    supervisor: Supervisor | None,
    interrupts: Signalled,
    link: Link | None = None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[CommandEvent]:
    """
    Follow a run until it has ended, or was interrupted.

    With its own workers, a first signal drains them and marks the run as interrupted, and a second kills them. Without,
    a signal only stops following, and the run is left to the workers elsewhere.

    Args:
        supervisor: the workers of this command, or None if they are elsewhere.
        interrupts: counts the signals.
        link: to the database; None: a new one.
    """
    session = "oaflow follow" if supervisor is None else session_of(run)
    following = _Following(database, run, bound, supervisor, link or Link(database, session), now)
    try:
        while True:
            yield from following.deaths()
            if interrupts.count:
                yield from following.leave(interrupts)
                return
            try:
                if (yield from following.look()):
                    return
                following.link.wait(_LOOK)
            except psycopg.OperationalError as error:
                yield from following.lose(error)
                sleep(_RETRY)
    finally:
        following.link.close()


class _Following:
    """
    A run that is followed: its last known state, and what was reported.
    """

    def __init__(
        self,
        database: Database,
        run: str,
        bound: BoundPlan,
        supervisor: Supervisor | None,
        link: Link,
        now: Callable[[], float],
    ) -> None:
        self.link = link
        self._database, self._settings = database, database.settings
        self._run, self._bound, self._order = run, bound, in_order(bound)
        self._supervisor, self._now = supervisor, now
        self._dead: set[int] = set()  # workers whose jobs have not come back yet
        self._away = False
        self._paused: str | None = None
        self._told: frozenset[tuple[str, str]] = frozenset()
        self._asked = self._estimated = self._still = now()
        self._ended = 0
        self._retries: tuple[Wait, ...] = ()
        self._estimate: Estimate | None = None
        self._status: RunStatus | None = None

    def deaths(self) -> Iterator[CommandEvent]:
        """
        The workers of this command that have died since the last call.
        """
        for event in self._supervisor.poll() if self._supervisor is not None else ():
            if isinstance(event, Died):
                self._dead.update(event.workers)
                yield WorkerDied(event.pid, event.code, event.log, event.pause)
            if isinstance(event, Stale):
                yield event

    def look(self) -> Generator[CommandEvent, None, bool]:
        """
        Check the state of the run once.

        Returns:
            Whether it has ended, and everything is reported.

        Raises:
            psycopg.OperationalError: the database is away.
        """
        connection = self.link.get()
        if self._dead:
            recover(connection, self._dead, self._settings.dead_after)
            self._dead.clear()
        status = self._look_at(connection)
        # Workers do this, too, at every heartbeat: here it is sooner.
        if status.total("failed") and stop(connection, self._run):
            status = self._look_at(connection)
        if self._away:
            self._away = False
            self._asked = self._now()  # the workers had lost it, too, and are coming back
            yield Reachable()
        paused = status.run.reason or "" if status.run.state == "paused" else None
        if paused != self._paused:
            self._paused = paused
            yield Paused(paused)
        if self._now() - self._estimated >= _ESTIMATE_EVERY:
            self._estimated = self._now()
            crew = workers(connection, self._settings.dead_after)
            self._estimate = estimate_of(connection, status.run, self._bound, status.stages, crew)
        self._look_for_retries(connection, status)
        yield Progress(status, exhausted(status, self._bound), self._estimate, self._retries)
        if not status.run.open:
            yield from self._end(connection, status)
            return True
        yield from self._unserved(connection, status)
        return False

    def lose(self, error: psycopg.OperationalError) -> Iterator[CommandEvent]:
        """
        The database is away, which is reported once.
        """
        if not self._away:
            self._away = True
            yield Unreachable(self.link.why(error))

    def leave(self, interrupts: Signalled) -> Iterator[CommandEvent]:
        """
        Leave the run before its end because of a signal: drain the workers of this command and mark it as interrupted.
        """
        signal = interrupts.last.name if interrupts.last is not None else "SIGINT"
        if self._supervisor is not None:
            yield Draining(signal)
            ended = self._supervisor.stop(hurry=lambda: interrupts.count > 1)
            self._dead.update(worker for event in ended if isinstance(event, Ended | Died) for worker in event.workers)
        account: Account | None = None
        with suppress(psycopg.OperationalError):  # `resume` also continues a run that could not be marked
            connection = self.link.get()
            if self._supervisor is not None:
                # Killed workers have given nothing back.
                recover(connection, self._dead, self._settings.dead_after)
                # Marked last, because a run whose last job ended meanwhile is finished and stays so.
                mark(connection, self._run, "interrupted", f"by {signal}")
            self._look_at(connection)
            account = self._account(connection)
        if self._status is not None:
            yield Finished(self._status, self._status.run.open, account)

    def _end(self, connection: Connection[Any], status: RunStatus) -> Iterator[CommandEvent]:
        if status.total("done") >= _MANY and has_files(connection, self._run):
            yield Settles()
        try:
            with store_of(self._settings, self._database.address.uri) as store:
                settle(connection, store, self._run)
        except EntityStoreError as error:
            yield Unsettled(str(error), error.help)
        yield Finished(self._look_at(connection), False, self._account(connection))

    def _unserved(self, connection: Connection[Any], status: RunStatus) -> Iterator[CommandEvent]:
        if self._supervisor is not None and not self._supervisor.workers:
            self._asked = self._now()  # its own workers are starting
        if self._now() - self._asked < _UNSERVED_AFTER:
            return
        self._asked = self._now()
        waiting = waiting_of(connection, status.run, self._bound, self._settings.dead_after)
        waiting = nobodys(waiting, own=self._supervisor is not None)
        names = frozenset((job.queue, job.task) for job in waiting)
        if names - self._told:
            yield Waits(tuple(waiting))
        self._told = names

    def _look_for_retries(self, connection: Connection[Any], status: RunStatus) -> None:
        ended = sum(map(status.total, ("done", "failed", "diverted", "vanished")))
        if ended != self._ended or status.run.state != "running":
            self._ended, self._still, self._retries = ended, self._now(), ()
        elif self._now() - self._still >= _STILL:
            self._still = self._now()
            self._retries = tuple(retrying(connection, status.run, self._bound))

    def _look_at(self, connection: Connection[Any]) -> RunStatus:
        found = find_run(connection, self._run)
        if found is None:
            raise NoSuchRunError(self._run)
        self._status = status_of(connection, found, self._order)
        return self._status

    def _account(self, connection: Connection[Any]) -> Account:
        return account_of(connection, self._run, self._bound, self._settings.report(self._run))


def nobodys(waiting: Sequence[Waiting], *, own: bool) -> list[Waiting]:
    """
    Which jobs without a capable worker to report. The `own` workers of a run report for every function whether they can
    run it; on a busy machine that comes late, and is no problem.
    """
    return [job for job in waiting if not own or job.external or job.reason is not None]


def exhausted(status: RunStatus, bound: BoundPlan) -> bool:
    """
    Whether no stage that feeds the run from outside has open jobs: its entries, and the stages that lead back to them.
    """
    return status.run.sealed and all(status.stages[name].open == 0 for name in bound.start if name in status.stages)
