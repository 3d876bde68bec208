"""
Shares one look at the database among all who watch the same thing, as often as is worth it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from oaflow.errors import EnvironmentProblem, OaflowError, UsageError
from oaflow.web.site import Site, site_of
from oaflow.web.visitors import Doorkeeper, Visitor

# What is watched at once, and who watches one of it.
_MOST = 100

# Seconds after which a browser is to come again, and is asked who it is as with each request.
LONGEST = 3600.0

# Seconds until another look, after one that went wrong.
_AGAIN = 2.0

# Seconds after which it is seen that a visitor has left to whom there is nothing to tell.
_LEAVES = 2.0

# Looks: by name, the events that are new or others than before; and seconds until the next look.
Look = Callable[[], tuple[dict[str, str], float]]


@dataclass
class _Watch:
    """
    Something that is watched. `facts` are the events that one gets who comes now.
    """

    facts: dict[str, str] = field(default_factory=dict[str, str])
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    watchers: int = 0
    task: asyncio.Task[None] | None = None


class Watches:
    """
    All that is watched.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._watches: dict[str, _Watch] = {}
        self._readers = 0

    def full(self, what: str) -> bool:
        """
        Whether nobody else can watch.
        """
        watch = self._watches.get(what)
        return len(self._watches) >= _MOST if watch is None else watch.watchers >= _MOST

    def reads_more(self) -> bool:
        """
        Whether somebody else can read what is not shared, such as a log.
        """
        return self._readers < _MOST

    @contextmanager
    def reading(self) -> Generator[None]:
        """
        Somebody reads it.
        """
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    async def events(self, what: str, begin: Callable[[], Look]) -> AsyncGenerator[ServerSentEvent]:
        """
        How it stands now, and what changes, until who watches leaves.

        Args:
            begin: makes what looks, for the first who watches.
        """
        watch = self._watches.setdefault(what, _Watch())
        watch.watchers += 1
        if watch.task is None:
            watch.task = asyncio.create_task(self._look(watch, begin()))
        seen: dict[str, str] = {}
        end = asyncio.get_running_loop().time() + LONGEST
        try:
            while True:
                async with watch.news, asyncio.timeout_at(end):
                    while watch.facts == seen:
                        await watch.news.wait()
                facts = watch.facts
                for name in facts:
                    if seen.get(name) != facts[name]:
                        yield ServerSentEvent(facts[name], event=name)
                seen = facts
        except TimeoutError:
            return
        finally:
            watch.watchers -= 1
            if not watch.watchers and self._watches.get(what) is watch:
                del self._watches[what]
                watch.task.cancel()

    async def _look(self, watch: _Watch, look: Look) -> None:
        while True:
            pause = _AGAIN
            try:
                news, pause = await run_in_threadpool(look)
                facts = {**watch.facts, **news}
                if "away" in facts:  # told, as nothing else may have changed since
                    facts["away"] = ""
            except (UsageError, EnvironmentProblem) as error:
                facts = {**watch.facts, "away": str(error)}
            except Exception as error:  # who watches is told, and it goes on: the next look may be a better one
                if not isinstance(error, OaflowError) and not watch.facts.get("away"):
                    self._site.said(error)
                facts = {**watch.facts, "away": f"What is shown may be old: {type(error).__name__}"}
            if facts != watch.facts:
                watch.facts = facts  # replaced as a whole: who reads it has all of one moment
                async with watch.news:
                    watch.news.notify_all()
            await asyncio.sleep(pause)


def watched(request: Request, what: str, begin: Callable[[], Look]) -> Response:
    """
    The events of what is watched.
    """
    watches: Watches = request.app.state.watches
    if watches.full(what):
        return site_of(request).refused(request, 503, "too many watch already")
    return told(request, watches.events(what, begin))


def told(request: Request, events: AsyncGenerator[ServerSentEvent]) -> Response:
    """
    Events, as an answer.
    """
    theirs = until_left(site_of(request).doorkeeper, request.state.visitor, events)
    return EventSourceResponse(theirs, ping=15, send_timeout=30)


async def until_left(
    doorkeeper: Doorkeeper, visitor: Visitor, events: AsyncGenerator[ServerSentEvent]
) -> AsyncGenerator[ServerSentEvent]:
    """
    Events, as long as the visitor has not left: none that comes after it is told, and where none comes it ends soon.
    """
    async with aclosing(events):
        while True:
            coming = asyncio.ensure_future(anext(events, None))
            try:
                while not coming.done() and not doorkeeper.has_left(visitor):
                    await asyncio.wait([coming], timeout=_LEAVES)
            finally:
                if not coming.done():
                    coming.cancel()
                    with suppress(asyncio.CancelledError):
                        await coming
            if coming.cancelled() or doorkeeper.has_left(visitor) or (event := coming.result()) is None:
                return
            yield event


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    """
    What is watched belongs to the loop of the server.
    """
    app.state.watches = Watches(app.state.site)
    with suppress(asyncio.CancelledError):
        yield
