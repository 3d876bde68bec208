"""
What is said where pages and assistants ask a database that is away.
"""

from unittest.mock import Mock

import pytest

from oaflow.errors import EnvironmentProblem
from oaflow.operations import browsing
from oaflow.operations.browsing import Desk
from oaflow.operations.databases import Database
from oaflow.postgres import Address
from oaflow.settings import Settings


def test_who_asks_is_told_that_the_database_is_away_and_the_library_says_nothing_besides(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(browsing, "_PATIENCE", 0.5)
    away = Address("postgresql://me@127.0.0.1:1/nothing", "OAFLOW_DB_URI", False)

    with (
        Desk(Database(away, Settings()), said=Mock()) as desk,
        pytest.raises(EnvironmentProblem, match="does not answer"),
        desk.connection(),
    ):
        pass

    assert caplog.records == []
