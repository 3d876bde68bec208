"""
A run of which too much has failed is given up.
"""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from oaflow.ledger import handover, runs
from oaflow.ledger.runs import StopAfter
from tests.integration.handovers import Book


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    book = Book(database)
    yield book
    book.connection.close()


def failed(book: Book, failures: int, of: int) -> None:
    """
    So many jobs of a run fail, of as many as it has; one is in hand.
    """
    worker = book.worker()
    book.enter(of)
    jobs = book.claimed(worker, failures + 1)
    book.complete(worker, *(book.done(job, "failed") for job in jobs[:failures]))


def found(book: Book, documents: int) -> None:
    book.sql(
        "INSERT INTO oaflow.documents (run, document, name, kind)"
        " SELECT %s, n::text, n::text, 'found' FROM generate_series(1, %s) n",
        book.run,
        documents,
    )


def reason(book: Book) -> str | None:
    return book.one("SELECT reason FROM oaflow.runs WHERE id = %s", book.run)


@pytest.mark.parametrize(("failures", "stops"), [(2, False), (3, True), (4, True)])
def test_a_run_stops_when_so_many_have_failed(book, failures, stops):
    runs.stop_after(book.connection, book.run, StopAfter(failures=3), ["a"])
    failed(book, failures, of=6)

    assert runs.stop(book.connection, book.run) is stops
    assert book.state() == ("cancelled" if stops else "running")
    assert reason(book) == (f"stopped after {failures} failures (--stop-after 3)" if stops else None)
    # What is in hand ends, and what waited is taken out.
    assert book.counters()["a"] == {"failed": failures, "open": 1 if stops else 6 - failures}


@pytest.mark.parametrize(
    ("failures", "documents", "stops"), [(1, 11, False), (1, 10, True), (2, 21, False), (2, 20, True), (1, 0, True)]
)
def test_a_run_stops_when_so_many_percent_have_failed(book, failures, documents, stops):
    runs.stop_after(book.connection, book.run, StopAfter(percent=10), ["source"])
    found(book, documents)
    failed(book, failures, of=4)

    assert runs.stop(book.connection, book.run) is stops
    assert book.state() == ("cancelled" if stops else "running")


def test_percent_are_counted_when_all_documents_are_found(book):
    runs.stop_after(book.connection, book.run, StopAfter(percent=10), ["a"])
    failed(book, 1, of=2)
    assert not runs.stop(book.connection, book.run)  # one of its sources is still at work

    book.sql("UPDATE oaflow.runs SET sources = '{b}', sealed = false")
    assert not runs.stop(book.connection, book.run)  # and here its input is still being read

    book.sql("UPDATE oaflow.runs SET sealed = true")
    assert runs.stop(book.connection, book.run)


def test_workers_stop_it_where_nobody_follows_it(book, database):
    runs.stop_after(book.connection, book.run, StopAfter(failures=1), ["a"])
    failed(book, 1, of=3)

    async def upkeep() -> list[tuple[str, str]]:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
            return await handover.sweep(connection, rows=False)

    assert asyncio.run(upkeep()) == [(book.run, "cancelled")]
    assert asyncio.run(upkeep()) == []
    assert reason(book) == "stopped after 1 failure (--stop-after 1)"


def test_a_run_without_a_limit_goes_on_whatever_failed(book):
    failed(book, 5, of=6)

    assert not runs.stop(book.connection, book.run)
    assert book.state() == "running"


def test_what_is_sent_again_has_no_limit(book):
    runs.stop_after(book.connection, book.run, StopAfter(failures=1), ["a"])
    failed(book, 2, of=3)
    book.sql("UPDATE oaflow.runs SET round = 2")

    assert not runs.stop(book.connection, book.run)
