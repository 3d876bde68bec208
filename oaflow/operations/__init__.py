"""
The use cases, as plain functions. They take settings and arguments, return data or yield events, and print nothing.

This is the one room that puts the others together. The names below are for programs to call, and are loaded on first
use. The modules have more, which commands and pages call, and which may change.
"""

from typing import TYPE_CHECKING

from oaflow.lazy import on_first_use

if TYPE_CHECKING:
    from oaflow.diagnostics import Diagnostic as Diagnostic
    from oaflow.entities.search import Hit as Hit
    from oaflow.entities.search import Missing as Missing
    from oaflow.errors import EnvironmentProblem as EnvironmentProblem
    from oaflow.errors import OaflowError as OaflowError
    from oaflow.errors import UsageError as UsageError
    from oaflow.forecast import Forecast as Forecast
    from oaflow.ledger.failures import Cluster as Cluster
    from oaflow.ledger.failures import Failure as Failure
    from oaflow.ledger.history import Hop as Hop
    from oaflow.ledger.receipts import Receipt as Receipt
    from oaflow.ledger.runs import Run as Run
    from oaflow.ledger.runs import StageProgress as StageProgress
    from oaflow.ledger.runs import StopAfter as StopAfter
    from oaflow.ledger.schedules import Schedule as Schedule
    from oaflow.ledger.webhooks import Webhook as Webhook
    from oaflow.operations.backups import Backup as Backup
    from oaflow.operations.backups import backup as backup
    from oaflow.operations.backups import restore as restore
    from oaflow.operations.calls import add_schedule as add_schedule
    from oaflow.operations.calls import cancel as cancel
    from oaflow.operations.calls import causes as causes
    from oaflow.operations.calls import failures as failures
    from oaflow.operations.calls import follow as follow
    from oaflow.operations.calls import hops as hops
    from oaflow.operations.calls import limit as limit
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
    from oaflow.operations.checking import Checked as Checked
    from oaflow.operations.checking import check as check
    from oaflow.operations.datasets import BusyDatasetError as BusyDatasetError
    from oaflow.operations.datasets import Dataset as Dataset
    from oaflow.operations.datasets import Deleted as Deleted
    from oaflow.operations.datasets import Holdings as Holdings
    from oaflow.operations.datasets import delete as delete
    from oaflow.operations.datasets import delete_unreadable as delete_unreadable
    from oaflow.operations.datasets import list_datasets as list_datasets
    from oaflow.operations.finding import Found as Found
    from oaflow.operations.finding import NoSuchDatasetError as NoSuchDatasetError
    from oaflow.operations.finding import NoWordError as NoWordError
    from oaflow.operations.finding import entities as entities
    from oaflow.operations.finding import search as search
    from oaflow.operations.following import Event as Event
    from oaflow.operations.following import Finished as Finished
    from oaflow.operations.following import Paused as Paused
    from oaflow.operations.following import Progress as Progress
    from oaflow.operations.following import Reachable as Reachable
    from oaflow.operations.following import Settles as Settles
    from oaflow.operations.following import Unreachable as Unreachable
    from oaflow.operations.following import Unsettled as Unsettled
    from oaflow.operations.following import Waits as Waits
    from oaflow.operations.limiting import Limited as Limited
    from oaflow.operations.programs import NoSuchPipelineError as NoSuchPipelineError
    from oaflow.operations.programs import PipelineMistakesError as PipelineMistakesError
    from oaflow.operations.rerunning import Rerun as Rerun
    from oaflow.operations.scheduling import NoSuchScheduleError as NoSuchScheduleError
    from oaflow.operations.scheduling import list_schedules as list_schedules
    from oaflow.operations.scheduling import pause_schedule as pause_schedule
    from oaflow.operations.scheduling import remove_schedule as remove_schedule
    from oaflow.operations.scheduling import resume_schedule as resume_schedule
    from oaflow.operations.simulating import Simulated as Simulated
    from oaflow.operations.simulating import Variant as Variant
    from oaflow.operations.simulating import simulate as simulate
    from oaflow.operations.staffing import Workers as Workers
    from oaflow.operations.starting import Begun as Begun
    from oaflow.operations.starting import UnfinishedRunError as UnfinishedRunError
    from oaflow.operations.states import Account as Account
    from oaflow.operations.states import Details as Details
    from oaflow.operations.states import NoSuchRunError as NoSuchRunError
    from oaflow.operations.states import RunStatus as RunStatus
    from oaflow.operations.streams import Stream as Stream
    from oaflow.operations.tracing import Traced as Traced
    from oaflow.operations.webhooks import NoSuchWebhookError as NoSuchWebhookError
    from oaflow.operations.webhooks import Tried as Tried
    from oaflow.operations.webhooks import add_webhook as add_webhook
    from oaflow.operations.webhooks import list_webhooks as list_webhooks
    from oaflow.operations.webhooks import remove_webhook as remove_webhook
    from oaflow.operations.webhooks import try_webhook as try_webhook
    from oaflow.settings import Settings as Settings

