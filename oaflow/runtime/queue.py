"""
Implements `job.defer()` outside of a running worker: it inserts into procrastinate's tables over its own connection.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

from oaflow.jobs import Job


class ProgramQueue:
    """
    The queue of a program, opened for the first job and closed when the program ends.
    """

    def __init__(self, conninfo: Callable[[], str]) -> None:
        """
        Args:
            conninfo: finds the address of the database when it is needed.
        """
        self._conninfo = conninfo
        self._app: Any = None
        self._lock = Lock()

    def defer(self, job: Job, *, priority: int | None = None) -> None:
        """
        Queue a job for its own queue and task.
        """
        job.defer(self._opened(), priority=priority)

    def close(self) -> None:
        """
        Close the connection. The queue can be used again.
        """
        with self._lock:
            if self._app is not None:
                self._app.close()
                self._app = None

    def _opened(self) -> Any:
        # A connector of its own, not that of `oaflow.app`: the worker decides whether that one is open and in which
        # event loop, and a synchronous call may come from any thread.
        with self._lock:
            if self._app is None:
                import procrastinate  # half of what an executor would load, and few defer anything

                connector = procrastinate.SyncPsycopgConnector(
                    conninfo=self._conninfo(), min_size=1, max_size=1, kwargs={"application_name": "oaflow defer"}
                )
                app = procrastinate.App(connector=connector)
                app.open()
                self._app = app
            return self._app
