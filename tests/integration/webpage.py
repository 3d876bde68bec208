"""
The page's server as tests ask it: on a real database, without a socket.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from starlette.testclient import TestClient

from oaflow.ledger import runs
from oaflow.ledger.runs import FirstJob
from oaflow.operations.browsing import Desk
from oaflow.operations.databases import database as opened
from oaflow.plan import Plan, PlannedEdge, PlannedStage
from oaflow.settings import Settings
from oaflow.web.application import application
from oaflow.web.site import Site
from oaflow.web.visitors import Doorkeeper, Rules

HERE = "http://localhost:8080"

PLAN = Plan(
    pipeline="p",
    start=("reads",),
    stages={
        "reads": PlannedStage(task="t.reads", queue="a", edges=(PlannedEdge(to="keeps"),)),
        "keeps": PlannedStage(task="t.keeps", queue="a"),
    },
)


@dataclass
class Page:
    """
    A database with its page; `bugs` are the errors that it was not made for.
    """

    connection: psycopg.Connection[Any]
    desk: Desk
    bugs: list[Exception]

    def client(self, root: str = "", **rules: Any) -> TestClient:
        rules = rules or {"token": "secret"}
        site = Site(self.desk, Doorkeeper(Rules(**rules)), self.bugs.append, root=root)
        return TestClient(application(site), base_url=HERE, follow_redirects=False, raise_server_exceptions=False)

    def inside(self, **rules: Any) -> TestClient:
        client = self.client(**{"token": "secret", **rules})
        assert client.get("/?token=secret").status_code == 303
        return client

    def run(self, dataset: str = "d", jobs: int = 2) -> str:
        run = runs.start_run(self.connection, "p", PLAN.digest, dataset, {})
        mark = {"payload": {"context": {"oaflow": {"run": run, "stage": "reads"}}}}
        runs.enter(self.connection, run, [FirstJob("a", "t.reads", "reads", 50, mark)] * jobs, seal=True)
        return run


@contextmanager
def page_on(database: str, **given: Any) -> Generator[Page]:
    """
    A page on a migrated database; errors that it was not made for fail the test.

    Args:
        given: settings.
    """
    settings, bugs = Settings(db_uri=database, **given), list[Exception]()
    with (
        psycopg.connect(database, autocommit=True) as connection,
        opened(settings) as database_of_it,
        Desk(database_of_it, said=bugs.append) as desk,
    ):
        runs.store_plan(connection, PLAN.digest, PLAN.format, "p", PLAN.canonical())
        page = Page(connection, desk, bugs)
        yield page
        assert page.bugs == []


def mark_of(client: TestClient) -> str:
    """
    What forms of this visitor bring along.
    """
    found = re.search(r'name="mark" value="([^"]+)"', client.get("/").text)
    assert found is not None
    return found[1]
