"""
`oaflow webhook`: tells an address over HTTP that a run has ended, signed as in Standard Webhooks
(www.standardwebhooks.com).

What is to be told is written down by the database in the transaction that ends the run. A supervisor of workers takes
one after the other, and sends it; where it is killed in between, another one does, under the same id.
"""

import base64
import binascii
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from pydantic import SecretStr

from oaflow import __version__
from oaflow.errors import EnvironmentProblem, UsageError
from oaflow.ledger import webhooks as ledger
from oaflow.ledger.webhooks import Delivery, Webhook
from oaflow.operations.completing import remember
from oaflow.operations.databases import Database, connection
from oaflow.printed.operating import Webhook as WebhookJson
from oaflow.printed.operating import WebhookTried as TriedJson
from oaflow.settings import Settings, or_environment

# Seconds from one attempt to the next, as Standard Webhooks advises: three days in all. Then it is given up.
DELAYS = (5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)

# Seconds that an answer may take in all; and for which nobody else takes what somebody is sending.
TIME_LIMIT = 15.0
_HOLD = 60.0

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_GONE = 410


class NoSuchWebhookError(UsageError):
    """
    There is no webhook of this name.
    """

    def __init__(self, name: str, known: list[str]) -> None:
        self.name, self.known = name, known
        super().__init__(
            f"there is no webhook {name!r}",
            help=f"there are: {', '.join(known)}" if known else "oaflow webhook add https://...",
        )


