"""
Schedules: which there are, and when each is next due. `operations/scheduling` computes these times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row, tuple_row

from oaflow.ledger.statements import sql

# Seconds after which a tick, or the end of a run that is to be told, is late. A worker looks with each heartbeat.
LATE = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A schedule.

    Attributes:
        plan: digest of the plan that is run: that of the pipeline's file when the schedule was added.
        places: where its expressions are written, by stage.
        due_at: the next time (tick) for which no run has begun.
        last_at: the tick before that. `last_run` was begun for it, or nothing was, because of `problem`.
        paused_at: since when it is paused; None if it is not.
        asked_at: the time of the database when this was read.
    """

    name: str
    pipeline: str
    plan: str
    dataset: str
    params: dict[str, Any]
    folders: list[str]
    places: dict[str, dict[str, str]]
    cron: str
    zone: str
    due_at: datetime
    last_at: datetime | None
    last_run: str | None
    problem: str | None
    paused_at: datetime | None
    asked_at: datetime


def schedules(connection: Connection[Any], *, due: bool = False) -> list[Schedule]:
    """
    All schedules, or those that are not paused and of which a tick has passed.
    """
    with connection.cursor(row_factory=class_row(Schedule)) as cursor:
        return cursor.execute(sql("schedules"), {"due": due}).fetchall()


async def any_due(connection: AsyncConnection[Any]) -> bool:
    """
    Whether a tick has passed that nobody has taken, or the end of a run is to be told.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql("any_due"))
        row = await cursor.fetchone()
        return row is not None and bool(row[0])


def add(
    connection: Connection[Any],
    name: str,
    *,
    pipeline: str,
    plan: str,
    dataset: str,
    params: Mapping[str, Any],
    folders: Sequence[str],
    places: Mapping[str, Mapping[str, str]],
    cron: str,
    zone: str,
    due_at: datetime,
) -> bool:
    """
    Adds a schedule.

    Returns:
        whether the name was free.
    """
    values = {
        "name": name,
        "pipeline": pipeline,
        "plan": plan,
        "dataset": dataset,
        "params": orjson.dumps(dict(params), default=str).decode(),
        "folders": list(folders),
        "places": orjson.dumps({stage: dict(of) for stage, of in places.items()}).decode(),
        "cron": cron,
        "zone": zone,
        "due_at": due_at,
    }
    return connection.execute(sql("schedule_add"), values).fetchone() is not None


def take(connection: Connection[Any], name: str, taken: datetime, due_at: datetime) -> bool:
    """
    Takes a tick, and says which is the next. To be called in the transaction that does what is due.

    Returns:
        whether it was there to be taken: of several one alone has it.
    """
    values = {"name": name, "taken": taken, "due_at": due_at}
    return connection.execute(sql("schedule_take"), values).fetchone() is not None


def note(connection: Connection[Any], name: str, *, run: str | None = None, problem: str | None = None) -> None:
    """
    Says what came of the tick that was taken.
    """
    connection.execute(sql("schedule_note"), {"name": name, "run": run, "problem": problem})


def pause(connection: Connection[Any], name: str) -> None:
    """
    Keeps a schedule from beginning runs. What it has begun goes on.
    """
    connection.execute(sql("schedule_pause"), {"name": name})


def resume(connection: Connection[Any], name: str, due_at: datetime) -> None:
    """
    Has a paused schedule begin runs again.

    Args:
        due_at: its next tick.
    """
    connection.execute(sql("schedule_resume"), {"name": name, "due_at": due_at})


def remove(connection: Connection[Any], name: str) -> None:
    """
    Takes a schedule out. What it has begun goes on.
    """
    connection.execute(sql("schedule_remove"), {"name": name})
