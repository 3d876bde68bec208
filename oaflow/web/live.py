"""
What goes on while somebody looks: one look at each run, as often as is worth it, for all who watch it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.errors import EnvironmentProblem, UsageError
from oaflow.ledger.runs import COUNTERS
from oaflow.operations import browsing
from oaflow.operations.browsing import Doing, Standing
from oaflow.operations.watching import Rates
from oaflow.web.site import Site, site_of

# Seconds between two looks at the counters of a run that works, and of one that has ended.
_LOOK, _RARELY = 0.5, 3.0

# What it does, and what keeps it waiting, is asked for with each so many looks: it takes more than counters.
_CLOSER = 4

# Runs that are watched at once, and who watches one.
_MOST = 100


@dataclass
class _Watch:
    """
    A run that is watched. `facts` are the events that one gets who comes now.
    """

    facts: dict[str, str] = field(default_factory=dict[str, str])
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    watchers: int = 0
    task: asyncio.Task[None] | None = None


class Watches:
    """
    All runs that are watched.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._watches: dict[str, _Watch] = {}

    def full(self, run: str) -> bool:
        """
        Whether nobody else can watch.
        """
        watch = self._watches.get(run)
        return len(self._watches) >= _MOST if watch is None else watch.watchers >= _MOST

    async def events(self, run: str) -> AsyncIterator[ServerSentEvent]:
        """
        How the run stands now, and what changes, until who watches leaves.
        """
        watch = self._watches.setdefault(run, _Watch())
        watch.watchers += 1
        if watch.task is None:
            watch.task = asyncio.create_task(self._look(run, watch))
        seen: dict[str, str] = {}
        try:
            while True:
                async with watch.news:
                    while watch.facts == seen:
                        await watch.news.wait()
                facts = watch.facts
                for name in facts:
                    if seen.get(name) != facts[name]:
                        yield ServerSentEvent(facts[name], event=name)
                seen = facts
        finally:
            watch.watchers -= 1
            if not watch.watchers and self._watches.get(run) is watch:
                del self._watches[run]
                watch.task.cancel()

    async def _look(self, run: str, watch: _Watch) -> None:
        rates = Rates()
        standing: Standing | None = None
        looks = 0
        while True:
            try:
                standing, parts = await run_in_threadpool(self._read, run, standing, looks % _CLOSER == 0)
                now = asyncio.get_running_loop().time()
                facts = {**watch.facts, **parts, "counts": _counts(standing, rates, now)}
                facts.pop("away", None)
            except (UsageError, EnvironmentProblem) as error:
                facts = {**watch.facts, "away": str(error)}
            if facts != watch.facts:
                watch.facts = facts  # replaced as a whole: who reads it has all of one moment
                async with watch.news:
                    watch.news.notify_all()
            looks += 1
            await asyncio.sleep(_LOOK if standing is None or standing.run.state == "running" else _RARELY)

    def _read(self, run: str, known: Standing | None, closer: bool) -> tuple[Standing, dict[str, str]]:
        desk = self._site.desk
        with desk.connection() as made:
            standing = browsing.standing_of(made, run, known.bound if known else None)
            if not closer and known is not None and known.run.state == standing.run.state:
                return standing, {}
            private = desk.database.embedded
            doing = browsing.doing_of(made, standing, desk.settings.dead_after, private=private)
        return standing, {
            "doing": self._site.part("parts/doing.html", doing=doing, run=standing.run),
            "head": self._site.part("parts/state.html", run=standing.run),
            "marks": _marks(doing),
        }


def _counts(standing: Standing, rates: Rates, now: float) -> str:
    found = standing.status.stages
    per_second = rates.look(now, {name: one.done + one.failed + one.diverted for name, one in found.items()})
    stages: dict[str, dict[str, Any]] = {}
    for name, stage in found.items():
        counts = {counter: getattr(stage, counter) for counter in COUNTERS}
        stages[name] = {**counts, "rate": round(per_second.get(name, 0.0), 1)}
    return orjson.dumps({"offers": standing.offers, "stages": stages}).decode()


def _marks(doing: Doing) -> str:
    """
    Which stages wait, which are at work, and how many jobs went along which way.
    """
    waits = sorted({wait.stage for wait in doing.waits if wait.stage is not None})
    busy = sorted({job.stage for job in doing.running})
    ways = [asdict(way) for way in doing.ways]
    return orjson.dumps({"waits": waits, "busy": busy, "ways": ways}).decode()


async def events(request: Request) -> Response:
    """
    What changes in a run.
    """
    watches: Watches = request.app.state.watches
    run = request.path_params["run"]
    site = site_of(request)
    if watches.full(run):
        return site.refused(request, 503, "too many watch already")
    await run_in_threadpool(_find, site, run)
    return EventSourceResponse(watches.events(run), ping=15, send_timeout=30)


def _find(site: Site, run: str) -> None:
    with site.desk.connection() as made:
        browsing.standing_of(made, run)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    """
    What is watched belongs to the loop of the server.
    """
    app.state.watches = Watches(app.state.site)
    with suppress(asyncio.CancelledError):
        yield


ROUTES = [Route("/runs/{run}/events", events, methods=["GET"])]
