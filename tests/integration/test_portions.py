"""
What may be long is read from the ledger in portions.
"""

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from oaflow.ledger import crawled


def test_no_transaction_is_open_between_portions(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawled, "sql", {"unindexed": b"SELECT generate_series(1, 5)::text"}.__getitem__)
    with psycopg.connect(database, autocommit=True) as connection:
        portions = crawled.unindexed(connection, "run", [], [], 2)

        assert next(portions) == ["1", "2"]
        assert connection.info.transaction_status == TransactionStatus.IDLE
        assert list(portions) == [["3", "4"], ["5"]]
