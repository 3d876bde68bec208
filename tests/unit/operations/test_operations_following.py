"""
What a run that is followed says of jobs that no live worker can run.
"""

from oaflow.ledger.workers import Waiting
from oaflow.operations.following import nobodys

UNSAID = Waiting("crawl", "m.crawl", 12.0)
LACKED = Waiting("read", "m.read", 12.0, "module 'm' has no function 'read'")
FOREIGN = Waiting("geocode", "geocode", 12.0, external=True)


def test_what_workers_of_its_own_have_not_yet_spoken_of_is_no_trouble():
    assert nobodys([UNSAID, LACKED, FOREIGN], own=True) == [LACKED, FOREIGN]


def test_where_workers_are_elsewhere_all_is_told():
    assert nobodys([UNSAID, LACKED, FOREIGN], own=False) == [UNSAID, LACKED, FOREIGN]
