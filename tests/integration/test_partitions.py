"""
The history has a partition for each of the coming days, and needs none; what is too old goes.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from oaflow.ledger.handover import completion_values
from oaflow.ledger.runs import OPEN_STATES
from oaflow.ledger.statements import sql
from tests.integration.handovers import Book, counters, recount


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
    connection.execute("SELECT oaflow.partitions_v1(7)")  # the database may have been made before midnight
    connection.execute("INSERT INTO oaflow.hops (at, run, outcome) VALUES (now() + interval '10 days', 'r', 'done')")
    before = partitions(connection)
    made = connection.execute("SELECT count(*) FROM oaflow.partitions_v1(12)").fetchone()
    assert made == (4,)  # days 8, 9, 11 and 12
    assert len(partitions(connection) - before) == 4


def test_making_them_again_makes_nothing(connection):
    connection.execute("SELECT oaflow.partitions_v1(7)")  # the database may have been made before midnight

    assert connection.execute("SELECT count(*) FROM oaflow.partitions_v1(7)").fetchone() == (0,)


def test_each_partition_has_the_index_of_the_history(connection):
    rows = connection.execute(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'oaflow' AND indexdef LIKE '%USING btree (run, job)%'"
        " AND tablename LIKE 'hops_%'"
    ).fetchone()
    assert rows == (9,)


class OldDays:
    """
    History of days long gone: a partition for each, and rows of runs that have ended or not.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        for run, state in (("ended", "finished"), *((state, state) for state in OPEN_STATES)):
            book.sql(
                "INSERT INTO oaflow.runs (id, pipeline, plan, dataset, state) VALUES (%s, 'p', 'd', 'x', %s)",
                run,
                state,
            )

    def partition(self, ago: int) -> str:
        name, begins, ends = self.book.sql(
            "SELECT 'hops_' || to_char(day, 'YYYYMMDD'), day::text, (day + 1)::text"
            " FROM (SELECT (now() AT TIME ZONE 'UTC')::date - %s::integer AS day) o",
            ago,
        )[0]
        self.book.sql(
            f"CREATE TABLE oaflow.{name} PARTITION OF oaflow.hops"
            f" FOR VALUES FROM ('{begins} 00:00+00') TO ('{ends} 00:00+00')"
        )
        return name

    def row(self, ago: int, run: str) -> None:
        self.book.sql(
            "INSERT INTO oaflow.hops (at, run, outcome) VALUES (now() - make_interval(days => %s), %s, 'done')",
            ago,
            run,
        )

    def forget(self, days: int = 90, rows: int = 1000) -> str | None:
        return self.book.one("SELECT oaflow.forget_v1(%s, %s)", days, rows)

    def left(self) -> list[tuple[str, int]]:
        """
        Run and age in days of all rows.
        """
        return self.book.sql("SELECT run, extract(day FROM now() - at)::int FROM oaflow.hops ORDER BY 2, 1")


@pytest.fixture
def book(database: str):
    book = Book(database)
    yield book
    book.connection.close()


@pytest.fixture
def old(book: Book) -> OldDays:
    return OldDays(book)


def test_partitions_of_days_that_are_too_old_go_one_at_a_time_and_the_others_stay(old):
    names = {ago: old.partition(ago) for ago in (89, 90, 91, 200)}
    for ago in names:
        old.row(ago, "ended")

    assert [old.forget(), old.forget(), old.forget()] == [names[200], names[91], None]
    # Of the day that is 90 days ago a part is younger.
    assert old.left() == [("ended", 89), ("ended", 90)]


@pytest.mark.parametrize("state", OPEN_STATES)
def test_the_day_of_a_run_that_has_not_ended_stays_until_it_has(old, state):
    name = old.partition(100)
    old.row(100, "ended")
    old.row(100, state)
    old.row(300, state)  # in the default partition
    old.row(300, "ended")

    assert [old.forget(), old.forget()] == ["hops_default", None]
    assert old.left() == [("ended", 100), (state, 100), (state, 300)]

    old.book.sql("UPDATE oaflow.runs SET state = 'cancelled' WHERE id = %s", state)
    assert [old.forget(), old.forget(), old.forget()] == [name, "hops_default", None]
    assert old.left() == []


def test_rows_of_the_default_partition_go_in_portions(old):
    for _ in range(5):
        old.row(91, "ended")
    old.row(89, "ended")

    taken = []
    while old.forget(rows=2):
        taken.append(len(old.left()))

    assert taken == [4, 2, 1]
    assert old.left() == [("ended", 89)]


def test_what_joins_and_stages_that_collect_need_goes_with_runs_that_are_old_and_cannot_go_on(old, book):
    runs = {"old": 91, "young": 89, "to be sent again": 91, "at work": None}
    for run, ago in runs.items():
        book.sql(
            "INSERT INTO oaflow.runs (id, pipeline, plan, dataset, state, finished_at)"
            " VALUES (%s, 'p', 'd', 'x', %s, now() - make_interval(days => %s))",
            run,
            "finished" if ago else "running",
            ago,
        )
        book.sql("INSERT INTO oaflow.joins VALUES (%s, 'j', '{a}', 'q', 't', 50, '{}')", run)
        book.sql("INSERT INTO oaflow.collects VALUES (%s, 'c', 10, 1.0, '{a}', 'q', 't', 50)", run)
    book.sql(
        "INSERT INTO oaflow.failures (run, stage, job, queue, args) VALUES (%s, 'a', 1, 'q', '{}')", "to be sent again"
    )

    old.forget(90)

    kept = [("at work",), ("to be sent again",), ("young",)]
    assert book.sql("SELECT run FROM oaflow.joins ORDER BY 1") == kept
    assert book.sql("SELECT run FROM oaflow.collects ORDER BY 1") == kept


def test_history_is_kept_as_long_as_was_said(old):
    old.partition(5)
    old.row(5, "ended")

    assert old.forget(5) is None
    assert old.forget(4) is not None
    assert old.left() == []


def test_a_partition_is_left_alone_while_a_hand_over_is_at_the_history(old, book, database):
    name = old.partition(100)
    worker = book.worker()
    (job,) = book.enter(1)
    book.claim(worker)
    with psycopg.connect(database) as other:
        other.execute(sql("complete"), completion_values(worker, 0, [book.done(job)]))
        assert old.forget() is None

    assert old.forget() == name
    assert book.counters() == {"a": {"done": 1}}


def test_a_hand_over_that_comes_while_a_partition_is_dropped_waits_and_is_whole(old, book, database):
    name = old.partition(100)
    worker = book.worker()
    (job,) = book.enter(1)
    book.claim(worker)
    with (
        psycopg.connect(database) as other,
        psycopg.connect(database, autocommit=True) as looking,
        ThreadPoolExecutor() as thread,
    ):
        assert other.execute("SELECT oaflow.forget_v1(90, 1000)").fetchone() == (name,)
        handed = thread.submit(book.complete, worker, book.done(job, follow=2))
        while not looking.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
            assert not handed.done()
        other.commit()
        handed.result()

    assert book.counters() == {"a": {"done": 1}, "b": {"open": 2}}
    assert counters(book.connection, book.run) == recount(book.connection, book.run)


def test_two_workers_do_not_take_out_history_at_once(old, database):
    names = [old.partition(ago) for ago in (101, 100)]
    with psycopg.connect(database) as other:
        assert other.execute("SELECT oaflow.forget_v1(90, 1000)").fetchone() == (names[0],)
        assert old.forget() is None

    assert old.forget() == names[1]
