"""
The history of a run by pages, on a real server: how much is read for one.
"""

import re
from typing import Any

import psycopg

from oaflow.ledger import history
from oaflow.ledger.statements import sql

# Of many jobs a line each, and of one job many, as a stream has them; half lies in the partition of today.
JOBS, CHUNKS = 20_000, 5_000
LINES = 500


def filled(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO oaflow.hops (at, run, stage, job, outcome, documents)"
        " SELECT now() - CASE WHEN n %% 2 = 0 THEN interval '300 days' ELSE '0' END, 'r', 'a', n, 'done',"
        " ARRAY['d' || n]"
        " FROM generate_series(1, %s) n",
        [JOBS],
    )
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome) SELECT 'r', 'a', %s, 'chunk' FROM generate_series(1, %s)",
        [JOBS // 2, CHUNKS],
    )
    connection.execute("INSERT INTO oaflow.hops (run, outcome) SELECT 'r', 'root' FROM generate_series(1, 3)")
    connection.execute("ANALYZE oaflow.hops")


def test_a_page_in_the_middle_of_a_history_reads_little_more_than_it_shows(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        filled(connection)
        values = {"run": "r", "stage": None, "outcome": None, "document": None, "whole": False, "low": JOBS * 3 // 4}
        values |= {"high": 2**63 - 1, "at": history.START.at, "part": 0, "place": "(0,0)", "lines": LINES}
        plan = connection.execute(b"EXPLAIN (ANALYZE, TIMING OFF) " + sql("hops").encode(), values).fetchall()
    text = "\n".join(line for (line,) in plan)

    read = [int(rows) for rows in re.findall(r"Index Scan.*actual rows=(\d+)", text)]
    assert read, text
    assert sum(read) < 3 * LINES, text
    assert "Seq Scan" not in text, text


def test_all_of_it_comes_once_whatever_was_written_at_one_moment(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        filled(connection)
        seen: list[history.Hop] = []
        after, pages = None, 0
        while True:
            page = history.hops(connection, "r", after=after)
            seen += page.hops
            pages += 1
            if (after := page.next) is None:
                break

    assert len({hop.id for hop in seen}) == len(seen) == JOBS + CHUNKS + 3
    assert [hop.job or 0 for hop in seen] == sorted(hop.job or 0 for hop in seen)
    assert pages == (JOBS + CHUNKS + 3) // history.LINES + 1
