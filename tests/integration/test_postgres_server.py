"""
The private server: shared by commands, started by the first, stopped by the last, whatever happens in between.
"""

import psycopg

from oaflow.postgres import check, migrate, open_database
from oaflow.postgres.server import Server
from oaflow.settings import Settings


def test_a_new_home_becomes_a_migrated_database(home):
    with open_database(Settings()) as address, psycopg.connect(address.uri) as connection:
        assert connection.execute("SELECT count(*) FROM oaflow.runs").fetchone() == (0,)


def test_a_database_of_a_test_is_migrated(database):
    assert check(database).pending == ()
    assert migrate(database, own=True) == []


def test_the_server_runs_while_somebody_uses_it(home):
    with Server(home) as first:
        with Server(home):
            pass
        psycopg.connect(first.address.uri).close()
    assert not (home / "postgres" / "data" / "postmaster.pid").exists()
