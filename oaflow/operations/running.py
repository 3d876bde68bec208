"""
Run, resume, retry, cancel, and the worker: starts processes and follows them, as streams of events.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import Connection

from oaflow.entities.datasets import table_name
from oaflow.errors import EnvironmentProblem, UsageError
from oaflow.ledger import runs as ledger
from oaflow.ledger.runs import Run
from oaflow.ledger.workers import recover
from oaflow.operations.afresh import once_more
from oaflow.operations.again import settle_all
from oaflow.operations.beside import Beside
from oaflow.operations.binding import store_of
from oaflow.operations.completing import remember
from oaflow.operations.crew import Crew
from oaflow.operations.databases import Database, Link, connection, database
from oaflow.operations.following import CommandEvent, Draining, Event, Signalled, WorkerDied, follow
from oaflow.operations.health import Watched
from oaflow.operations.programs import Program
from oaflow.operations.scheduling import Ticked, begin_due
from oaflow.operations.starting import (
    Begun,
    EndedRunError,
    EnteringRunError,
    Request,
    UnfinishedRunError,
    UnsealedRunError,
    begin,
    bound_for_run,
    idle_options,
    last_run,
    precheck,
    refuse_unseen,
    settle,
    unfinished,
)
from oaflow.operations.states import (
    bound_plan,
    check_cause,
    check_stage,
    folders_from_here,
    folders_of,
    wanted_run,
)
from oaflow.operations.streams import Stop
from oaflow.operations.webhooks import Told, deliver
from oaflow.postgres.problems import Unreachable
from oaflow.runtime.supervisor import Died, Due, Ended, Interrupts, Stale, Supervisor
from oaflow.runtime.supervisor import Event as WorkerEvent
from oaflow.settings import Settings

# Seconds between two checks of the workers: the longest delay until a signal is obeyed or a dead worker replaced.
_LOOK = 0.25

# How often a database that is away is tried again.
_RETRY = 1.0

# How long the command that followed a run sends webhooks about its end, if no worker may be there to do so.
_TELL_SECONDS = 10.0

Mode = Literal["ask", "resume", "new"]

# What to do with an unfinished run: continue it, or cancel it and start a new one. None: nothing.
Choose = Callable[[Run], Literal["resume", "new"] | None]


@dataclass(frozen=True, slots=True)
class Said:
    """
    A message to the user who started the run.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """
    The database does not answer yet; a worker waits for it.
    """

    problem: Unreachable


def run(
    settings: Settings,
    program: Program,
    request: Request,
    *,
    mode: Mode = "ask",
    choose: Choose = lambda run: None,
    crew: Crew,
) -> Generator[CommandEvent | Begun | Said]:
    """
    Start a run, or continue the unfinished one, and follow it. A caller that closes the generator after `Begun` leaves
    the run to others.

    Args:
        mode: what to do with an unfinished run of this pipeline and dataset; `ask` calls `choose`.
        crew: the workers of this command.

    Raises:
        UsageError: the command or the pipeline is wrong; nothing was started.
        EnvironmentProblem: there is no database to use.
    """
    plan = program.checked()
    table_name(request.dataset)  # refuses a name that the store cannot hold
    precheck(plan, request)
    with database(settings) as opened:
        with opened.connect() as made:
            old = unfinished(made, plan.pipeline, request.dataset)
            if old is not None:
                decided = choose(old) if mode == "ask" else mode
                if decided is None:
                    raise UnfinishedRunError(old)
                begun = go_on(made, old, folders_of(old)) if decided == "resume" else None
                if begun is not None and request.stop_after is not None:
                    ledger.stop_after(made, old.id, request.stop_after, begun.bound.start)
            elif mode == "resume":
                raise UsageError(
                    f"there is no unfinished run of pipeline {plan.pipeline!r} on dataset {request.dataset!r}",
                    help="leave out --resume to start one",
                )
            else:
                begun = None
            if begun is None:
                values, remarks = settle(plan, program.source, request, last_run(made, plan.pipeline, request.dataset))
                bound = bound_for_run(plan, values, request.at, program.places())
                refuse_unseen(made, bound)
                if old is not None:
                    ledger.cancel(made, old.id, "replaced by a new run")
                    yield Said(f"run {old.id} is cancelled")
                for remark in (*remarks, *idle_options(bound, request)):
                    yield Said(remark)
                # Last, so that what the cancelled run has done counts, too.
                with store_of(settings, opened.address.uri) as store:
                    settle_all(made, store, request.dataset, plan.pipeline)
                begun = begin(opened, made, plan, bound, request, values)
        yield begun
        yield from followed(opened, begun, crew)


