"""
What is said to type where there is nothing of a run to do again.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from oaflow.operations.rerunning import _instead  # pyright: ignore[reportPrivateUsage]


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
