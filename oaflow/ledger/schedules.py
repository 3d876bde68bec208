"""
Schedules, and when each is next due. `operations/scheduling` computes these times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncConnection, Connection
from psycopg.rows import class_row, tuple_row

from oaflow.ledger.statements import sql

# Seconds after which a tick or a webhook is late. Workers check at each heartbeat.
LATE = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    A schedule.

    Attributes:
        plan: digest of the plan that it runs: that of the pipeline's file when the schedule was added.
        places: where its expressions are written, by stage.
        due_at: the next time (tick) for which no run has started.
        last_at: the tick before that. `last_run` was started for it, or none was, because of `problem`.
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
    All schedules, or only those that are due: not paused, and with a tick that has passed.
    """
    with connection.cursor(row_factory=class_row(Schedule)) as cursor:
        return cursor.execute(sql("schedules"), {"due": due}).fetchall()


async def any_due(connection: AsyncConnection[Any]) -> bool:
    """
    Whether a tick has passed that no worker has taken, or a webhook is due.
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
    Take a tick, and record the next one. Call this in the transaction that does the scheduled work.

    Returns:
        whether it could be taken: of several callers, only one gets it.
    """
    values = {"name": name, "taken": taken, "due_at": due_at}
    return connection.execute(sql("schedule_take"), values).fetchone() is not None


def note(connection: Connection[Any], name: str, *, run: str | None = None, problem: str | None = None) -> None:
    """
    Record the result of a taken tick.
    """
    connection.execute(sql("schedule_note"), {"name": name, "run": run, "problem": problem})


def pause(connection: Connection[Any], name: str) -> None:
    """
    Stop a schedule from starting runs. Its running runs continue.
    """
    connection.execute(sql("schedule_pause"), {"name": name})


def resume(connection: Connection[Any], name: str, due_at: datetime) -> None:
    """
    Let a paused schedule start runs again.

    Args:
        due_at: its next tick.
    """
    connection.execute(sql("schedule_resume"), {"name": name, "due_at": due_at})


def remove(connection: Connection[Any], name: str) -> None:
    """
    Remove a schedule. Its running runs continue.
    """
    connection.execute(sql("schedule_remove"), {"name": name})
