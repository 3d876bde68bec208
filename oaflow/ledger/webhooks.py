"""
Webhooks, and the messages that are still to be sent to them. `operations/webhooks` signs and sends.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from oaflow.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    A webhook.

    Attributes:
        pipeline: it is told of runs of this pipeline only; None: of all.
        last_at: when a message was last sent to it. It failed because of `problem`, or was accepted.
        waiting: how many messages are still to be sent; the oldest has waited for `seconds`.
        given_up: how many messages are not tried any more.
    """

    name: str
    url: str = field(repr=False)  # there may be a key in it
    pipeline: str | None
    created_at: datetime
    last_at: datetime | None
    problem: str | None
    waiting: int
    given_up: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    The end of a run, to be told to a webhook. `id` is the same in each of its `attempts`, of which this is the last.
    """

    id: UUID
    webhook: str
    url: str
    run: str
    body: str
    attempts: int


def webhooks(connection: Connection[Any]) -> list[Webhook]:
    """
    All webhooks.
    """
    with connection.cursor(row_factory=class_row(Webhook)) as cursor:
        return cursor.execute(sql("webhooks")).fetchall()


def add(connection: Connection[Any], name: str, url: str, pipeline: str | None) -> bool:
    """
    Adds a webhook; it is told of runs that end from now on.

    Returns:
        whether the name was free.
    """
    values = {"name": name, "url": url, "pipeline": pipeline}
    return connection.execute(sql("webhook_add"), values).fetchone() is not None


def remove(connection: Connection[Any], name: str) -> bool:
    """
    Takes a webhook out, with what it was not told.

    Returns:
        whether there was one.
    """
    return connection.execute(sql("webhook_remove"), {"name": name}).fetchone() is not None


def take(connection: Connection[Any], hold: float) -> Delivery | None:
    """
    Takes what has been due for longest.

    Args:
        hold: seconds for which nobody else takes it.
    """
    with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(sql("delivery_take"), {"hold": hold}).fetchone()


def accepted(connection: Connection[Any], delivery: Delivery) -> None:
    """
    It was told.
    """
    connection.execute(sql("delivery_accepted"), {"id": delivery.id})


def refused(connection: Connection[Any], delivery: Delivery, problem: str, delay: float | None) -> None:
    """
    It was not.

    Args:
        delay: seconds until it is tried again; None: it is given up.
    """
    connection.execute(
        sql("delivery_refused"),
        {"id": delivery.id, "attempts": delivery.attempts, "problem": problem, "delay": delay},
    )


def again(connection: Connection[Any], name: str) -> int:
    """
    What a webhook was not told is due now.

    Returns:
        how much that is.
    """
    return connection.execute(sql("deliver_again"), {"name": name}).rowcount
