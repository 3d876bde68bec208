"""
`oaflow limit`: limits of tasks that an operator sets.
"""

from dataclasses import dataclass

from oaflow.errors import UsageError
from oaflow.ledger import limits as ledger
from oaflow.ledger.limits import Limit
from oaflow.operations.completing import remember
from oaflow.operations.databases import connection
from oaflow.quantities import per_second
from oaflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Limited:
    """
    The limits that apply now, and remarks about the requested change.
    """

    limits: tuple[Limit, ...]
    remarks: tuple[str, ...] = ()


def limit(
    settings: Settings,
    name: str | None,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    clear: bool = False,
) -> Limited:
    """
    Set or clear the limits of a task on a queue, if any are given.

    Args:
        name: QUEUE/TASK, or None for all.

    Raises:
        UsageError: the name or the rate cannot be read, or limits are given without a name.
    """
    often = per_second(rate)
    if rate is not None and often is None:
        raise UsageError(f"{rate!r} is not a rate", help="rates are written like 50/s, 1000/m, 1/10s")
    wanted = concurrency is not None or rate is not None
    if clear and wanted:
        raise UsageError("--clear excludes --concurrency and --rate")
    if name is None and (clear or wanted):
        raise UsageError("limits are set by queue and task", help="oaflow limit QUEUE/TASK")
    # A task has no slash, but a queue may.
    queue, slash, task = (name or "").rpartition("/")
    if name is not None and not (slash and queue and task):
        raise UsageError(f"{name!r} is not QUEUE/TASK", help="oaflow limit  shows what is limited")
    remarks: list[str] = []
    with connection(settings) as made:
        if wanted:
            ledger.limit(made, queue, task, concurrency, often)
            if not ledger.is_known(made, queue, task):
                remarks.append(f"no run has had task {task!r} on queue {queue!r} so far")
        elif clear:
            ledger.clear(made, queue, task)
        if wanted or clear:
            remember(settings, made)
        found = ledger.limits(made)
    return Limited(tuple(one for one in found if name in (None, one.name)), tuple(remarks))
