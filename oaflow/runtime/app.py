"""
The procrastinate App of oaflow: `oaflow.app`, also for `PROCRASTINATE_APP=oaflow.app procrastinate worker`.

Public hooks of procrastinate only: a subclass of App with a job manager of its own.
"""

from collections.abc import Awaitable
from typing import Any

import procrastinate

from oaflow.ledger.wire import autocommit, lean_pool, unprepared
from oaflow.runtime.manager import FlowJobManager
from oaflow.settings import Settings


def database_address() -> str:
    """
    The database that the environment names, or the embedded one of this machine.
    """
    from oaflow.postgres import locate

    return locate(Settings()).uri


def statements_address() -> str:
    """
    Where workers send their statements: a pooler before the database, if there is one.
    """
    return Settings().pool_uri or database_address()


class FlowApp(procrastinate.App):
    """
    An App whose workers also run stages.
    """

    def __init__(self, connector: procrastinate.PsycopgConnector, **options: Any) -> None:
        super().__init__(connector=connector, **options)
        self.flow = self.job_manager = FlowJobManager(connector, plain_tasks=self._plain_tasks, listener=_listener)

    def _plain_tasks(self) -> list[str]:
        return [str(name) for name in self.tasks]


def make_app(conninfo: Any = statements_address, *, size: int = 4) -> FlowApp:
    """
    Make an App. Nothing is read or opened before the app is.

    Args:
        conninfo: the address, or a function that finds it when the app is opened.
        size: connections at most.
    """
    return FlowApp(_connector(conninfo, min_size=1, max_size=size))


def _connector(conninfo: Any, *, min_size: int, max_size: int) -> procrastinate.PsycopgConnector:
    return procrastinate.PsycopgConnector(
        conninfo=conninfo,
        pool_factory=lean_pool,
        min_size=min_size,
        max_size=max_size,
        configure=_configure,
        kwargs={"application_name": "oaflow worker", "connect_timeout": 5, "keepalives_idle": 30},
    )


def _configure(connection: Any) -> Awaitable[None] | None:
    return (unprepared if Settings().pool_uri else autocommit)(connection)


def _listener() -> procrastinate.PsycopgConnector | None:
    # A pooler in transaction mode keeps no session, and so hears nothing.
    return _connector(database_address, min_size=0, max_size=1) if Settings().pool_uri else None


app = make_app()
