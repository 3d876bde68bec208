"""
Which jobs of a run are done again, and what is said to type where there are none.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from oaflow.ledger.reruns import Ended
from oaflow.operations.rerunning import (
    Choice,
    _instead,  # pyright: ignore[reportPrivateUsage]
    chosen,
    is_older,
)


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("1.2+ab", "1.2+cd", True),
        ("1.2+ab", "1.2+ab", False),
        ("1.2+ab", "1.2", False),
        ("1.9+ab", "1.10+ab", True),
        ("1.10+ab", "1.9+ab", False),
        ("ab12", "cd34", True),
        ("1.2.dev1+ab", "1.2+ab", True),
    ],
)
def test_older_is_what_is_other_and_of_no_later_release(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


def test_all_that_is_asked_for_holds_of_what_is_chosen() -> None:
    def ended(job: int, stage: str, document: str, version: str, failed: bool = False) -> Ended:
        return Ended(job, "r", (), stage, (document,), True, version, failed)

    steps = [
        ended(1, "extract", "a", "1+old"),
        ended(2, "extract", "b", "1+new"),
        ended(3, "analyze", "a", "1+x"),
        ended(4, "analyze", "b", "1+x", failed=True),
    ]

    def jobs(choice: Choice) -> list[int]:
        return [step.job for step in chosen(steps, choice)]

    assert jobs(Choice()) == [1, 2, 3, 4]
    assert jobs(Choice(stage="analyze")) == [3, 4]
    assert jobs(Choice(failed=True)) == [4]
    assert jobs(Choice(older_than=("extract", "1+new"))) == [1]
    # Of another stage: what its documents have met there.
    assert jobs(Choice(stage="analyze", older_than=("extract", "1+new"))) == [3]
    assert jobs(Choice(stage="analyze", failed=True, older_than=("extract", "1+new"))) == []
    assert str(Choice("analyze", True, "e.id", ("extract", "1"))) == (
        "--stage analyze --failed --where 'e.id' --older-than extract=1"
    )


@pytest.mark.parametrize(
    ("state", "newer", "typed"),
    [
        ("finished", 0, "oaflow run ingest -d d --force"),
        ("cancelled", 0, "oaflow run ingest -d d"),
        ("cancelled", 3, "oaflow run ingest -d d --force"),
    ],
)
def test_of_a_cancelled_run_a_plain_one_does_what_is_left(state: str, newer: int, typed: str):
    told: Any = SimpleNamespace(run=SimpleNamespace(state=state, pipeline="ingest", dataset="d"), newer=newer)

    assert _instead(told).partition("   ")[0] == typed
