"""
Pipelines over documents: declared, checked before anything runs, handed over exactly once.

The public names are loaded on first use, so that importing oaflow costs nothing.
"""

from typing import TYPE_CHECKING

from oaflow.lazy import on_first_use

__version__ = "0.1.0"

if TYPE_CHECKING:
    from oaflow.dsl import Out as Out
    from oaflow.dsl import Param as Param
    from oaflow.dsl import Pipeline as Pipeline
    from oaflow.dsl import external as external
    from oaflow.dsl import recurse as recurse
    from oaflow.dsl import stage as stage
    from oaflow.errors import Reject as Reject
    from oaflow.jobs import AnyJob as AnyJob
    from oaflow.jobs import DatasetJob as DatasetJob
    from oaflow.jobs import EntityFileReference as EntityFileReference
    from oaflow.jobs import Job as Job
    from oaflow.runtime.app import app as app
    from oaflow.runtime.tasks import task as task

_HOMES = {
    "AnyJob": "oaflow.jobs",
    "DatasetJob": "oaflow.jobs",
    "EntityFileReference": "oaflow.jobs",
    "Job": "oaflow.jobs",
    "Out": "oaflow.dsl",
    "Param": "oaflow.dsl",
    "Pipeline": "oaflow.dsl",
    "Reject": "oaflow.errors",
    "app": "oaflow.runtime.app",
    "external": "oaflow.dsl",
    "recurse": "oaflow.dsl",
    "stage": "oaflow.dsl",
    "task": "oaflow.runtime.tasks",
}

__all__ = sorted([*_HOMES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:
    __getattr__ = on_first_use(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