def resume(settings: Settings, run: str | None, *, crew: Crew) -> Generator[CommandEvent | Begun | Said]:
    """
    Continue a run, whatever stopped it, and follow it. A caller that closes the generator after `Begun` leaves the run
    to others.

    Raises:
        UsageError: there is no such run, or it has ended.
    """
    with database(settings) as opened:
        with opened.connect() as made:
            found = _unfinished_run(made, run)
            begun = go_on(made, found, folders_from_here(found))
        yield begun
        yield from followed(opened, begun, crew)


def retry(
    settings: Settings,
    run: str | None,
    *,
    stage: str | None = None,
    cause: str | None = None,
    crew: Crew,
) -> Generator[CommandEvent | Begun | Said]:
    """
    Retry the failures of a run, in a new round, and follow it.

    Args:
        stage: only failures of this stage.
        cause: only failures with this fingerprint.

    Raises:
        UsageError: there is no such run, stage or cause, or nothing that can be sent again.
    """
    with database(settings) as opened:
        with opened.connect() as made:
            begun = send_again(made, wanted_run(made, run), stage=stage, cause=cause)
        yield begun
        yield from followed(opened, begun, crew)


def send_again(made: Connection[Any], run: Run, *, stage: str | None = None, cause: str | None = None) -> Begun:
    """
    Retry the failures of a run, in a new round, without following it.

    Args:
        stage, cause: see `retry`.

    Raises:
        UsageError: there is no such stage or cause, or nothing that can be sent again.
    """
    from oaflow.ledger.failures import every_failure

    bound = bound_plan(made, run)
    if run.state == "cancelled":
        raise UsageError(f"run {run.id!r} was cancelled", help=once_more(run))
    _refuse_unsealed(run)
    refuse_unseen(made, bound)
    check_stage(run, bound, stage)
    if cause is not None:
        check_cause(made, run, cause)
    halted = run.state in ("paused", "interrupted")
    all = stage is None and cause is None
    failed = () if all else every_failure(made, run.id, stage=stage, cause=cause)
    number = ledger.reopen(made, run.id, None if all else [failure.job for failure in failed])
    if number == 0:
        where = f" at stage {stage!r}" if stage is not None else ""
        why = f" for cause {cause!r}" if cause is not None else ""
        problem = f"nothing failed{where}{why} in run {run.id!r} that can be retried"
        if halted and all:
            raise UsageError(f"{problem}; it is {run.state}", help=f"oaflow resume {run.id}")
        raise UsageError(problem, help=f"oaflow failures {run.id}   # shows causes and stages")
    again = f"sent {number} failed job{'' if number == 1 else 's'} again"
    remarks = (
        (again, f"it was {run.state}: {run.reason or 'by a user'}; now all of it continues") if halted else (again,)
    )
    return Begun(run.id, bound, number, remarks, folders_from_here(run))


def _unfinished_run(made: Connection[Any], run: str | None) -> Run:
    found = ledger.latest_run(made, states=ledger.OPEN_STATES) if run is None else wanted_run(made, run)
    if found is None:
        raise UsageError("there is no unfinished run", help="oaflow status")
    return found


def cancel(settings: Settings, run: str | None) -> tuple[Run, int]:
    """
    Cancel a run; without an id, the latest unfinished one.

    Returns:
        the run, and how many of its jobs were waiting.

    Raises:
        UsageError: there is no such run, or it has ended.
    """
    with connection(settings) as made:
        found = _unfinished_run(made, run)
        if not found.open:
            raise UsageError(f"run {found.id!r} has ended: it is {found.state}")
        number = ledger.cancel(made, found.id, "by oaflow cancel")
        return wanted_run(made, found.id), number


def pause(settings: Settings, run: str | None) -> Run:
    """
    Pause a run; without an id, the latest running one. Running jobs finish and hand over, and no more start.

    Raises:
        UsageError: there is no such run, or it is not running.
    """
    with connection(settings) as made:
        found = ledger.latest_run(made, states=("running",)) if run is None else wanted_run(made, run)
        if found is None:
            raise UsageError("there is no run to pause", help="oaflow status")
        if found.state != "running" or not ledger.mark(made, found.id, "paused", "by oaflow pause"):
            help = f"oaflow resume {found.id}" if found.open else None
            raise UsageError(f"run {found.id!r} cannot be paused: it is {found.state}", help=help)
        return wanted_run(made, found.id)


