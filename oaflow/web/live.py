"""
Server-sent events: what changes in a run, and in the list of runs, while somebody looks at the page.
"""

import time
from dataclasses import asdict
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.ledger.runs import COUNTERS
from oaflow.operations import browsing
from oaflow.operations.browsing import PAGE, Doing, Standing
from oaflow.operations.watching import Rates
from oaflow.operations.ways import Way, Ways
from oaflow.web.site import Site, site_of
from oaflow.web.watches import watched

# Seconds between two looks at the counters of a run that works, and of one that has ended; and at the list of runs.
_LOOK, _RARELY, _LIST = 0.5, 3.0, 2.0

# What it does, and what keeps it waiting, is asked for with each so many looks: it takes more than counters.
_CLOSER = 4


class RunLook:
    """
    Looks at one run.
    """

    def __init__(self, site: Site, run: str) -> None:
        self._site, self._run = site, run
        self._rates: Rates[str] = Rates()
        self._ways = Ways(site.desk, time.monotonic)
        self._standing: Standing | None = None
        self._looks = 0

    def __call__(self) -> tuple[dict[str, str], float]:
        """
        What is to be told.
        """
        desk, known = self._site.desk, self._standing
        with desk.connection() as made:
            standing = browsing.standing_of(made, self._run, known.bound if known else None)
            run = standing.run
            facts = {"counts": _counts(standing, self._rates, time.monotonic())}
            if self._looks % _CLOSER == 0 or known is None or known.run.state != run.state:
                doing = browsing.doing_of(made, standing, desk.settings.dead_after, private=desk.database.embedded)
                facts["doing"] = self._site.part("parts/doing.html", doing=doing, run=run)
                facts["head"] = self._site.part("parts/state.html", run=run)
                facts["marks"] = _marks(doing)
                ended = sum(map(standing.status.total, ("done", "failed", "diverted")))
                facts["ways"] = _told(self._ways.look(made, run, ended))
        self._looks += 1
        self._standing = standing
        return facts, _LOOK if run.state == "running" else _RARELY


def _counts(standing: Standing, rates: Rates[str], now: float) -> str:
    found = standing.status.stages
    per_second = rates.look(now, {name: one.done + one.failed + one.diverted for name, one in found.items()})
    stages: dict[str, dict[str, Any]] = {}
    for name, stage in found.items():
        counts = {counter: getattr(stage, counter) for counter in COUNTERS}
        stages[name] = {**counts, "rate": round(per_second.get(name, 0.0), 1)}
    return orjson.dumps({"offers": standing.offers, "stages": stages}).decode()


def _marks(doing: Doing) -> str:
    """
    Which stages wait, and which are at work.
    """
    waits = sorted({wait.stage for wait in doing.waits if wait.stage is not None})
    busy = sorted({job.stage for job in doing.running})
    return orjson.dumps({"waits": waits, "busy": busy}).decode()


def _told(ways: list[Way]) -> str:
    return orjson.dumps([asdict(way) for way in ways]).decode()


async def of_run(request: Request) -> Response:
    """
    What changes in a run.
    """
    run, site = request.path_params["run"], site_of(request)
    await run_in_threadpool(_find, site, run)
    return watched(request, f"run {run}", lambda: RunLook(site, run))


def _find(site: Site, run: str) -> None:
    with site.desk.connection() as made:
        browsing.standing_of(made, run)


async def of_runs(request: Request) -> Response:
    """
    What changes in the list of the latest runs.
    """
    dataset, site = request.query_params.get("dataset") or None, site_of(request)

    def look() -> tuple[dict[str, str], float]:
        with site.desk.connection() as made:
            lines = browsing.runs_of(made, None, dataset)[:PAGE]
        return {"runs": site.part("parts/runs.html", lines=lines)}, _LIST

    return watched(request, f"runs {dataset or ''}", lambda: look)


ROUTES = [
    Route("/runs/{run}/events", of_run, methods=["GET"]),
    Route("/events", of_runs, methods=["GET"]),
]
