"""
What a beat gives back: jobs of this worker that it does not know of, and that nothing on the wire may still bring.
"""

import time
from collections.abc import Callable

import psycopg

from oaflow.ledger.heart import Heart
from tests.integration.handovers import Book

FOREVER = float("inf")


def until(holds: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.01)


def test_what_a_claim_on_the_wire_may_still_bring_is_given_back_when_it_is_not_on_the_wire_any_more(
    database: str,
) -> None:
    book = Book(database)
    worker = book.worker()
    (job,) = book.enter(1)
    book.claim(worker)
    beats: list[bool] = []
    oldest = time.monotonic() - 60  # sent before anything was seen
    heart = Heart(lambda: database, 0.1, mine=list, oldest=lambda: oldest, told=beats.append)
    heart.start(worker)
    try:
        until(lambda: len(beats) >= 5)
        assert book.job(job)[:2] == ("doing", 0)

        oldest = FOREVER
        until(lambda: book.job(job)[0] == "todo")
    finally:
        heart.stop()
    assert book.job(job)[:2] == ("todo", 1)
    book.connection.close()


def test_beats_go_on_after_one_that_failed(database: str) -> None:
    book = Book(database)
    worker = book.worker()
    (job,) = book.enter(1)
    book.claim(worker)
    beats: list[bool] = []
    away = False

    def address() -> str:
        if away:
            raise psycopg.OperationalError("the server is away")
        return database

    heart = Heart(address, 0.05, mine=lambda: [job], oldest=lambda: FOREVER, told=beats.append)
    heart.start(worker)
    try:
        until(lambda: beats)
        away = True
        cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        cut += " WHERE application_name = 'oaflow heartbeat' AND datname = current_database()"
        assert book.one(cut) == 1
        tried = heart.tried
        until(lambda: heart.tried != tried)  # on the connection that was cut
        tried, count = heart.tried, len(beats)
        until(lambda: heart.tried != tried)  # on a new one, which there is none of
        away = False
        until(lambda: len(beats) > count)
    finally:
        heart.stop()
    assert beats[-1]
    book.connection.close()
