"""
Every request passes here. It checks the host name that the request was sent to, who sent it, and whether it may change
anything; it adds the headers that every answer has.
"""

import asyncio
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oaflow.web.site import Site
from oaflow.web.visitors import LASTS, is_from_here, is_ours

# Forms are a few words; a list of a hundred params is 10 kB.
_FORM_BYTES = 64_000
_FORM_FIELDS = 50

# Guesses at the password: each waits for those before it, and longer after each that was wrong.
_GUESSES = 10
_LONGEST_WAIT = 5.0

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """
    The application behind it gets requests of known visitors only, and the fields of their forms in `state`.
    """

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app, self._site = app, site
        self._one_guess = asyncio.Lock()
        self._waiting = self._wrong = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A proxy may send on the path as a browser asked for it, or without what leads to us.
        if self._site.root and f"{scope['path']}/".startswith(f"{self._site.root}/"):
            scope = {**scope, "path": scope["path"][len(self._site.root) :] or "/"}
        answer = await self._stopped(Request(scope, receive))
        await (answer or self._app)(scope, receive, _with_headers(send, scope))

    async def _stopped(self, request: Request) -> Response | None:
        """
        The answer to who does not come through.
        """
        host = request.headers.get("host", "")
        rules = self._site.doorkeeper.rules
        if not is_ours(host, rules.names):
            name = host.encode("ascii", "backslashreplace").decode()[:200]
            return PlainTextResponse(f"nothing here is named {name!r}\nhelp: oaflow web --name NAME\n", 421)
        path = request.url.path
        if "\0" in request.scope["path"] or "%00" in request.url.query:
            # No database has a name with it.
            return PlainTextResponse("there is no such page\n", 404)
        if path.startswith("/static/"):
            return None
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("no such method\n", 405)
        token = request.query_params.get("token")
        if token is not None and request.method == "GET" and self._site.doorkeeper.knows_token(token):
            rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
            return self._let_in(request, f"{path}?{urlencode(rest)}" if rest else path)
        named = request.headers.get(rules.header, "") if rules.header is not None else None
        visitor = self._site.doorkeeper.visitor(request.cookies.get(cookie_name(request)), named)
        if visitor is None and named and request.method == "GET":
            return self._let_in(request, f"{path}?{request.url.query}" if request.url.query else path, named)
        if request.method == "POST":
            if not is_from_here(request.headers.get("origin"), request.headers.get("sec-fetch-site"), host):
                return self._site.refused(request, 403, "this form was not sent by a page of this server")
            form = await _form(request)
            if form is None:
                return self._site.refused(request, 413, "this form is too large, or is no text")
            if path == "/enter":
                return await self._asked_in(request, form)
            if visitor is None:
                return self._site.door(request)
            if form.get("mark") != visitor.mark:
                return self._site.refused(request, 403, "this form was made for another session: load the page again")
            if rules.read_only and path != "/leave":
                return self._site.refused(request, 403, "nothing can be changed here: it was started with --read-only")
            request.state.form = form
        elif visitor is None:
            return self._site.door(request)
        request.state.visitor = visitor
        return None

    async def _asked_in(self, request: Request, form: dict[str, str]) -> Response:
        if self._waiting >= _GUESSES:
            return self._site.refused(request, 429, "too many try to come in: wait a moment")
        self._waiting += 1
        try:
            async with self._one_guess:
                await asyncio.sleep(min(self._wrong * 0.2, _LONGEST_WAIT))
                if not self._site.doorkeeper.knows_password(form.get("password", "")):
                    self._wrong += 1
                    return self._site.door(request, wrong=True, to=form.get("to", "/"))
                self._wrong = 0
        finally:
            self._waiting -= 1
        return self._let_in(request, form.get("to", "/"))

    def _let_in(self, request: Request, to: str, name: str = "") -> Response:
        # `//name` is an address elsewhere.
        here = to.startswith("/") and to[1:2] not in ("/", "\\")
        answer = self._site.led(to if here else "/")
        answer.set_cookie(
            cookie_name(request),
            self._site.doorkeeper.cookie(name),
            max_age=LASTS,
            path=self._site.root or "/",
            httponly=True,
            # Lax: with strict, an address that was clicked on elsewhere would not find the cookie it has just got.
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer


def cookie_name(request: Request) -> str:
    """
    With the port in it: browsers give cookies to all ports of a machine.
    """
    return f"oaflow-{request.url.port or 'web'}"


async def _form(request: Request) -> dict[str, str] | None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM_BYTES:
            return None
    if b"\0" in body or b"%00" in body:  # which no database takes
        return None
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS))
    except ValueError:  # too many fields, or no UTF-8
        return None


def _with_headers(send: Send, scope: Scope) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            # Pages say who may do what, and are of now; files are asked for again, and mostly not sent again.
            kept = "no-cache" if scope["path"].startswith("/static/") else "no-store"
            headers["Cache-Control"] = kept
        await send(message)

    return sent


def form_of(request: Request) -> dict[str, str]:
    """
    The fields of the form that came.
    """
    return request.state.form
