"""
What may be long is read from the ledger in portions.
"""

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from oaflow.cli.failures import _first_of_each  # pyright: ignore[reportPrivateUsage]
from oaflow.ledger import crawled, failures
from tests.integration.webpage import Page, page_on


def failed(page: Page, run: str, job: int, cause: str) -> None:
    page.connection.execute(
        "INSERT INTO oaflow.failures (run, stage, job, documents, type, message, fingerprint)"
        " VALUES (%s, 'reads', %s, '{a}', 'ValueError', 'no', %s)",
        [run, job, cause],
    )


def test_all_failures_come_in_portions_and_each_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oaflow.ledger.failures._AT_ONCE", 3)
    with page_on(database) as page:
        run = page.run()
        for job in range(10, 20):
            failed(page, run, job, "even" if job % 2 == 0 else "odd")

        assert [one.job for one in failures.every_failure(page.connection, run)] == list(range(10, 20))
        assert [one.job for one in failures.every_failure(page.connection, run, cause="odd")] == [11, 13, 15, 17, 19]
        assert list(failures.every_failure(page.connection, run, stage="other")) == []
        # For the first of each cause no more is read than the first portion.
        jobs = failures.every_failure(page.connection, run)
        assert [one.job for one in _first_of_each(jobs, 2).values()] == [10, 11]
        assert next(jobs).job == 12


def test_no_transaction_is_open_between_portions(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawled, "sql", {"anew": b"SELECT generate_series(1, 5)::text"}.__getitem__)
    with psycopg.connect(database, autocommit=True) as connection:
        portions = crawled.anew(connection, "run", [], 2)

        assert next(portions) == ["1", "2"]
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert list(portions) == [["3", "4"], ["5"]]
