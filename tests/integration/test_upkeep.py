"""
What a worker takes out by itself: rows of jobs that have ended, on oaflow's own server and nowhere else.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from oaflow.ledger.wire import Wire, autocommit, lean_pool
from oaflow.runtime import upkeep
from oaflow.settings import Settings
from tests.integration.handovers import Book


@pytest.fixture
def book(database: str) -> Iterator[Book]:
    made = Book(database)
    yield made
    made.connection.close()


async def kept(book: Book, settings: Settings) -> int:
    """
    How many rows of jobs are left after one round of what a worker does each hour.
    """
    async with lean_pool(conninfo=book.uri, min_size=1, configure=autocommit, open=False) as pool:
        wire = Wire(lambda: pool)
        loop = asyncio.create_task(upkeep.Upkeep(wire, settings, lambda: None).keep_history())
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while not (settings.home / "done").exists():
                await asyncio.sleep(0.01)
        loop.cancel()
    return book.one("SELECT count(*) FROM procrastinate_jobs")


@pytest.mark.parametrize(("uri", "left"), [(None, 2), ("postgresql://elsewhere", 3)])
def test_rows_of_jobs_that_ended_go_on_our_own_server_only(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str | None, left: int
) -> None:
    worker = book.worker()
    ended, waits = book.enter(2)
    assert book.claimed(worker, 1) == [ended]
    book.complete(worker, book.done(ended))
    book.sql("INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('q', 't', 'succeeded')")
    monkeypatch.setattr(upkeep, "ENDED_SECONDS", 0.0)
    # The last thing of a round, so that it is known to be over.
    monkeypatch.setattr(upkeep, "remove_old_logs", lambda *given: (tmp_path / "done").touch())

    settings = Settings(home=tmp_path, db_uri=uri)

    assert asyncio.run(kept(book, settings)) == left
    assert book.job(waits)[0] == "todo"


def test_a_job_that_has_just_ended_stays_for_a_while(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = book.worker()
    (ended,) = book.enter(1)
    book.claim(worker)
    book.complete(worker, book.done(ended))
    monkeypatch.setattr(upkeep, "remove_old_logs", lambda *given: (tmp_path / "done").touch())

    assert asyncio.run(kept(book, Settings(home=tmp_path))) == 1
