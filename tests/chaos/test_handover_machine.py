from typing import Any

import psycopg
import pytest

from oaflow.postgres.events import write_events
from tests.chaos.handover_machine import HandoverMachine, run_machine

# Breaks the SQL on purpose: (function, what stands there, what is put in its place), and with how many chains, and how
# many of them streams, it is noticed: a group with a part of a stream goes another way than those of which all is done.
MUTATIONS = {
    "without the guard on successors": (
        ("complete_v1", "JOIN lk ON lk.id = u.parent", "LEFT JOIN lk ON true"),
        (1, 1),
    ),
    "without that guard where all is done": (
        ("complete_done_v1", "JOIN lk ON lk.id = u.parent", "LEFT JOIN lk ON true"),
        (2, 0),
    ),
    "with a late result taken for one that is sent again": (
        ("complete_v1", "ELSE j.status::text IN ('succeeded', 'failed', 'aborted') END", "ELSE true END"),
        (1, 1),
    ),
    "with such a result taken where all is done": (
        ("complete_done_v1", "AND j.status::text IN ('succeeded', 'failed', 'aborted') THEN", "THEN"),
        (2, 0),
    ),
}


def broken(connection: psycopg.Connection[Any], function: str, old: str, new: str) -> str:
    """
    Puts something else in a function's place.

    Returns:
        what puts the function back.
    """
    row = connection.execute(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'oaflow' AND p.proname = %s",
        (function,),
    ).fetchone()
    assert row is not None
    assert old in row[0], "the mutation no longer fits the function"
    connection.execute(row[0].replace(old, new))  # pyright: ignore
    return row[0]


@pytest.mark.slow
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


def test_the_machine_notices_a_broken_handover(database: str):
    with psycopg.connect(database, autocommit=True) as connection:
        HandoverMachine.connection = connection
        for name, (mutation, (roots, streams)) in MUTATIONS.items():
            results_that_come_too_late(roots, streams)
            mended = broken(connection, *mutation)
            try:
                results_that_come_too_late(roots, streams)
            except (AssertionError, psycopg.Error):
                connection.execute(mended)  # pyright: ignore
            else:
                pytest.fail(f"nothing was noticed {name}")


def results_that_come_too_late(roots: int, streams: int) -> None:
    machine = HandoverMachine()
    machine.begin(roots, streams)
    machine.fetch(0, 4)
    machine.late(0, 4)
    machine.laws_hold()
    machine.teardown()
