"""
The command and its stages, as the acceptance tests have them.
"""

import pytest

from oaflow.compiler import functions
from tests.acceptance.conftest import clean_environment, cli, private, started, until
from tests.warm import Warm

__all__ = ["clean_environment", "cli", "private", "started", "until"]


@pytest.fixture(autouse=True)
def forked_looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The plans of runs that tests begin themselves are checked by forks.
    """
    if "database" in request.fixturenames or "warm" in request.fixturenames:
        warm: Warm = request.getfixturevalue("warm")
        monkeypatch.setattr(functions, "subprocess", warm.looking())
