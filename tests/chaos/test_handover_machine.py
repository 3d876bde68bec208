from typing import Any

import psycopg
import pytest

from oaflow.postgres.events import write_events
from tests.chaos.handover_machine import run_machine

# Breaks the SQL on purpose: (function, what stands there, what is put in its place).
MUTATIONS = {
    "without the guard on successors": (
        "complete_v1",
        "JOIN lk ON lk.id = u.parent",
        "LEFT JOIN lk ON true",
    ),
    "without that guard where all is done": (
        "complete_done_v1",
        "JOIN lk ON lk.id = u.parent",
        "LEFT JOIN lk ON true",
    ),
    "with a late result taken for one that is sent again": (
        "complete_v1",
        "ELSE j.status::text IN ('succeeded', 'failed', 'aborted') END",
        "ELSE true END",
    ),
}


def broken(connection: psycopg.Connection[Any], function: str, old: str, new: str) -> None:
    """
    Puts something else in a function's place.
    """
    row = connection.execute(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'oaflow' AND p.proname = %s",
        (function,),
    ).fetchone()
    assert row is not None
    assert old in row[0], "the mutation no longer fits the function"
    connection.execute(row[0].replace(old, new))  # pyright: ignore


@pytest.mark.timeout(1200)  # half a minute, where nothing else runs
def test_no_interleaving_loses_or_doubles_a_handover(database: str):
    with psycopg.connect(database, autocommit=True) as connection:
        run_machine(connection)


@pytest.mark.timeout(1200)
def test_nor_does_one_where_workers_are_not_looked_for(database: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OAFLOW_MACHINE", "60x50")
    with psycopg.connect(database, autocommit=True) as connection:
        write_events(connection, False)
        run_machine(connection)


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_machine_notices_a_broken_handover(database: str, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OAFLOW_MACHINE", "300x50")
    with psycopg.connect(database, autocommit=True) as connection:
        broken(connection, *MUTATIONS[name])
        with pytest.raises(BaseException):  # noqa: B017, PT011 - any broken law will do
            run_machine(connection, shrink=False)
