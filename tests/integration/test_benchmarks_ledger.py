"""
What the benchmarks know of the tables and functions of the ledger.
"""

import psycopg
import pytest

from benchmarks import floor
from benchmarks.disk import KINDS, tables
from benchmarks.ground import begin, chain
from benchmarks.history import rows, without_history
from benchmarks.rates import ASYNC


def counted(database: str) -> list[tuple[str, int, int]]:
    """
    How many jobs of each stage are done, and open.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        done = connection.execute(
            "SELECT stage, sum(done)::int, sum(open)::int FROM oaflow.counters GROUP BY 1 ORDER BY 1"
        )
        return done.fetchall()


def test_hand_overs_without_history_are_the_same_but_for_their_rows(database: str) -> None:
    without_history(database)
    plan = chain(ASYNC)
    run = begin(database, plan, 20)

    floor.rate(database, plan, run)

    assert rows(database, run) == 0
    assert counted(database) == [("a", 20, 0), ("b", 20, 0), ("c", 20, 0)]


@pytest.mark.parametrize("loop", [False, True])
def test_the_statements_alone_do_all_that_a_worker_would_send(database: str, loop: bool) -> None:
    plan = chain(ASYNC)
    run = begin(database, plan, 120)  # more than a group

    floor.rate(database, plan, run, loop=loop)

    assert rows(database, run) == 3 * 120
    assert counted(database) == [("a", 120, 0), ("b", 120, 0), ("c", 120, 0)]


def test_each_kind_of_table_is_there(database: str) -> None:
    # Those of entities are made with the first dataset.
    names = [name for kind, names in KINDS.items() if kind != "entities" for name in names]

    assert [name for name in names if not any(table.startswith(name) for table in tables(database))] == []
