"""
The history has a partition for each of the coming days, and needs none.
"""

from typing import Any

import psycopg
import pytest


@pytest.fixture
def connection(database: str):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def partitions(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'oaflow.hops'::regclass"
    )
    return {name for (name,) in rows.fetchall()}


def test_a_fresh_database_has_partitions_for_today_and_the_coming_week(connection):
    assert len(partitions(connection)) == 1 + 8


def test_rows_go_to_the_partition_of_their_day_and_without_one_to_the_default(connection):
    for at in ("now()", "now() + interval '40 days'", "now() - interval '40 days'"):
        connection.execute(f"INSERT INTO oaflow.hops (at, run, outcome) VALUES ({at}, 'r', 'done')")
    default = connection.execute("SELECT count(*) FROM oaflow.hops_default").fetchone()
    assert default == (2,)


def test_a_day_that_the_default_partition_has_rows_of_gets_none_and_the_others_do(connection):
    connection.execute("INSERT INTO oaflow.hops (at, run, outcome) VALUES (now() + interval '10 days', 'r', 'done')")
    before = partitions(connection)
    made = connection.execute("SELECT count(*) FROM oaflow.partitions_v1(12)").fetchone()
    assert made == (4,)  # days 8, 9, 11 and 12
    assert len(partitions(connection) - before) == 4


def test_making_them_again_makes_nothing(connection):
    assert connection.execute("SELECT count(*) FROM oaflow.partitions_v1(7)").fetchone() == (0,)


def test_each_partition_has_the_index_of_the_history(connection):
    rows = connection.execute(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'oaflow' AND indexdef LIKE '%USING btree (run, job)%'"
        " AND tablename LIKE 'hops_%'"
    ).fetchone()
    assert rows == (9,)
