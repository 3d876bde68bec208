"""
`oaflow schedule`: runs that start at set times. Workers notice that such a time (tick) has come, and their supervisor
starts the run.

A tick is taken in the transaction that starts its run, so exactly one run starts, whatever is killed. Of several ticks
that pass while no worker is running, only the latest counts. A tick that meets an unfinished run of its pipeline and
dataset starts nothing, and its schedule records that.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from psycopg import Connection

from oaflow.entities.datasets import table_name
from oaflow.errors import OaflowError, UsageError
from oaflow.ledger import schedules as ledger
from oaflow.ledger.runs import store_plan, stored_plan
from oaflow.ledger.schedules import Schedule
from oaflow.operations.again import settle_all
from oaflow.operations.binding import store_of
from oaflow.operations.completing import remember
from oaflow.operations.databases import Database, connection
from oaflow.operations.programs import Program
from oaflow.operations.starting import Request, begin, bound_for_run, last_run, precheck, settle, unfinished
from oaflow.plan import Plan
from oaflow.printed.runs import Schedule as ScheduleJson
from oaflow.settings import Settings, or_environment

_NAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")

# A schedule whose next time cannot be computed is checked again after this.
_AGAIN = timedelta(hours=1)

# What croniter accepts besides times: hashed and random numbers.
_DRAWN = re.compile(r"\b[hr]\b", re.IGNORECASE)

_EXAMPLE = '"0 3 * * *" is every night at three'


class CronError(UsageError):
    """
    The value of `--cron` names no times.
    """

    def __init__(self, given: str, reason: str) -> None:
        self.given, self.reason = given, reason
        super().__init__(f"--cron {given!r}: {reason}", help=_EXAMPLE)


class ScheduleExistsError(UsageError):
    """
    There is a schedule of this name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"schedule {name!r} already exists",
            help=f"oaflow schedule remove {name}, or another name with --name",
        )


class NoSuchScheduleError(UsageError):
    """
    There is no schedule of this name.
    """

    def __init__(self, name: str, known: list[str]) -> None:
        self.name, self.known = name, known
        super().__init__(
            f"there is no schedule {name!r}",
            help=f"there are: {', '.join(known)}" if known else "oaflow schedule list",
        )


@dataclass(frozen=True, slots=True)
class Ticked:
    """
    A tick was taken: `run` was started for it, or none was, because of `problem`.
    """

    schedule: str
    run: str | None
    problem: str | None = None


def next_tick(cron: str, zone: str, after: datetime) -> datetime:
    """
    The first time after another that a cron expression names, in a zone. Pure.

    When the clock is set back, an hour comes twice. As in cron, schedules with fixed hours then run only in the first
    of them, and those that run every hour, or every few minutes, in both.

    Raises:
        CronError: it names no times, or is not valid.
    """
    from croniter import CroniterError, croniter  # here alone, of a module that `run` loads, too

    try:
        there = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"there is no time zone {zone!r}", help="--timezone Europe/Berlin") from error
    fields = cron.lower().split()
    if cron.startswith("@"):
        if cron.lower() not in _NAMES:
            raise CronError(cron, f"by name there are {', '.join(_NAMES[:-1])} or {_NAMES[-1]}")
    elif len(fields) != 5:
        raise CronError(cron, "it has five fields: minute, hour, day, month, weekday")
    elif drawn := _DRAWN.search(cron):
        raise CronError(cron, f"{drawn[0]!r} names no fixed time")
    each_hour = cron.lower() == "@hourly" or any(field.startswith("*") for field in fields[:2])
    try:
        ticks = croniter(cron, after.astimezone(there))
        while True:
            tick = ticks.get_next(datetime)
            if each_hour or tick.utcoffset() == tick.replace(fold=0).utcoffset():
                return tick
    except (CroniterError, ValueError, KeyError) as error:
        raise CronError(cron, str(error)) from error


def add(
    settings: Settings,
    program: Program,
    request: Request,
    *,
    cron: str,
    zone: str,
    name: str | None = None,
    now: datetime | None = None,
) -> Schedule:
    """
    Schedule a checked pipeline, as it is now, with these values.

    Raises:
        UsageError: the pipeline, a value, the times or the name is wrong.
    """
    plan = program.checked()
    table_name(request.dataset)
    precheck(plan, request)
    wanted = name or f"{plan.pipeline}-{request.dataset}"
    with connection(settings) as made:
        values, _ = settle(plan, program.source, request, last_run(made, plan.pipeline, request.dataset))
        bound_for_run(plan, values)
        store_plan(made, plan.digest, plan.format, plan.pipeline, plan.canonical())
        added = ledger.add(
            made,
            wanted,
            pipeline=plan.pipeline,
            plan=plan.digest,
            dataset=request.dataset,
            params=values,
            folders=[os.fspath(folder) for folder in request.folders],
            places=program.places(),
            cron=cron,
            zone=zone,
            due_at=next_tick(cron, zone, now or datetime.now(UTC)),
        )
        if not added:
            raise ScheduleExistsError(wanted)
        remember(settings, made)
        return _wanted(made, wanted)


