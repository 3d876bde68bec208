"""
What the stages of a run have printed, on the machine of this server: pages of it, and what comes.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.ledger.runs import Run
from oaflow.operations import logs
from oaflow.operations.logs import LogFilter
from oaflow.web.asked import asked, number
from oaflow.web.site import Site, site_of
from oaflow.web.watches import LONGEST, Watches, told

# Lines of a page, and those that come at once: of more the last ones.
_LINES = 200

# Seconds between two looks at a file.
_LOOK = 0.5


def log(request: Request) -> Response:
    """
    A page of the log of a run.
    """
    site = site_of(request)
    before = number(request, "before")
    run, wanted = _wanted(site, request)
    found = logs.log_page(logs.log_file(site.settings, run.id), wanted, before, _LINES)
    return site.page(
        request,
        "log",
        run=run,
        lines=[_line(one) for one in found.lines],
        page=found,
        before=before,
        stage=asked(request, "stage"),
        job=asked(request, "job"),
        document=asked(request, "document"),
        file=logs.log_file(site.settings, run.id),
    )


async def of_log(request: Request) -> Response:
    """
    The lines that come.
    """
    site = site_of(request)
    watches: Watches = request.app.state.watches
    if not watches.reads_more():
        return site.refused(request, 503, "too many read already")
    run, wanted = await run_in_threadpool(_wanted, site, request)
    # A browser that comes again says what it has had.
    last = request.headers.get("last-event-id", "")
    start = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else number(request, "after") or 0
    return told(request, _following(watches, site, run.id, wanted, start))


async def _following(
    watches: Watches, site: Site, run: str, wanted: LogFilter, start: int
) -> AsyncGenerator[ServerSentEvent]:
    file = logs.log_file(site.settings, run)
    end = time.monotonic() + LONGEST
    with watches.reading():
        while time.monotonic() < end:
            found = await run_in_threadpool(logs.log_after, file, wanted, start)
            if found.lines:
                lines = [_line(one) for one in found.lines[-_LINES:]]
                text = site.part("parts/log.html", lines=lines, left_out=len(found.lines) - len(lines))
                yield ServerSentEvent(text, event="lines", id=str(found.end))
            start = found.end
            await asyncio.sleep(_LOOK)


def _wanted(site: Site, request: Request) -> tuple[Run, LogFilter]:
    with site.desk.connection() as made:
        return logs.log_filter(
            made,
            request.path_params["run"],
            stage=asked(request, "stage"),
            job=number(request, "job"),
            document=asked(request, "document"),
        )


def _line(found: Mapping[str, Any]) -> dict[str, Any]:
    """
    A line as the page shows it. The file is on a disk: anything may stand in it.
    """
    at, job, stage = found.get("at"), found.get("job"), found.get("stage")
    try:
        moment = datetime.fromtimestamp(at).astimezone() if isinstance(at, int | float) else None
    except (ValueError, OverflowError, OSError):
        moment = None
    return {
        "at": moment,
        "stage": stage if isinstance(stage, str) else "",
        "job": job if isinstance(job, int) else None,
        "error": found.get("stream") == "stderr" and found.get("level") not in ("debug", "info"),
        "text": f"{logs.named(found)}{found.get('text', '')}",
    }


ROUTES = [
    Route("/runs/{run}/log", log, methods=["GET"]),
    Route("/runs/{run}/log/events", of_log, methods=["GET"]),
]
