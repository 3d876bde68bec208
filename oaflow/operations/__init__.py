"""
The use cases, as plain functions: they take settings and arguments, return data or yield events, and print nothing.

This is the one room that puts the others together. What programs may call of it has its names here, which are loaded on
first use; what commands and pages call besides is in the modules, and may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oaflow.errors import EnvironmentProblem as EnvironmentProblem
    from oaflow.errors import OaflowError as OaflowError
    from oaflow.errors import UsageError as UsageError
    from oaflow.ledger.failures import Cluster as Cluster
    from oaflow.ledger.failures import Failure as Failure
    from oaflow.ledger.history import Hop as Hop
    from oaflow.ledger.receipts import Receipt as Receipt
    from oaflow.ledger.runs import Run as Run
    from oaflow.ledger.runs import StageProgress as StageProgress
    from oaflow.ledger.runs import StopAfter as StopAfter
    from oaflow.operations.calls import cancel as cancel
    from oaflow.operations.calls import causes as causes
    from oaflow.operations.calls import failures as failures
    from oaflow.operations.calls import follow as follow
    from oaflow.operations.calls import hops as hops
    from oaflow.operations.calls import limit as limit
    from oaflow.operations.calls import list_datasets as list_datasets
    from oaflow.operations.calls import pause as pause
    from oaflow.operations.calls import receipt as receipt
    from oaflow.operations.calls import rerun as rerun
    from oaflow.operations.calls import resume as resume
    from oaflow.operations.calls import retry as retry
    from oaflow.operations.calls import runs as runs
    from oaflow.operations.calls import start as start
    from oaflow.operations.calls import status as status
    from oaflow.operations.calls import trace as trace
    from oaflow.operations.calls import workers as workers
    from oaflow.operations.datasets import Dataset as Dataset
    from oaflow.operations.following import Event as Event
    from oaflow.operations.following import Finished as Finished
    from oaflow.operations.following import Paused as Paused
    from oaflow.operations.following import Progress as Progress
    from oaflow.operations.following import Reachable as Reachable
    from oaflow.operations.following import Settles as Settles
    from oaflow.operations.following import Unreachable as Unreachable
    from oaflow.operations.following import Waits as Waits
    from oaflow.operations.limiting import Limited as Limited
    from oaflow.operations.programs import NoSuchPipelineError as NoSuchPipelineError
    from oaflow.operations.programs import PipelineMistakesError as PipelineMistakesError
    from oaflow.operations.rerunning import Rerun as Rerun
    from oaflow.operations.staffing import Staff as Staff
    from oaflow.operations.starting import Begun as Begun
    from oaflow.operations.starting import UnfinishedRunError as UnfinishedRunError
    from oaflow.operations.states import Account as Account
    from oaflow.operations.states import Details as Details
    from oaflow.operations.states import NoSuchRunError as NoSuchRunError
    from oaflow.operations.states import RunStatus as RunStatus
    from oaflow.operations.streams import Stream as Stream
    from oaflow.operations.tracing import Traced as Traced
    from oaflow.settings import Settings as Settings

_HOMES = {
    "Account": "oaflow.operations.states",
    "Begun": "oaflow.operations.starting",
    "Cluster": "oaflow.ledger.failures",
    "Dataset": "oaflow.operations.datasets",
    "Details": "oaflow.operations.states",
    "EnvironmentProblem": "oaflow.errors",
    "Event": "oaflow.operations.following",
    "Failure": "oaflow.ledger.failures",
    "Finished": "oaflow.operations.following",
    "Hop": "oaflow.ledger.history",
    "Limited": "oaflow.operations.limiting",
    "NoSuchPipelineError": "oaflow.operations.programs",
    "NoSuchRunError": "oaflow.operations.states",
    "OaflowError": "oaflow.errors",
    "Paused": "oaflow.operations.following",
    "PipelineMistakesError": "oaflow.operations.programs",
    "Progress": "oaflow.operations.following",
    "Reachable": "oaflow.operations.following",
    "Receipt": "oaflow.ledger.receipts",
    "Rerun": "oaflow.operations.rerunning",
    "Run": "oaflow.ledger.runs",
    "RunStatus": "oaflow.operations.states",
    "Settings": "oaflow.settings",
    "Settles": "oaflow.operations.following",
    "Staff": "oaflow.operations.staffing",
    "StageProgress": "oaflow.ledger.runs",
    "StopAfter": "oaflow.ledger.runs",
    "Stream": "oaflow.operations.streams",
    "Traced": "oaflow.operations.tracing",
    "UnfinishedRunError": "oaflow.operations.starting",
    "Unreachable": "oaflow.operations.following",
    "UsageError": "oaflow.errors",
    "Waits": "oaflow.operations.following",
    "cancel": "oaflow.operations.calls",
    "causes": "oaflow.operations.calls",
    "failures": "oaflow.operations.calls",
    "follow": "oaflow.operations.calls",
    "hops": "oaflow.operations.calls",
    "limit": "oaflow.operations.calls",
    "list_datasets": "oaflow.operations.calls",
    "pause": "oaflow.operations.calls",
    "receipt": "oaflow.operations.calls",
    "rerun": "oaflow.operations.calls",
    "resume": "oaflow.operations.calls",
    "retry": "oaflow.operations.calls",
    "runs": "oaflow.operations.calls",
    "start": "oaflow.operations.calls",
    "status": "oaflow.operations.calls",
    "trace": "oaflow.operations.calls",
    "workers": "oaflow.operations.calls",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # the list above is the list


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'oaflow.operations' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
