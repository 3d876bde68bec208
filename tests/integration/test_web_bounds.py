"""
What keeps the page's server closed and small: what no address gives without a cookie, and how much each gives at most.
"""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from oaflow.operations.browsing import PAGE
from oaflow.operations.limiting import limit
from oaflow.web.visitors import Doorkeeper, Rules
from tests.integration.webpage import Page, page_on


@pytest.fixture
def page(database: str) -> Iterator[Page]:
    with page_on(database) as page:
        yield page


def test_no_stream_of_events_is_for_who_was_not_let_in(page: Page) -> None:
    run = page.run()

    for address in ("/events", f"/runs/{run}/events", f"/runs/{run}/log/events"):
        assert page.client().get(address).status_code == 401, address
        assert page.client().get(address + "?token=guess").status_code == 401, address


def test_what_a_browser_may_do_is_named_and_nothing_else(page: Page) -> None:
    headers = page.inside().get("/").headers

    assert set(headers["content-security-policy"].split("; ")) == {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    }
    # No address of a page, which may have a token in it, is told to another server.
    assert headers["referrer-policy"] == "same-origin"


def test_a_cookie_ends_with_its_time_and_goes_over_tls_only_where_it_came_by_it(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, encrypted = page.client(), page.client()
    encrypted.base_url = "https://localhost:8080"

    assert "secure" not in plain.get("/?token=secret").headers["set-cookie"].lower()
    assert "secure" in encrypted.get("/?token=secret").headers["set-cookie"].lower()
    doorkeeper = Doorkeeper(Rules(token="secret"))
    cookie = doorkeeper.cookie()
    assert doorkeeper.visitor(cookie, None) is not None
    monkeypatch.setattr("oaflow.web.visitors.LASTS", -1)
    assert doorkeeper.visitor(cookie, None) is None


def test_more_than_so_many_are_sent_away(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    run = page.run()
    client = page.client(password="open sesame")

    assert client.post("/enter", data={f"f{number}": "x" for number in range(51)}).status_code == 413
    monkeypatch.setattr("oaflow.web.gate._GUESSES", 0)
    assert client.post("/enter", data={"password": "open sesame"}).status_code == 429
    monkeypatch.setattr("oaflow.web.watches._MOST", 0)
    for module in ("watches", "logs"):  # a stream that is not refused ends soon
        monkeypatch.setattr(f"oaflow.web.{module}.LONGEST", 0.5)
    with TestClient(page.inside().app, base_url=str(client.base_url), follow_redirects=False) as watcher:
        assert watcher.get("/?token=secret").status_code == 303
        for address in ("/events", f"/runs/{run}/events", f"/runs/{run}/log/events"):
            assert watcher.get(address).status_code == 503, address


def test_lists_without_pages_end_somewhere(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(PAGE + 2):
        page.run(dataset=f"d{number:04}", jobs=0)
    for number in range(3):
        limit(page.desk.settings, f"a/t.reads{number}", concurrency=1)
        page.connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    page.connection.execute(
        "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks)"
        " SELECT id, 'host-' || id, 77, 'p', '{1}', '{t.reads}' FROM procrastinate_workers"
    )
    monkeypatch.setattr("oaflow.web.workers._MOST", 2)
    client = page.inside()

    assert client.get("/limits").text.count(">a/t.reads") == 2
    assert client.get("/workers").text.count("host-") == 2
    shown = client.get("/datasets").text
    assert [f">d{number:04}<" in shown for number in (0, PAGE - 1, PAGE)] == [True, True, False]
