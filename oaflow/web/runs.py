"""
The pages of runs: all of them, one, a stage of it, what failed, its documents with their account, and its plan.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow import pictures
from oaflow.errors import UsageError
from oaflow.graph import graph_of
from oaflow.ledger.runs import recent_runs
from oaflow.operations import browsing
from oaflow.operations.browsing import MOST_FAILURES, MOST_LISTED, PAGE
from oaflow.operations.comparing import compare
from oaflow.operations.states import bound_plan, plan_of, wanted_run
from oaflow.plan import Plan
from oaflow.web.asked import asked, number
from oaflow.web.site import site_of

_KINDS = ("found", "skipped", "unreadable", "unchanged")

# A picture of at most this width stands beside the stages, and not above them; one that is wider than the page, or much
# higher than a screen, is not made smaller, but moved.
_NARROW, _WIDE, _TALL = 620.0, 1300.0, 1600.0

# Runs that the plan of a run can be compared with by a click.
_COMPARABLE = 10


def runs(request: Request) -> Response:
    """
    The runs, the newest first.
    """
    site = site_of(request)
    dataset, before = asked(request, "dataset"), asked(request, "before")
    with site.desk.connection() as made:
        found = browsing.runs_of(made, before, dataset)
    older = found[PAGE - 1].run.id if len(found) > PAGE else None
    return site.page(request, "runs", lines=found[:PAGE], older=older, dataset=dataset, before=before)


def run(request: Request) -> Response:
    """
    One run: its stages, and what keeps it waiting.
    """
    site = site_of(request)
    with site.desk.connection() as made:
        standing = browsing.standing_of(made, request.path_params["run"])
        private = site.desk.database.embedded
        doing = browsing.doing_of(made, standing, site.settings.dead_after, private=private)
        picture = _picture(site.root, standing.run.id, plan_of(made, standing.run), standing.bound.disabled)
    size = re.search(r'width="([0-9.]+)" height="([0-9.]+)"', picture)
    width, height = (float(size[1]), float(size[2])) if size is not None else (0.0, 0.0)
    return site.page(
        request,
        "run",
        standing=standing,
        run=standing.run,
        doing=doing,
        offers=standing.offers,
        picture=picture,
        narrow=width <= _NARROW,
        wide=width > _WIDE,
        tall=height > _TALL,
    )


def stage(request: Request) -> Response:
    """
    The jobs of a stage.
    """
    site = site_of(request)
    run, name = request.path_params["run"], request.path_params["stage"]
    oldest, start = asked(request, "order") == "oldest", number(request, "after")
    with site.desk.connection() as made:
        found = browsing.stage_of(made, run, name, start, oldest=oldest)
        state = wanted_run(made, run)
    return site.page(request, "stage", run=state, at=found, oldest=oldest, start=start)


def failures(request: Request) -> Response:
    """
    What failed in a run, by its causes; of one cause the jobs.
    """
    site = site_of(request)
    stage, cause = asked(request, "stage"), asked(request, "cause")
    after = number(request, "after")
    with site.desk.connection() as made:
        found, causes, jobs = browsing.failures_of(
            made, request.path_params["run"], stage=stage, cause=cause, after=after
        )
        services = bound_plan(made, found).external
    counted = sum(one.count for one in causes)
    return site.page(
        request,
        "failures",
        run=found,
        causes=causes,
        jobs=jobs,
        stage=stage,
        cause=cause,
        chosen=next((one for one in causes if one.fingerprint == cause and stage in (None, one.stage)), None),
        cut=counted >= MOST_FAILURES,
        after=after,
        services=services,
    )


def documents(request: Request) -> Response:
    """
    The documents of a run.
    """
    site = site_of(request)
    kind = asked(request, "kind")
    if kind is not None and kind not in _KINDS:
        raise UsageError(f"no document is {kind!r}", help=f"they are: {', '.join(_KINDS)}")
    start = asked(request, "after") or ""
    with site.desk.connection() as made:
        found, page = browsing.documents_of(made, request.path_params["run"], start, kind=kind)
    ways = browsing.ways_to(site.desk, found, page.rows)
    return site.page(request, "documents", run=found, documents=page, ways=ways, kind=kind, kinds=_KINDS, start=start)


def receipt(request: Request) -> Response:
    """
    The account of the documents of a run.
    """
    site = site_of(request)
    line = asked(request, "line")
    with site.desk.connection() as made:
        found = wanted_run(made, request.path_params["run"])
        bound = bound_plan(made, found)
    known = browsing.receipt_page(site.desk, found, bound, line)
    return site.page(
        request,
        "receipt",
        run=found,
        known=known,
        account=known.value if known else None,
        line=line,
        most=MOST_LISTED,
    )


def plan(request: Request) -> Response:
    """
    The plan of a run, and what is different in that of another.
    """
    site = site_of(request)
    other = asked(request, "with")
    with site.desk.connection() as made:
        found = wanted_run(made, request.path_params["run"])
        mine = plan_of(made, found)
        near = recent_runs(made, pipeline=found.pipeline, limit=_COMPARABLE)
        beside = wanted_run(made, other) if other is not None else None
        compared = compare(plan_of(made, beside), mine, beside) if beside is not None else None
    return site.page(
        request,
        "plan",
        run=found,
        plan=mine,
        arrows=graph_of(mine).arrows,
        near=[one for one in near if one.id != found.id],
        beside=beside,
        compared=compared,
    )


def stylesheet(request: Request) -> Response:
    """
    The looks of the picture of a run.
    """
    return Response(pictures.stylesheet(), media_type="text/css")


# Pictures that are kept: one of sixty stages takes half a second, and a run keeps its plan.
_PICTURES: OrderedDict[tuple[str, str], str] = OrderedDict()
_MOST_PICTURES = 100


def _picture(root: str, run: str, plan: Plan, disabled: Mapping[str, str]) -> str:
    """
    The graph of a run, in which the script fills in counts.
    """
    found = _PICTURES.get((root, run))
    if found is None:
        link = f"{root}/runs/{quote(run, safe='')}/stages/"
        drawn = pictures.svg_of(graph_of(plan, disabled), link=lambda stage: link + quote(stage, safe=""), live=True)
        found = _PICTURES[root, run] = drawn
        while len(_PICTURES) > _MOST_PICTURES:
            _PICTURES.popitem(last=False)
    return found


ROUTES = [
    Route("/", runs, methods=["GET"]),
    Route("/runs/{run}", run, methods=["GET"]),
    Route("/runs/{run}/stages/{stage}", stage, methods=["GET"]),
    Route("/runs/{run}/failures", failures, methods=["GET"]),
    Route("/runs/{run}/documents", documents, methods=["GET"]),
    Route("/runs/{run}/receipt", receipt, methods=["GET"]),
    Route("/runs/{run}/plan", plan, methods=["GET"]),
    Route("/static/graph.css", stylesheet, methods=["GET"]),
]