def list_schedules(*, settings: Settings | None = None) -> list[Schedule]:
    """
    All schedules, ordered by when they are next due.
    """
    with connection(or_environment(settings)) as made:
        return ledger.schedules(made)


def pause_schedule(name: str, *, settings: Settings | None = None) -> Schedule:
    """
    Pauses a schedule: it begins no runs until it is resumed. A run that it has already begun goes on.

    Raises:
        NoSuchScheduleError: there is no schedule of this name.
    """
    with connection(or_environment(settings)) as made:
        ledger.pause(made, name)
        return _wanted(made, name)


def resume_schedule(name: str, *, settings: Settings | None = None) -> Schedule:
    """
    Resumes a paused schedule, from its next time on. Times that passed while it was paused are skipped.

    Raises:
        NoSuchScheduleError: there is no schedule of this name.
    """
    with connection(or_environment(settings)) as made:
        found = _wanted(made, name)
        ledger.resume(made, name, next_tick(found.cron, found.zone, found.asked_at))
        return _wanted(made, name)


def remove_schedule(name: str, *, settings: Settings | None = None) -> None:
    """
    Removes a schedule. A run that it has already begun goes on.

    Raises:
        NoSuchScheduleError: there is no schedule of this name.
    """
    known = or_environment(settings)
    with connection(known) as made:
        _wanted(made, name)
        ledger.remove(made, name)
        remember(known, made)


def _wanted(made: Connection[Any], name: str) -> Schedule:
    known = {one.name: one for one in ledger.schedules(made)}
    if name not in known:
        raise NoSuchScheduleError(name, list(known))
    return known[name]


def begin_due(opened: Database) -> Iterator[Ticked]:
    """
    Take the ticks that have passed, and start their runs.
    """
    with opened.connect() as made:
        for schedule in ledger.schedules(made, due=True):
            # No command follows the runs of a schedule to their end. If the store is away, or a later version has made
            # their plans, more is done again.
            with suppress(OaflowError), store_of(opened.settings, opened.address.uri) as store:
                settle_all(made, store, schedule.dataset, schedule.pipeline)
            ticked = _tick(opened, made, schedule)
            if ticked is not None:
                yield ticked


def as_json(schedule: Schedule) -> ScheduleJson:
    """
    The public form.
    """
    return {
        "name": schedule.name,
        "pipeline": schedule.pipeline,
        "plan": schedule.plan,
        "dataset": schedule.dataset,
        "params": dict(schedule.params),
        "folders": schedule.folders,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "due_at": schedule.due_at.isoformat(),
        "last_at": schedule.last_at.isoformat() if schedule.last_at else None,
        "last_run": schedule.last_run,
        "problem": schedule.problem,
        "paused_at": schedule.paused_at.isoformat() if schedule.paused_at else None,
    }


def _tick(opened: Database, made: Connection[Any], schedule: Schedule) -> Ticked | None:
    untold: OaflowError | None = None
    try:
        following = next_tick(schedule.cron, schedule.zone, max(schedule.asked_at, schedule.due_at))
    except UsageError as error:  # as of a zone that this machine does not know: the worker and other schedules go on
        following, untold = schedule.asked_at + _AGAIN, error
    try:
        with made.transaction():
            if not ledger.take(made, schedule.name, schedule.due_at, following):
                return None  # another worker has it
            if untold is not None:
                raise untold
            old = unfinished(made, schedule.pipeline, schedule.dataset)
            if old is not None:
                raise UsageError(f"run {old.id} had not ended ({old.state})")
            run = _begun(opened, made, schedule)
            ledger.note(made, schedule.name, run=run)
            return Ticked(schedule.name, run)
    except OaflowError as error:
        with made.transaction():
            if not ledger.take(made, schedule.name, schedule.due_at, following):
                return None
            ledger.note(made, schedule.name, problem=str(error))
        return Ticked(schedule.name, None, str(error))


def _begun(opened: Database, made: Connection[Any], schedule: Schedule) -> str:
    stored = stored_plan(made, schedule.plan)
    if stored is None:
        raise UsageError("its plan is gone")
    plan = Plan.read(stored.definition)
    request = Request(schedule.dataset, folders=tuple(map(Path, schedule.folders)))
    bound = bound_for_run(plan, schedule.params, places=schedule.places)
    return begin(opened, made, plan, bound, request, schedule.params).run


def late(schedule: Schedule) -> timedelta:
    """
    How long a tick has waited for a worker; the tick of a paused schedule does not wait.
    """
    return max(schedule.asked_at - schedule.due_at, timedelta()) if schedule.paused_at is None else timedelta()
