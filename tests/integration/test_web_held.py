"""
The page's server under what people and programs send it: nothing of it is an error in the program.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sse_starlette import ServerSentEvent
from starlette.routing import BaseRoute, Route

from oaflow.errors import EnvironmentProblem
from oaflow.operations.browsing import Desk
from oaflow.operations.databases import database as opened
from oaflow.postgres import migrate
from oaflow.postgres.server import Server
from oaflow.settings import Settings
from oaflow.web import changes, datasets, live, logs, runs, workers
from oaflow.web import watches as watches_module
from oaflow.web.site import Site
from oaflow.web.visitors import Doorkeeper, Rules, Visitor
from oaflow.web.watches import Look, Watches, until_left
from tests.integration.webpage import Page, mark_of, page_on

ROUTES: list[BaseRoute] = [
    *runs.ROUTES,
    *live.ROUTES,
    *logs.ROUTES,
    *datasets.ROUTES,
    *workers.ROUTES,
    *changes.ROUTES,
]

# What no page is asked for by its own links.
ODD = (
    "../../etc/passwd",
    "..%2f..%2fetc",
    "\0",
    "'; DROP TABLE oaflow.runs; --",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}%s%(x)s",
    "\u202e\ud7ff\N{PILE OF POO}",
    "9" * 400,
    "-1",
    "1e9",
    "x" * 3000,
    " ",
)

FIELDS = ("q", "dataset", "of", "run", "before", "after", "stage", "cause", "kind", "line", "with", "order", "job")


@pytest.fixture
def page(database: str, tmp_path: Path) -> Iterator[Page]:
    with page_on(database, home=tmp_path) as page:
        yield page


def paths(run: str, word: str = "reads") -> list[str]:
    """
    An address of each page.
    """
    return [
        route.path.replace("{run}", run).replace("{stage}", word)
        for route in ROUTES
        if isinstance(route, Route) and "GET" in (route.methods or ()) and not route.path.endswith("/events")
    ]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_what_is_odd_in_an_address_is_answered_in_a_sentence(page: Page, odd: str) -> None:
    client, run = page.inside(), page.run()
    values = "&".join(f"{name}={quote(odd)}" for name in FIELDS)
    asked = [f"{path}?{values}" for path in paths(run)]
    asked += [f"{path}?{name}={quote(odd)}" for path in paths(run) for name in FIELDS if "static" not in path]
    asked += [*paths(quote(odd, safe="")), f"/runs/{run}/stages/{quote(odd, safe='')}", f"/{quote(odd)}"]

    for address in asked:
        answer = client.get(address)
        assert answer.status_code in (200, 303, 307, 404, 405), (address, answer.status_code)
        assert "<script>alert" not in answer.text, address
        assert 'href="javascript:' not in answer.text, address
        assert "root:" not in answer.text, address
    assert page.connection.execute("SELECT count(*) FROM oaflow.runs").fetchone() == (1,)


def test_each_way_to_change_something_wants_a_mark_and_read_only_refuses_it(page: Page) -> None:
    run = page.run()
    ways = [
        route.path.replace("{run}", run).replace("{what}", what)
        for route in ROUTES
        if isinstance(route, Route) and "POST" in (route.methods or ())
        for what in (("pause", "resume", "cancel", "retry") if "{what}" in route.path else ("",))
    ]
    assert len(ways) == 5
    client, only_read = page.inside(), page.inside(read_only=True)

    for way in ways:
        assert client.post(way, data={"name": "a/t.reads", "rate": "1/s"}).status_code == 403, way
        refused = only_read.post(way, data={"mark": mark_of(only_read), "name": "a/t.reads", "rate": "1/s"})
        assert (refused.status_code, "--read-only" in refused.text) == (403, True), way
        assert page.client().post(way, data={"mark": mark_of(client)}).status_code == 401, way
    assert "Nothing is limited" in client.get("/limits").text


def test_who_has_left_is_not_known_by_a_copy_of_their_cookie(page: Page) -> None:
    client = page.inside()
    cookie = dict(client.cookies)

    assert client.post("/leave", data={"mark": mark_of(client)}).status_code == 303
    copied = page.client()
    copied.cookies.update(cookie)
    other_door = client.get("/")
    assert (other_door.status_code, copied.get("/").status_code) == (401, 401)


def test_no_page_asks_for_anything_elsewhere_or_brings_a_script_of_its_own(page: Page) -> None:
    client, run = page.inside(), page.run()

    for path in paths(run):
        text = client.get(path).text
        assert "<script>" not in text, path
        assert " style=" not in text, path
        assert re.findall(r"<[^>]*\son[a-z]+=", text) == [], path
        assert "http://" not in text.replace("http://www.w3.org", ""), path
        assert "https://" not in text, path


def looked(watches: Watches, look: Look, many: int) -> list[dict[str, str]]:
    """
    What each of so many is told first, while one thing is looked at.
    """

    async def first(number: int) -> dict[str, str]:
        events = watches.events("it", lambda: look)
        told = await anext(events)
        await asyncio.sleep(0.05)  # all of them watch by then
        await events.aclose()
        return {str(told.event): str(told.data)}

    async def all_of_them() -> list[dict[str, str]]:
        return await asyncio.gather(*(first(number) for number in range(many)))

    return asyncio.run(all_of_them())


def test_however_many_watch_it_is_looked_at_once_and_what_goes_wrong_is_told(page: Page) -> None:
    said: list[Exception] = []
    watches = Watches(Site(page.desk, Doorkeeper(Rules(token="x")), said.append))
    looks = [0]

    def look() -> tuple[dict[str, str], float]:
        looks[0] += 1
        return {"counts": "1"}, 3600.0

    assert looked(watches, look, 50) == [{"counts": "1"}] * 50
    assert looks == [1]

    def away() -> tuple[dict[str, str], float]:
        raise EnvironmentProblem("the database is away")

    assert looked(watches, away, 2) == [{"away": "the database is away"}] * 2
    assert said == []

    def broken() -> tuple[dict[str, str], float]:
        raise ZeroDivisionError

    assert looked(watches, broken, 2) == [{"away": "What is shown may be old: ZeroDivisionError"}] * 2
    assert [type(error) for error in said] == [ZeroDivisionError]


def test_that_the_database_is_back_is_told_also_where_nothing_changed_meanwhile(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches_module, "_AGAIN", 0.01)
    watches = Watches(Site(page.desk, Doorkeeper(Rules(token="x")), page.bugs.append))
    away = [False]

    def look() -> tuple[dict[str, str], float]:
        if away[0]:
            raise EnvironmentProblem("the database is away")
        return {"counts": "1"}, 0.01

    async def told() -> list[tuple[str | None, str]]:
        events = watches.events("it", lambda: look)
        found: list[tuple[str | None, str]] = []
        async with asyncio.timeout(60):
            for away[0] in (False, True, False):
                event = await anext(events)
                found.append((event.event, str(event.data)))
        await events.aclose()
        return found

    assert asyncio.run(told()) == [("counts", "1"), ("away", "the database is away"), ("away", "")]


def test_who_has_left_is_told_nothing_more_by_what_they_had_open() -> None:
    keeper = Doorkeeper(Rules(token="x"))
    one, other = (keeper.visitor(keeper.cookie(), None) for _ in range(2))
    ended: list[int] = []

    async def events() -> AsyncGenerator[ServerSentEvent]:
        try:
            for number in range(3):
                yield ServerSentEvent(str(number))
        finally:
            ended.append(1)

    async def told(visitor: Visitor | None) -> list[str]:
        assert visitor is not None
        found: list[str] = []
        async for event in until_left(keeper, visitor, events()):
            found.append(str(event.data))
            if one is not None:
                keeper.leave(one)
        return found

    assert asyncio.run(told(one)) == ["0"]
    assert asyncio.run(told(other)) == ["0", "1", "2"]
    assert ended == [1, 1]


def test_where_nothing_comes_any_more_what_somebody_had_open_ends_when_they_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches_module, "_LEAVES", 0.01)
    keeper = Doorkeeper(Rules(token="x"))
    visitor = keeper.visitor(keeper.cookie(), None)
    assert visitor is not None
    ended: list[int] = []

    async def events() -> AsyncGenerator[ServerSentEvent]:
        try:
            yield ServerSentEvent("0")
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def told() -> list[str]:
        found: list[str] = []
        async with asyncio.timeout(60):
            async for event in until_left(keeper, visitor, events()):
                found.append(str(event.data))
                asyncio.get_running_loop().call_later(0.05, keeper.leave, visitor)
        return found

    assert asyncio.run(told()) == ["0"]
    assert ended == [1]


def test_a_page_says_that_the_database_is_away_and_is_there_again_with_it(shared_folder: Path, tmp_path: Path) -> None:
    folder = shared_folder / f"held-{tmp_path.name}"
    with Server(folder, settings={"fsync": "off"}) as server:
        uri = server.address.uri
        migrate(uri)
        settings = Settings(db_uri=uri, home=tmp_path)
        context: Any = opened(settings)
        with context as database_of_it, Desk(database_of_it) as desk:
            with desk.connection() as made:
                assert made.execute("SELECT 1").fetchone() == (1,)
            server.close()
            with pytest.raises(EnvironmentProblem), desk.connection() as made:
                made.execute("SELECT 1")
            server.open()
            for _ in range(20):  # each waits five seconds at most
                try:
                    with desk.connection() as made:
                        assert made.execute("SELECT 1").fetchone() == (1,)
                    break
                except EnvironmentProblem:
                    continue
            else:
                raise AssertionError("it is not there again")