class WebhookSecretError(EnvironmentProblem):
    """
    There is nothing to sign with, or what there is is none. It is not shown.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"OAFLOW_WEBHOOK_SECRET {reason}", help=f"export OAFLOW_WEBHOOK_SECRET={_PREFIX}...")


@dataclass(frozen=True, slots=True)
class Told:
    """
    What came of one attempt: `problem` is None where it was accepted.
    """

    webhook: str
    run: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Tried:
    """
    The result of an example message.

    Attributes:
        problem: why it was not accepted; None if it was.
        again: how many messages about ends of runs will be sent again.
    """

    webhook: str
    problem: str | None
    again: int

    def as_json(self) -> TriedJson:
        """
        The public form.
        """
        return {"webhook": self.webhook, "problem": self.problem, "again": self.again}


def new_secret() -> str:
    """
    One that nobody has.
    """
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def keys_of(secret: SecretStr | None) -> tuple[bytes, ...]:
    """
    What is signed with: one, or the new and the old one while they change.

    Raises:
        WebhookSecretError: there is none, or it is not written as one.
    """
    if secret is None or not secret.get_secret_value().split():
        raise WebhookSecretError("is not set: receivers could not tell that a message comes from oaflow")
    return tuple(map(_key_of, secret.get_secret_value().split()))


def _key_of(secret: str) -> bytes:
    with suppress(binascii.Error, ValueError):
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        if secret.startswith(_PREFIX) and len(key) in _KEY_BYTES:
            return key
    raise WebhookSecretError(f"is not {_PREFIX} and 24 to 64 bytes in base64")


def signed(keys: tuple[bytes, ...], id: str, moment: int, body: str) -> dict[str, str]:
    """
    The headers that say who sent a body, and when. Pure.

    Args:
        moment: seconds since 1970.
    """
    content = f"{id}.{moment}.{body}".encode()
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def delay_after(attempts: int, status: int | None) -> float | None:
    """
    Seconds until the next attempt, with up to a fifth more by chance, so that not all come at once; None: given up.

    Args:
        status: of the answer. Who is gone says that he wants no more.
    """
    if status == _GONE or attempts > len(DELAYS):
        return None
    return DELAYS[attempts - 1] * (1 + secrets.randbelow(1000) / 5000)


def shown(url: str) -> str:
    """
    An address without what may be a secret: all that stands behind the host. Chats have the key in the path.
    """
    parts = urlsplit(url)
    more = parts.path.strip("/") or parts.query
    return urlunsplit(parts._replace(path="/..." if more else "", query="", fragment=""))


def add_webhook(
    url: str, *, name: str | None = None, pipeline: str | None = None, settings: Settings | None = None
) -> Webhook:
    """
    Adds a webhook: from now on an address is told when a run is finished, incomplete or cancelled. Workers send the
    message, signed with `OAFLOW_WEBHOOK_SECRET`, at least once for each end of a run.

    Args:
        name: of the webhook; None: the host of the address.
        pipeline: tell only the ends of runs of this pipeline; None: of all.

    Raises:
        UsageError: the address or the name is wrong.
    """
    _check_url(url)
    wanted = name or (urlsplit(url).hostname or "").lower()
    if not _NAME.fullmatch(wanted):
        raise UsageError(f"{wanted!r} is not a valid name for a webhook", help="--name my-hook")
    known = or_environment(settings)
    with connection(known) as made:
        if not ledger.add(made, wanted, url, pipeline):
            raise UsageError(
                f"webhook {wanted!r} already exists",
                help=f"oaflow webhook remove {wanted}, or another name with --name",
            )
        remember(known, made)
        return _wanted(made, wanted)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good or any(ord(letter) <= 32 for letter in url):
        raise UsageError(
            "a webhook is an address such as https://example.org/hook", help="oaflow webhook add https://..."
        )
    if parts.username is not None or parts.password is not None:
        # It would be shown by `list`, and stand in the database; and what is sent is signed.
        raise UsageError(
            "the address of a webhook has a user or password in it", help="leave it out: messages are signed"
        )


def list_webhooks(*, settings: Settings | None = None) -> list[Webhook]:
    """
    All webhooks, by name, with the number of messages that are still to be sent.
    """
    with connection(or_environment(settings)) as made:
        return ledger.webhooks(made)


def remove_webhook(name: str, *, settings: Settings | None = None) -> None:
    """
    Removes a webhook, and the messages that it has not been sent yet.

    Raises:
        NoSuchWebhookError: there is no webhook of this name.
    """
    known = or_environment(settings)
    with connection(known) as made:
        if not ledger.remove(made, name):
            raise NoSuchWebhookError(name, [one.name for one in ledger.webhooks(made)])
        remember(known, made)


def try_webhook(name: str, *, settings: Settings | None = None) -> Tried:
    """
    Sends an example message to a webhook, now. If it is accepted, workers also send what the webhook has not received
    yet, including messages that were given up.

    Raises:
        NoSuchWebhookError: there is no webhook of this name.
        EnvironmentProblem: there is no secret to sign with.
    """
    known = or_environment(settings)
    keys = keys_of(known.webhook_secret)
    with connection(known) as made:
        webhook = _wanted(made, name)
        body = json.dumps({"type": "test", "timestamp": datetime.now(UTC).isoformat(), "data": {}})
        problem, _ = send(keys, webhook.url, str(uuid4()), body)
        return Tried(name, problem, ledger.again(made, name) if problem is None else 0)


def _wanted(made: psycopg.Connection[Any], name: str) -> Webhook:
    found = {one.name: one for one in ledger.webhooks(made)}
    if name not in found:
        raise NoSuchWebhookError(name, list(found))
    return found[name]


def as_json(webhook: Webhook) -> WebhookJson:
    """
    The public form.
    """
    return {
        "name": webhook.name,
        "url": shown(webhook.url),
        "pipeline": webhook.pipeline,
        "created_at": webhook.created_at.isoformat(),
        "last_at": webhook.last_at.isoformat() if webhook.last_at else None,
        "problem": webhook.problem,
        "waiting": webhook.waiting,
        "given_up": webhook.given_up,
        "seconds": webhook.seconds,
    }


def send(keys: tuple[bytes, ...], url: str, id: str, body: str) -> tuple[str | None, int | None]:
    """
    One attempt.

    Returns:
        why it was not accepted, or None; and the status of the answer, or None where there was none in time.
    """
    from requests import RequestException, post  # here alone, of a module that `run` loads, too

    answer: list[int | str] = []
    headers = {"content-type": "application/json", "user-agent": f"oaflow/{__version__}"}
    headers |= signed(keys, id, int(time.time()), body)

    def attempt() -> None:
        try:
            with post(
                url, body.encode(), headers=headers, timeout=TIME_LIMIT, allow_redirects=False, stream=True
            ) as got:
                answer.append(got.status_code)
        except (RequestException, OSError, ValueError) as problem:
            answer.append(_reason(problem))

    # In a thread, as the library's limit is of each packet: a server that sends a byte a second would hold the rest up.
    thread = threading.Thread(target=attempt, name="oaflow webhook", daemon=True)
    thread.start()
    thread.join(TIME_LIMIT)
    match answer:
        case [int(status)] if 200 <= status < 300:
            return None, status
        case [int(status)] if 300 <= status < 400:
            return f"answered {status}, a redirect, which is not followed", status
        case [int(status)]:
            return f"answered {status}", status
        case [str(reason)]:
            return reason, None
        case _:
            return f"no answer within {TIME_LIMIT:g} s", None


def _reason(problem: Exception) -> str:
    # Not the library's own text: it has the address in it, with what may be a secret.
    from requests.exceptions import ConnectionError, SSLError, Timeout

    match problem:
        case SSLError():
            return "its certificate is not valid"
        case Timeout():
            return f"no answer within {TIME_LIMIT:g} s"
        case ConnectionError():
            return "it refused or closed the connection"
        case _:
            return f"sending failed ({type(problem).__name__})"


def deliver(opened: Database, *, until: float = float("inf")) -> Iterator[Told]:
    """
    Sends what is due, one after the other, until nothing is. Where there is no secret here it is left to others.

    Args:
        until: not begun after this moment of the monotonic clock.
    """
    try:
        keys = keys_of(opened.settings.webhook_secret)
    except WebhookSecretError:
        return
    with opened.connect("oaflow webhooks") as made:
        while time.monotonic() < until and (delivery := ledger.take(made, _HOLD)) is not None:
            yield _delivered(made, keys, delivery)


def _delivered(made: psycopg.Connection[Any], keys: tuple[bytes, ...], delivery: Delivery) -> Told:
    problem, status = send(keys, delivery.url, str(delivery.id), delivery.body)
    if problem is None:
        ledger.accepted(made, delivery)
    else:
        ledger.refused(made, delivery, problem, delay_after(delivery.attempts, status))
    return Told(delivery.webhook, delivery.run, problem)
