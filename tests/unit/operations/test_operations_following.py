"""
What a run that is followed says of jobs that no live worker can run.
"""

from itertools import islice
from unittest.mock import Mock

import psycopg
import pytest

from oaflow.ledger.workers import Waiting
from oaflow.operations import following
from oaflow.operations.following import follow, nobodys

UNSAID = Waiting("crawl", "m.crawl", 12.0)
LACKED = Waiting("read", "m.read", 12.0, "module 'm' has no function 'read'")
FOREIGN = Waiting("geocode", "geocode", 12.0, external=True)


def test_what_workers_of_its_own_have_not_yet_spoken_of_is_no_trouble():
    assert nobodys([UNSAID, LACKED, FOREIGN], own=True) == [LACKED, FOREIGN]


def test_where_workers_are_elsewhere_all_is_told():
    assert nobodys([UNSAID, LACKED, FOREIGN], own=False) == [UNSAID, LACKED, FOREIGN]


def test_workers_have_as_long_as_ever_to_come_back_after_the_database_was_away(monkeypatch: pytest.MonkeyPatch):
    for name in ("find_run", "in_order", "exhausted", "workers", "estimate_of"):
        monkeypatch.setattr(following, name, Mock())
    monkeypatch.setattr(following, "status_of", Mock(return_value=Mock(total=Mock(return_value=0))))
    monkeypatch.setattr(following, "waiting_of", Mock(return_value=[UNSAID]))
    monkeypatch.setattr(following, "retrying", Mock(return_value=[]))
    moment = 0

    def passes(seconds: float) -> None:
        nonlocal moment
        moment += 6 if seconds < 1 else 20  # a look, and the time that the database is away

    link = Mock(wait=passes)
    link.get.side_effect = [Mock(), psycopg.OperationalError("gone"), *[Mock()] * 9]
    events = follow(
        Mock(), "r", Mock(), supervisor=None, interrupts=Mock(count=0), link=link, now=lambda: moment, sleep=passes
    )

    kinds = [type(event).__name__ for event in islice(events, 7)]

    assert kinds == ["Progress", "Unreachable", "Reachable", *["Progress"] * 3, "Waits"]
