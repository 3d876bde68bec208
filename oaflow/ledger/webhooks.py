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
        pipeline: the only pipeline whose runs it reports; None: all.
        last_at: when a message was last sent to it. It failed because of `problem`, or was accepted.
        waiting: how many messages are still to be sent; the oldest has waited for `seconds`.
        given_up: how many messages were given up.
    """

    name: str
    url: str = field(repr=False)  # it may contain a key
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
    A message about the end of a run to a webhook. `id` is the same in all of its `attempts`, of which this is the last.
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
    Add a webhook; it is notified of runs that end from now on.

    Returns:
        whether the name was free.
    """
    values = {"name": name, "url": url, "pipeline": pipeline}
    return connection.execute(sql("webhook_add"), values).fetchone() is not None


def remove(connection: Connection[Any], name: str) -> bool:
    """
    Remove a webhook, with its unsent messages.

    Returns:
        whether there was one.
    """
    return connection.execute(sql("webhook_remove"), {"name": name}).fetchone() is not None


def take(connection: Connection[Any], hold: float) -> Delivery | None:
    """
    Take the message that has been due longest.

    Args:
        hold: for how many seconds no other sender takes it.
    """
    with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(sql("delivery_take"), {"hold": hold}).fetchone()


def accepted(connection: Connection[Any], delivery: Delivery) -> None:
    """
    The message was accepted.
    """
    connection.execute(sql("delivery_accepted"), {"id": delivery.id})


def refused(connection: Connection[Any], delivery: Delivery, problem: str, delay: float | None) -> None:
    """
    The message was not accepted.

    Args:
        delay: seconds until it is tried again; None: it is given up.
    """
    connection.execute(
        sql("delivery_refused"),
        {"id": delivery.id, "attempts": delivery.attempts, "problem": problem, "delay": delay},
    )


def again(connection: Connection[Any], name: str) -> int:
    """
    Make all unsent messages of a webhook due now.

    Returns:
        how many there are.
    """
    return connection.execute(sql("deliver_again"), {"name": name}).rowcount
