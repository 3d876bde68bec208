"""
The pages of runs: all of them, and one.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.operations import browsing
from oaflow.operations.browsing import PAGE
from oaflow.web.site import site_of


def runs(request: Request) -> Response:
    """
    The runs, the newest first.
    """
    site = site_of(request)
    dataset = request.query_params.get("dataset") or None
    before = request.query_params.get("before") or None
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
    return site.page(request, "run", standing=standing, run=standing.run, doing=doing)


ROUTES = [
    Route("/", runs, methods=["GET"]),
    Route("/runs/{run}", run, methods=["GET"]),
]
