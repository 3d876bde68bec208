"""
Tests of pipelines, in a project of your own.

`run` passes jobs through a pipeline in memory and calls its stage functions. `pytest -p oaflow.testing` checks each
`pipelines/*.yml` and runs its `tests`. Only this plugin needs pytest.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from oaflow.lazy import on_first_use

if TYPE_CHECKING:
    import pytest

    from oaflow.testing.results import Attempted as Attempted
    from oaflow.testing.results import Failed as Failed
    from oaflow.testing.results import Lost as Lost
    from oaflow.testing.results import Ran as Ran
    from oaflow.testing.results import Sent as Sent
    from oaflow.testing.running import run as run

_HOMES = {
    "Attempted": "oaflow.testing.results",
    "Failed": "oaflow.testing.results",
    "Lost": "oaflow.testing.results",
    "Ran": "oaflow.testing.results",
    "Sent": "oaflow.testing.results",
    "run": "oaflow.testing.running",
}

__all__ = sorted([*_HOMES, "pytest_collect_file"])  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:
    __getattr__ = on_first_use(__name__, _HOMES)


def pytest_collect_file(file_path: Path, parent: "pytest.Collector") -> "pytest.Collector | None":
    """
    pytest's hook: collects the files that hold pipelines.
    """
    from oaflow.testing.plugin import collector

    return collector(file_path, parent)