_HOMES = {
    "Account": "oaflow.operations.states",
    "Backup": "oaflow.operations.backups",
    "Begun": "oaflow.operations.starting",
    "BusyDatasetError": "oaflow.operations.datasets",
    "Checked": "oaflow.operations.checking",
    "Cluster": "oaflow.ledger.failures",
    "Dataset": "oaflow.operations.datasets",
    "Deleted": "oaflow.operations.datasets",
    "Details": "oaflow.operations.states",
    "Diagnostic": "oaflow.diagnostics",
    "EnvironmentProblem": "oaflow.errors",
    "Event": "oaflow.operations.following",
    "Failure": "oaflow.ledger.failures",
    "Finished": "oaflow.operations.following",
    "Forecast": "oaflow.forecast",
    "Found": "oaflow.operations.finding",
    "Hit": "oaflow.entities.search",
    "Holdings": "oaflow.operations.datasets",
    "Hop": "oaflow.ledger.history",
    "Limited": "oaflow.operations.limiting",
    "Missing": "oaflow.entities.search",
    "NoSuchDatasetError": "oaflow.operations.finding",
    "NoWordError": "oaflow.operations.finding",
    "NoSuchPipelineError": "oaflow.operations.programs",
    "NoSuchRunError": "oaflow.operations.states",
    "NoSuchScheduleError": "oaflow.operations.scheduling",
    "NoSuchWebhookError": "oaflow.operations.webhooks",
    "OaflowError": "oaflow.errors",
    "Paused": "oaflow.operations.following",
    "PipelineMistakesError": "oaflow.operations.programs",
    "Progress": "oaflow.operations.following",
    "Reachable": "oaflow.operations.following",
    "Receipt": "oaflow.ledger.receipts",
    "Rerun": "oaflow.operations.rerunning",
    "Run": "oaflow.ledger.runs",
    "RunStatus": "oaflow.operations.states",
    "Schedule": "oaflow.ledger.schedules",
    "Settings": "oaflow.settings",
    "Settles": "oaflow.operations.following",
    "Simulated": "oaflow.operations.simulating",
    "StageProgress": "oaflow.ledger.runs",
    "StopAfter": "oaflow.ledger.runs",
    "Stream": "oaflow.operations.streams",
    "Traced": "oaflow.operations.tracing",
    "Tried": "oaflow.operations.webhooks",
    "UnfinishedRunError": "oaflow.operations.starting",
    "Unreachable": "oaflow.operations.following",
    "Unsettled": "oaflow.operations.following",
    "UsageError": "oaflow.errors",
    "Variant": "oaflow.operations.simulating",
    "Waits": "oaflow.operations.following",
    "Webhook": "oaflow.ledger.webhooks",
    "Workers": "oaflow.operations.staffing",
    "add_schedule": "oaflow.operations.calls",
    "add_webhook": "oaflow.operations.webhooks",
    "backup": "oaflow.operations.backups",
    "cancel": "oaflow.operations.calls",
    "causes": "oaflow.operations.calls",
    "check": "oaflow.operations.checking",
    "delete": "oaflow.operations.datasets",
    "delete_unreadable": "oaflow.operations.datasets",
    "entities": "oaflow.operations.finding",
    "failures": "oaflow.operations.calls",
    "follow": "oaflow.operations.calls",
    "hops": "oaflow.operations.calls",
    "limit": "oaflow.operations.calls",
    "list_datasets": "oaflow.operations.datasets",
    "list_schedules": "oaflow.operations.scheduling",
    "list_webhooks": "oaflow.operations.webhooks",
    "pause": "oaflow.operations.calls",
    "pause_schedule": "oaflow.operations.scheduling",
    "receipt": "oaflow.operations.calls",
    "remove_schedule": "oaflow.operations.scheduling",
    "remove_webhook": "oaflow.operations.webhooks",
    "rerun": "oaflow.operations.calls",
    "restore": "oaflow.operations.backups",
    "resume": "oaflow.operations.calls",
    "resume_schedule": "oaflow.operations.scheduling",
    "retry": "oaflow.operations.calls",
    "runs": "oaflow.operations.calls",
    "search": "oaflow.operations.finding",
    "simulate": "oaflow.operations.simulating",
    "start": "oaflow.operations.calls",
    "status": "oaflow.operations.calls",
    "trace": "oaflow.operations.calls",
    "try_webhook": "oaflow.operations.webhooks",
    "workers": "oaflow.operations.calls",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # the list above is the list

if not TYPE_CHECKING:
    __getattr__ = on_first_use(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
