"""
Following a run to its end: what it does, who works on it, and what it waits for, as a stream of events.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any, Protocol

import psycopg
from psycopg import Connection

from oaflow.entities.store import EntityStoreError
from oaflow.ledger.runs import Run, find_run, mark, stop
from oaflow.ledger.workers import Waiting, recover
from oaflow.operations.again import settle
from oaflow.operations.binding import store_of
from oaflow.operations.databases import Database, Link
from oaflow.operations.estimating import Estimate, estimate_of
from oaflow.operations.states import Account, NoSuchRunError, RunStatus, account_of, in_order, status_of
from oaflow.operations.waits import waiting_of
from oaflow.plan import BoundPlan
from oaflow.runtime.supervisor import Died, Ended, Supervisor

# How often the counters are looked at. They are sums over a few dozen rows.
_LOOK = 0.25

# After this long a job that nobody can run is named, and again when that changes.
_UNSERVED_AFTER = 10.0

# How often it is estimated how long the run will still take, which is a tenth of a second of work.
_ESTIMATE_EVERY = 5.0

# A database that is away is tried again this often.
_RETRY = 1.0

# With as many jobs done, what comes of the end of a run takes longer than anybody waits without a word.
_MANY = 20_000


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How the run stands now. `exhausted` says that its source has no more to give; `estimate` is how long it will still
    take, where there is something to say.
    """

    status: RunStatus
    exhausted: bool
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """
    Nobody can run these.
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
    The run was paused, or goes on (`reason` is None then).
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
    The run has ended, and what became of its many files is written down, for the next run: some minutes for a million.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """
    The last event: how the run stands, whether it ended or was interrupted, and what became of its documents (None
    where the database cannot be asked any more).
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


Event = Progress | Waits | Unreachable | Reachable | Paused | Settles | Finished

# What a command says, which may have workers of its own, and hears signals.
CommandEvent = Event | WorkerDied | Draining


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
    settings = database.settings
    order = in_order(bound)
    link = link or Link(database, "oaflow follow")
    away = False
    paused: str | None = None
    told: frozenset[tuple[str, str]] = frozenset()
    dead: set[int] = set()
    asked = estimated = now()
    estimate: Estimate | None = None
    status: RunStatus | None = None
    try:
        while True:
            if supervisor is not None:
                for event in supervisor.poll():
                    if isinstance(event, Died):
                        dead.update(event.workers)
                        yield WorkerDied(event.pid, event.code, event.log, event.pause)
            if interrupts.count:
                break
            try:
                connection = link.get()
                if dead:
                    recover(connection, dead, settings.dead_after)
                    dead.clear()
                status = status_of(connection, _found(connection, run), order)
                # Workers ask this too, every heartbeat: here it is sooner.
                if status.total("failed") and stop(connection, run):
                    status = status_of(connection, _found(connection, run), order)
                if away:
                    away = False
                    yield Reachable()
                if (status.run.reason or "" if status.run.state == "paused" else None) != paused:
                    paused = status.run.reason or "" if status.run.state == "paused" else None
                    yield Paused(paused)
                if now() - estimated >= _ESTIMATE_EVERY:
                    estimated = now()
                    estimate = estimate_of(connection, status.run, bound, status.stages, settings.dead_after)
                yield Progress(status, exhausted(status, bound), estimate)
                if not status.run.open:
                    if status.total("done") >= _MANY:
                        yield Settles()
                    # Where the entity store is away, the next run of this pipeline does it.
                    with suppress(EntityStoreError), store_of(settings, database.address.uri) as store:
                        settle(connection, store, run)
                    status = status_of(connection, _found(connection, run), order)
                    yield Finished(status, False, account_of(connection, run, bound, settings.report(run)))
                    return
                if supervisor is not None and not supervisor.workers:
                    asked = now()  # its own are on their way
                if now() - asked >= _UNSERVED_AFTER:
                    asked = now()
                    waiting = waiting_of(connection, status.run, bound, settings.dead_after)
                    waiting = nobodys(waiting, own=supervisor is not None)
                    names = frozenset((job.queue, job.task) for job in waiting)
                    if names - told:
                        yield Waits(tuple(waiting))
                    told = names
                link.wait(_LOOK)
            except psycopg.OperationalError as error:
                if not away:
                    away = True
                    yield Unreachable(link.why(error))
                sleep(_RETRY)
        signal = interrupts.last.name if interrupts.last is not None else "SIGINT"
        if supervisor is not None:
            yield Draining(signal)
            ended = supervisor.stop(hurry=lambda: interrupts.count > 1)
            dead.update(worker for event in ended if isinstance(event, Ended | Died) for worker in event.workers)
        account: Account | None = None
        with suppress(psycopg.OperationalError):  # `resume` goes on with a run that nobody could mark, too
            connection = link.get()
            if supervisor is not None:
                # What was killed has given nothing back.
                recover(connection, dead, settings.dead_after)
                # Marked last: a run whose last job ended meanwhile is finished, and stays so.
                mark(connection, run, "interrupted", f"by {signal}")
            status = status_of(connection, _found(connection, run), order)
            account = account_of(connection, run, bound, settings.report(run))
        if status is not None:
            yield Finished(status, status.run.open, account)
    finally:
        link.close()


def nobodys(waiting: Sequence[Waiting], *, own: bool) -> list[Waiting]:
    """
    What is to be told of the jobs that no live worker can run. With workers of its `own`, a run knows that each of them
    says of every function that it can run it or why not; on a busy machine that comes late, and is no trouble.
    """
    return [job for job in waiting if not own or job.external or job.reason is not None]


def _found(connection: Connection[Any], run: str) -> Run:
    found = find_run(connection, run)
    if found is None:
        raise NoSuchRunError(run)
    return found


def exhausted(status: RunStatus, bound: BoundPlan) -> bool:
    """
    Whether no stage that feeds the run from outside has anything open: its entries, and what leads back into them.
    """
    return status.run.sealed and all(status.stages[name].open == 0 for name in bound.start if name in status.stages)