def follow_only(settings: Settings, run: str | None, stop: Stop) -> Generator[Event]:
    """
    Follow a run that others work on, from its current state, without changing it.

    Args:
        run: id of the run; None: the latest.
        stop: set when the caller wants no more events.

    Raises:
        NoSuchRunError: there is no such run, or no run at all.
    """
    with database(settings) as opened:
        with opened.connect() as made:
            found = wanted_run(made, run)
            bound = bound_plan(made, found)
        link = Link(opened, "oaflow follow")
        stop.cuts(link.cut)
        for event in follow(opened, found.id, bound, supervisor=None, interrupts=stop, link=link, sleep=stop.sleep):
            if not isinstance(event, WorkerDied | Stale | Draining):  # it has neither workers nor signals
                yield event


def worker(
    settings: Settings, crew: Crew, watched: Watched, signals: AbstractContextManager[Signalled] | None = None
) -> Generator[WorkerEvent | Awaited | Ticked | Told]:
    """
    Run workers until a signal comes: the first drains, the second kills. This waits for a database that does not
    answer, also at the start, because after a reboot the server may come up last.

    Args:
        watched: keeps their state for monitoring.
        signals: counts the signals; None: they are caught here.
    """
    with ExitStack() as stack:
        opened = yield from _awaited(settings, stack, watched)
        interrupts = stack.enter_context(signals or Interrupts())
        supervisor = crew.begin()
        if supervisor is None:
            return
        watched.begin(opened, supervisor.tally)
        # In threads, because settling many files before the run of a schedule starts takes minutes.
        ticks = Beside("oaflow schedules", lambda: begin_due(opened))
        deliveries = Beside("oaflow webhooks", lambda: deliver(opened))
        dead: set[int] = set()
        tried = -_RETRY
        try:
            while not interrupts.count:
                watched.see("works", supervisor.vitals)
                for event in supervisor.poll():
                    yield event
                    match event:
                        case Died(workers=workers):
                            dead.update(workers)
                        case Due():
                            ticks.begin()
                            deliveries.begin()
                        case _:
                            pass
                yield from ticks.news()
                yield from deliveries.news()
                if dead and time.monotonic() - tried >= _RETRY:
                    tried = time.monotonic()
                    # While the database is away, its workers wait for it, and so does this.
                    with suppress(EnvironmentProblem, psycopg.OperationalError):
                        with opened.connect() as made:
                            recover(made, dead, settings.dead_after)
                        dead.clear()
                time.sleep(_LOOK)
            watched.see("drains", supervisor.vitals)
            yield from supervisor.stop(hurry=lambda: interrupts.count > 1)
        finally:
            supervisor.stop(0)


def _awaited(settings: Settings, stack: ExitStack, watched: Watched) -> Generator[Awaited, None, Database]:
    told = False
    while True:
        watched.see("waits")
        try:
            return stack.enter_context(database(settings))
        except Unreachable as problem:
            if not told:
                yield Awaited(problem)
            told = True
        time.sleep(_RETRY)


def go_on(made: Connection[Any], run: Run, folders: tuple[Path, ...]) -> Begun:
    """
    Continue a run, without following it.

    Args:
        folders: where the modules of its stages are searched.

    Raises:
        EndedRunError: it has ended.
        UsageError: its input was not read to the end.
    """
    if not run.open:
        raise EndedRunError(run)
    _refuse_unsealed(run)
    bound = bound_plan(made, run)
    refuse_unseen(made, bound)
    ledger.mark(made, run.id, "running")
    return Begun(run.id, bound, 0, (f"continuing run {run.id}",), folders)


def _refuse_unsealed(run: Run) -> None:
    if run.sealed:
        return
    raise UnsealedRunError(run) if run.cut else EnteringRunError(run)


def followed(opened: Database, begun: Begun, crew: Crew) -> Iterator[CommandEvent]:
    """
    Follow a run that has started to its end, with the workers of this command.
    """
    _remember(opened)
    try:
        with Interrupts() as interrupts, _at_work(opened, crew, begun) as supervisor:
            yield from follow(opened, begun.run, begun.bound, supervisor=supervisor, interrupts=interrupts)
        with suppress(EnvironmentProblem, psycopg.Error):
            list(deliver(opened, until=time.monotonic() + _TELL_SECONDS))
    finally:
        _remember(opened)


def _remember(opened: Database) -> None:
    with suppress(EnvironmentProblem), opened.connect() as made:
        remember(opened.settings, made)


@contextmanager
def _at_work(opened: Database, crew: Crew, begun: Begun) -> Generator[Supervisor | None]:
    """
    Workers while the block runs. At its end they are drained, and even after an error, their jobs are given back.
    """
    supervisor = crew.begin(begun.run, begun.folders)
    if supervisor is None:
        yield None
        return
    try:
        yield supervisor
    finally:
        left = supervisor.stop()
        gone = [id for event in left if isinstance(event, Ended | Died) and event.code for id in event.workers]
        if gone:
            with opened.connect() as made:
                recover(made, gone, opened.settings.dead_after)
