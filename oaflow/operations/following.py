"""
Follows a run to its end, as a stream of events: what it does, who works on it, and what it waits for.
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

# How often the counters are looked at. They are sums over a few dozen rows.
_LOOK = 0.25

# After this long a job that nobody can run is named, and again when that changes.
_UNSERVED_AFTER = 10.0

# How often it is estimated how long the run will still take, which is a tenth of a second of work.
_ESTIMATE_EVERY = 5.0

# Where nothing has ended for so long, it is asked what waits for another attempt, and again this often.
_STILL = 2.0

# A database that is away is tried again this often.
_RETRY = 1.0

# With as many jobs done, what comes of the end of a run takes longer than anybody waits without a word.
_MANY = 20_000


@dataclass(frozen=True, slots=True)
class Progress:
    """
    The state of the run now.

    Attributes:
        exhausted: whether the source of the run has given all that it has, so that a percentage can be told.
        estimate: how much longer it will take; None where that cannot be told.
        retries: where nothing has ended for a while, the stages with jobs that wait for another attempt.
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
    A worker process ended unasked; its jobs came back, and another one takes its place, after `pause` seconds. What it
    printed is in `log`.
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
    The database is back.
    """


@dataclass(frozen=True, slots=True)
class Paused:
    """
    The run was paused, or goes on again (then `reason` is None).
    """

    reason: str | None


@dataclass(frozen=True, slots=True)
class Draining:
    """
    A first signal came: nothing more is begun, and what runs may end.
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
    Counts what asks to leave: the signals of a command; in a program, where nothing may catch them, nothing.
    """

    @property
    def count(self) -> int: ...

    @property
    def last(self) -> Signals | None: ...


Event = Progress | Waits | Unreachable | Reachable | Paused | Settles | Unsettled | Finished

# What a command says, which may have workers of its own, and hears signals.
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
    Follows a run until it has ended, or was interrupted.

    With workers of its own a first signal drains them and marks the run as interrupted, a second kills them. Without,
    it only stops the following: the run is the workers' business then.

    Args:
        supervisor: the workers of this command, or None where they are elsewhere.
        interrupts: counts the signals that came.
        link: to the database; None: one of its own.
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
    A run that is followed: what was last seen of it, and what was said.
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
        self._dead: set[int] = set()  # workers whose jobs are still to come back
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
        The workers of this command that have died since this was last asked.
        """
        for event in self._supervisor.poll() if self._supervisor is not None else ():
            if isinstance(event, Died):
                self._dead.update(event.workers)
                yield WorkerDied(event.pid, event.code, event.log, event.pause)
            if isinstance(event, Stale):
                yield event

    def look(self) -> Generator[CommandEvent, None, bool]:
        """
        Looks once how the run stands.

        Returns:
            Whether it has ended, and all is said.

        Raises:
            psycopg.OperationalError: the database is away.
        """
        connection = self.link.get()
        if self._dead:
            recover(connection, self._dead, self._settings.dead_after)
            self._dead.clear()
        status = self._look_at(connection)
        # Workers ask this too, every heartbeat: here it is sooner.
        if status.total("failed") and stop(connection, self._run):
            status = self._look_at(connection)
        if self._away:
            self._away = False
            self._asked = self._now()  # workers were away from it, too, and are on their way back
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
        The database is away, which is said once.
        """
        if not self._away:
            self._away = True
            yield Unreachable(self.link.why(error))

    def leave(self, interrupts: Signalled) -> Iterator[CommandEvent]:
        """
        Leaves the run before its end, as signals ask: drains the workers of this command and marks it as interrupted.
        """
        signal = interrupts.last.name if interrupts.last is not None else "SIGINT"
        if self._supervisor is not None:
            yield Draining(signal)
            ended = self._supervisor.stop(hurry=lambda: interrupts.count > 1)
            self._dead.update(worker for event in ended if isinstance(event, Ended | Died) for worker in event.workers)
        account: Account | None = None
        with suppress(psycopg.OperationalError):  # `resume` goes on with a run that nobody could mark, too
            connection = self.link.get()
            if self._supervisor is not None:
                # What was killed has given nothing back.
                recover(connection, self._dead, self._settings.dead_after)
                # Marked last: a run whose last job ended meanwhile is finished, and stays so.
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
            self._asked = self._now()  # its own are on their way
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
    What is to be told of the jobs that no live worker can run. With workers of its `own`, a run knows that each of them
    says of every function that it can run it or why not; on a busy machine that comes late, and is no trouble.
    """
    return [job for job in waiting if not own or job.external or job.reason is not None]


def exhausted(status: RunStatus, bound: BoundPlan) -> bool:
    """
    Whether no stage that feeds the run from outside has anything open: its entries, and what leads back into them.
    """
    return status.run.sealed and all(status.stages[name].open == 0 for name in bound.start if name in status.stages)
