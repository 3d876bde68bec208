"""
Names for shell completion. It starts no server, and waits for none longer than a second. Because the private server
stops with the last command, its names are kept in a file.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, TypedDict

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from oaflow.ledger.statements import sql
from oaflow.postgres.address import locate
from oaflow.settings import Settings

# In OAFLOW_HOME.
_FILE = "names.json"

Kind = Literal["runs", "datasets", "stages", "causes", "schedules", "webhooks", "limits"]


class _Run(TypedDict):
    run: str
    dataset: str
    stages: list[str]
    tasks: list[str]
    causes: list[str]


class _Names(TypedDict):
    runs: Sequence[_Run]
    schedules: list[str]
    webhooks: list[str]
    limits: list[str]


def names(settings: Settings, kind: Kind, run: str | None = None) -> list[str]:
    """
    The names of a kind.

    Args:
        run: the run whose stages or causes to list; None for the latest.

    Raises:
        psycopg.Error: the database does not answer, or is not oaflow's.
        OSError: no names of the private server are kept.
    """
    address = locate(settings)
    if address.embedded:
        known = json.loads((settings.home / _FILE).read_bytes())
    else:
        with psycopg.connect(
            address.uri, autocommit=True, application_name="oaflow completion", connect_timeout=1
        ) as connection:
            known = _read(connection)
    return _of_kind(known, kind, run)


def remember(settings: Settings, connection: Connection[Any]) -> None:
    """
    Keep the names of the private server. If that fails, completion offers less.
    """
    if not locate(settings).embedded:
        return
    file = settings.home / _FILE
    aside = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError, psycopg.Error):
        aside.write_text(json.dumps(_read(connection)), "utf-8")
        aside.replace(file)


def _read(connection: Connection[Any]) -> _Names:
    with connection.cursor(row_factory=dict_row) as cursor:
        known: Any = cursor.execute(sql("names_of_settings")).fetchone()
        return known | {"runs": cursor.execute(sql("names")).fetchall()}


def _of_kind(known: _Names, kind: Kind, run: str | None) -> list[str]:
    runs = known["runs"]
    match kind:
        case "runs":
            return [one["run"] for one in runs]
        case "datasets":
            return sorted({one["dataset"] for one in runs})
        case "stages" | "causes":
            return next((one[kind] for one in runs if run in (None, one["run"])), [])
        case "limits":  # tasks that are limited, and tasks that may be
            return sorted({*known["limits"], *(task for one in runs for task in one["tasks"])})
        case "schedules" | "webhooks":
            return known[kind]
