"""
The procrastinate App of oaflow: `oaflow.app`, also for `PROCRASTINATE_APP=oaflow.app procrastinate worker`.

Uses only public hooks of procrastinate: a subclass of App with its own job manager.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import procrastinate

from oaflow.ledger.wire import direct, lean_pool, unprepared
from oaflow.runtime.manager import FlowJobManager
from oaflow.settings import Settings

CONNECTIONS = 4  # the most connections in the pool of a worker


def database_address() -> str:
    """
    The database that the environment names, or the embedded one of this machine.
    """
    from oaflow.postgres import locate

    return locate(Settings()).uri


def statements_address() -> str:
    """
    Where workers send their statements: to the pooler in front of the database, if there is one.
    """
    return Settings().pool_uri or database_address()


class FlowApp(procrastinate.App):
    """
    An App whose workers also run stages.
    """

    def __init__(
        self, connector: procrastinate.PsycopgConnector, *, address: Callable[[], str], **options: Any
    ) -> None:
        super().__init__(connector=connector, **options)
        self.flow = self.job_manager = FlowJobManager(connector, plain_tasks=self._plain_tasks, address=address)

    def _plain_tasks(self) -> list[str]:
        return [str(name) for name in self.tasks]


def make_app(conninfo: str | Callable[[], str] = statements_address) -> FlowApp:
    """
    Make an App. Nothing is read or opened before the app is opened.

    Args:
        conninfo: the address, or a function that finds it when the app is opened.
    """
    connector = procrastinate.PsycopgConnector(
        conninfo=conninfo,  # pyright: ignore
        pool_factory=lean_pool,
        min_size=1,
        max_size=CONNECTIONS,
        configure=_configure,
        kwargs={"application_name": "oaflow worker", "connect_timeout": 5, "keepalives_idle": 30},
    )
    return FlowApp(connector, address=partial(_listening_address, conninfo))


def _configure(connection: Any) -> Awaitable[None] | None:
    return (unprepared if Settings().pool_uri else direct)(connection)


def _listening_address(conninfo: str | Callable[[], str]) -> str:
    # LISTEN needs a session, which a pooler in transaction mode does not keep.
    if Settings().pool_uri:
        return database_address()
    return conninfo if isinstance(conninfo, str) else conninfo()


app = make_app()
