"""
What a worker needs to know, read once, at the edge.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oaflow.runtime.jsonlog import JsonLines
from oaflow.settings import Settings

# For a worker that something unknown has started.
RESTART = "end this worker, and start it again"


@dataclass(frozen=True, slots=True)
class Options:
    """
    How a worker is to work.

    Attributes:
        settings: all settings.
        conninfo: returns the address of the database, for the heartbeat's own connection.
        executors: processes that run sync stages.
        binder: the `module:function` that makes the bindings of a job: what it can reach.
        grace: seconds that running jobs get at a graceful stop.
        registered: called with each id under which this worker is registered.
        due: called when a tick of a schedule has passed, or a webhook is due; None: neither is watched here.
        counted: takes a message of what the worker has counted, and returns whether it was sent; None: nothing listens.
        restart: what to type to make the worker load new code.
        stale: takes a sentence when code has changed since it was loaded, and what to type; None: nothing listens.
        only: the only run to work on; None: all runs.
        lines: where the output of stages goes besides the log of the run; None: nowhere.
        traces: whether jobs are traced with OpenTelemetry.
        poll: seconds until an idle worker polls without a notification.
    """

    settings: Settings
    conninfo: Callable[[], str]
    executors: int
    binder: str = "oaflow.operations.binding:for_job"
    grace: float = 10.0
    registered: Callable[[int], None] | None = None
    due: Callable[[], None] | None = None
    counted: Callable[[Mapping[str, Any]], bool] | None = None
    restart: str = RESTART
    stale: Callable[[str, str], None] | None = None
    only: str | None = None
    poll: float = 1.0
    lines: JsonLines | None = None
    traces: bool = False

    @classmethod
    def from_environment(cls) -> "Options":
        """
        The options of a worker that another program started, such as `procrastinate worker`.
        """
        from oaflow.postgres import locate

        settings = Settings()
        executors = settings.executors or os.cpu_count() or 1
        return cls(settings, lambda: locate(settings).uri, executors, traces=wants_traces(os.environ))


def wants_traces(environment: Mapping[str, str]) -> bool:
    """
    Whether the standard variables of OpenTelemetry name a collector for traces.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return "otlp" in exporters.split(",") and any(environment.get(name, "").strip() for name in named)
