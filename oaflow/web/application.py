"""
The application: which address is which page.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from oaflow.errors import OaflowError
from oaflow.web import changes, datasets, live, logs, runs, watches, workers
from oaflow.web.gate import Gate, cookie_name
from oaflow.web.site import FOLDER, Site, site_of


def application(site: Site) -> Gate:
    """
    The pages of a site, behind its gate.
    """

    def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return site.refused(request, status, "there is no such page" if status == 404 else "no such method")

    made = Starlette(
        routes=[
            *runs.ROUTES,
            *live.ROUTES,
            *logs.ROUTES,
            *datasets.ROUTES,
            *workers.ROUTES,
            *changes.ROUTES,
            Route("/leave", _leave, methods=["POST"]),
            Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static"),
        ],
        exception_handlers={OaflowError: site.failed, HTTPException: missing, Exception: site.failed},
        lifespan=watches.lifespan,
    )
    made.state.site = site
    # Outermost, so that what is said of an error in the program has its headers, too.
    return Gate(made, site)


def _leave(request: Request) -> Response:
    site_of(request).doorkeeper.leave(request.state.visitor)
    answer = site_of(request).led("/")
    answer.delete_cookie(cookie_name(request), site_of(request).root or "/")
    return answer
