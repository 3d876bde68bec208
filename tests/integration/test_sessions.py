"""
A server with jit, as most are: no session of oaflow's uses it, as it would compile each claim anew.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oaflow.entities.store import EntityStore
from oaflow.operations.browsing import Desk
from oaflow.operations.databases import Database, Link
from oaflow.postgres import Address
from oaflow.runtime.app import make_app
from oaflow.settings import Settings

ASK = "SHOW jit"


def of_commands(database: Database) -> Any:
    with database.connect() as connection:
        return connection.execute(ASK).fetchone()


def of_what_follows_runs(database: Database) -> Any:
    link = Link(database, "oaflow test")
    try:
        return link.get().execute(ASK).fetchone()
    finally:
        link.close()


def of_pages(database: Database) -> Any:
    with Desk(database, program="oaflow test") as desk, desk.connection() as connection:
        return connection.execute(ASK).fetchone()


def of_stores(database: Database) -> Any:
    with EntityStore(database.address.uri) as store:
        store.datasets()
        assert store._connection is not None
        return store._connection.execute(ASK).fetchone()


def of_workers(database: Database) -> Any:
    async def asked() -> Any:
        async with make_app(database.address.uri).open_async() as app:
            pool: Any = app.connector
            async with pool.pool.connection() as connection:
                return await (await connection.execute(ASK)).fetchone()

    return asyncio.run(asked())


@pytest.mark.parametrize("session", [of_commands, of_what_follows_runs, of_pages, of_stores, of_workers])
def test_no_session_compiles_statements(
    session: Callable[[Database], tuple[str]], database: str, tmp_path: Path
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database()); END $$")
    with psycopg.connect(database) as connection:
        assert connection.execute(ASK).fetchone() == ("on",)

    found = session(Database(Address(database, None, False), Settings(home=tmp_path, db_uri=database)))

    assert next(iter(found.values() if isinstance(found, dict) else found)) == "off"


def test_no_function_that_may_not_read_whole_tables_is_compiled(database: str) -> None:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT p.proname, 'jit=off' = ANY (p.proconfig) FROM pg_proc p"
            " WHERE p.pronamespace = 'oaflow'::regnamespace AND 'enable_seqscan=off' = ANY (p.proconfig)"
        ).fetchall()

    assert {"fetch_v3", "complete_v1"} <= {name for name, _ in found}
    assert [name for name, without in found if not without] == []
