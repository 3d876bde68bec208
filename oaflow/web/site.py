"""
What all pages share: the database, the doorkeeper, and how an answer is written.
"""

from collections.abc import Callable
from http import HTTPStatus
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from oaflow.errors import EnvironmentProblem, OaflowError, UsageError
from oaflow.operations.browsing import Desk
from oaflow.web import written
from oaflow.web.visitors import Doorkeeper, Visitor

FOLDER = Path(str(files("oaflow.web")))


class Site:
    """
    One server.

    Args:
        desk: what pages read.
        doorkeeper: who decides whom they are shown.
        said: is told what went wrong in the program itself.
        root: in front of each address, as a browser asks for it: the path under which a reverse proxy shows the pages.
    """

    def __init__(
        self, desk: Desk, doorkeeper: Doorkeeper, said: Callable[[Exception], None], *, root: str = ""
    ) -> None:
        self.desk, self.doorkeeper, self.said, self.root = desk, doorkeeper, said, root
        self.settings = desk.settings
        self._templates = Environment(
            loader=PackageLoader("oaflow.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(written.FILTERS)
        cast("dict[str, Any]", self._templates.globals)["root"] = root

    def prepare(self) -> None:
        """
        Does what the first to see a page would wait for: compiles the templates, loads what is known of entities.
        """
        for name in self._templates.list_templates():
            self._templates.get_template(name)
        for module in ("oaflow.entities.search", "oaflow.entities.ways"):
            import_module(module)

    def page(self, request: Request, template: str, status: int = 200, **facts: Any) -> Response:
        """
        A page for who was let in.
        """
        visitor = cast("Visitor | None", getattr(request.state, "visitor", None))
        return HTMLResponse(
            self.part(
                f"{template}.html",
                path=request.url.path,
                visitor=visitor,
                read_only=self.doorkeeper.rules.read_only,
                status=status,
                **facts,
            ),
            status,
        )

    def part(self, template: str, **facts: Any) -> str:
        """
        A part of a page.
        """
        return self._templates.get_template(template).render(**facts)

    def led(self, to: str) -> Response:
        """
        Leads to another page, once a form was sent.
        """
        return RedirectResponse(self.root + to, 303)

    def door(self, request: Request, *, wrong: bool = False, to: str | None = None) -> Response:
        """
        The page of who was not let in.

        Args:
            to: where they wanted to go, if not to the address of the request.
        """
        if to is None and request.method == "POST":
            to = _page_with_the_form(request.url.path) or "/"
        elif to is None:
            to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        to = "/" if to == "/enter" else to
        return self.page(request, "door", 401, rules=self.doorkeeper.rules, wrong=wrong, to=to)

    def refused(self, request: Request, status: int, text: str, help: str | None = None) -> Response:
        """
        The page that says why not.
        """
        back = _page_with_the_form(request.url.path)
        changes = request.method == "POST" and back is not None
        return self.page(
            request,
            "refused",
            status,
            heading="Nothing was changed" if changes and status < 500 else HTTPStatus(status).phrase,
            back=back if changes else None,
            text=text,
            help=help,
        )

    async def failed(self, request: Request, error: Exception) -> Response:
        """
        What is shown of an error: the sentence of one of ours; of others that they are bugs.
        """
        match error:
            case UsageError():
                return self.refused(request, 404 if request.method == "GET" else 409, str(error), error.help)
            case EnvironmentProblem():
                return self.refused(request, 503, str(error), error.help)
            case OaflowError():
                return self.refused(request, 500, str(error), error.help)
            case _:
                self.said(error)
                return self.refused(request, 500, f"{type(error).__name__}: this is a bug; the terminal says more")


def _page_with_the_form(path: str) -> str | None:
    """
    From which page that is sent which comes to an address.
    """
    return path.rpartition("/")[0] if path.startswith("/runs/") else "/limits" if path == "/limits" else None


def site_of(request: Request) -> Site:
    """
    The site that a request came to.
    """
    return request.app.state.site
