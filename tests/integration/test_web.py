"""
The page's server on a real database: who gets in, what is shown, what is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from oaflow.ledger import runs
from oaflow.ledger.runs import FirstJob
from oaflow.operations.browsing import PAGE, Desk
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

    def client(self, **rules: Any) -> TestClient:
        rules = rules or {"token": "secret"}
        site = Site(self.desk, Doorkeeper(Rules(**rules)), self.bugs.append)
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


@pytest.fixture
def page(database: str) -> Iterator[Page]:
    settings = Settings(db_uri=database)
    with (
        psycopg.connect(database, autocommit=True) as connection,
        opened(settings) as database_of_it,
        Desk(database_of_it) as desk,
    ):
        runs.store_plan(connection, PLAN.digest, PLAN.format, "p", PLAN.canonical())
        page = Page(connection, desk, [])
        yield page
        assert page.bugs == []


def test_a_token_is_exchanged_for_a_cookie_and_leaves_the_address(page: Page) -> None:
    client = page.client()

    assert client.get("/").status_code == 401
    assert client.get("/?token=guess").status_code == 401
    let_in = client.get("/runs/x?a=1&token=secret")

    assert (let_in.status_code, let_in.headers["location"]) == (303, "/runs/x?a=1")
    cookie = let_in.headers["set-cookie"].lower()
    assert cookie.startswith("oaflow-8080=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/").status_code == 200
    # A cookie that somebody else signed is none.
    forged = page.client()
    forged.cookies.set("oaflow-8080", Doorkeeper(Rules(token="secret")).cookie())
    assert forged.get("/").status_code == 401
    # `//elsewhere` would be an address elsewhere.
    assert client.get("//elsewhere/?token=secret").headers["location"] == "/"


def test_every_answer_says_what_a_browser_may_do_with_it(page: Page) -> None:
    client = page.inside()

    for address in ("/", "/nothing", "/runs/nothing-aaaaaa", "/static/page.css", "/runs/%00"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert client.get("/").headers["cache-control"] == "no-store"
    page.bugs.clear()  # NUL in a name is refused by the database


def test_a_name_that_leads_here_from_elsewhere_is_refused(page: Page) -> None:
    client = page.inside(names=frozenset({"pages.example"}))

    for host, status in (
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("Pages.example:8080", 200),
    ):
        assert client.get("/", headers={"host": host}).status_code == status, host


def test_runs_are_listed_by_pages_and_one_is_shown_with_its_counters(page: Page) -> None:
    made = [page.run(dataset=f"d{number % 2}") for number in range(PAGE + 3)]
    client = page.inside()

    first = client.get("/").text
    assert made[-1] in first
    assert made[2] not in first
    older = client.get(f"/?before={made[3]}").text
    assert [run in older for run in made[:4]] == [True, True, True, False]
    assert made[1] in client.get("/?dataset=d1").text
    assert made[0] not in client.get("/?dataset=d1").text

    shown = client.get(f"/runs/{made[0]}").text
    assert "no live worker can run" in shown
    assert client.get("/runs/p-aaaaaa").status_code == 404
