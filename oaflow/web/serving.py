"""
Starts the server: which address it listens at, who may come in there, and what is to be said about that.
"""

import logging
import re
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Thread
from typing import Any

import uvicorn

from oaflow.errors import EnvironmentProblem, UsageError
from oaflow.operations.browsing import Desk
from oaflow.operations.databases import database
from oaflow.settings import Settings
from oaflow.web.application import application
from oaflow.web.site import Site
from oaflow.web.visitors import Doorkeeper, Rules, is_loopback, new_token

# Streams of events end with the browser that reads them; at the end of the server they are not waited for longer.
_GOODBYE = 2


class OpenDoorError(UsageError):
    """
    Others could reach the page, and nobody said who may come in.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"at {host} others can reach the page, and nothing keeps them out",
            help="OAFLOW_WEB_PASSWORD=..., or behind a reverse proxy that lets people in: --trust-header NAME",
        )


class TakenAddressError(EnvironmentProblem):
    """
    Nobody can be answered at this address.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host, self.port, self.reason = host, port, reason
        super().__init__(f"port {port} of {host} cannot be used: {reason}", help="oaflow web --port PORT")


@dataclass(frozen=True, slots=True)
class Serving:
    """
    A server that listens already and does not answer yet.

    Attributes:
        url: to be opened; with the token in it, where there is one.
        remarks: what who started it should know.
    """

    url: str
    remarks: tuple[str, ...]
    _server: uvicorn.Server
    _socket: socket.socket

    def answer(self) -> None:
        """
        Answers until a signal comes.
        """
        # When it is done, the server raises the signal again that has ended it: the block around it has its end, too.
        before = {each: signal.signal(each, _nothing) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._server.run(sockets=[self._socket])
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def rules_of(
    settings: Settings, host: str, *, header: str | None, names: tuple[str, ...], read_only: bool
) -> tuple[Rules, tuple[str, ...]]:
    """
    Who may come in, and what is to be said about it.

    Args:
        host: that is listened at.
        header: in which a reverse proxy says who it has let in.
        names: of this machine, as they stand in addresses.

    Raises:
        OpenDoorError: nothing keeps others out.
    """
    password = settings.web_password.get_secret_value() if settings.web_password else None
    known = frozenset(name.lower() for name in (*names, host, socket.gethostname(), socket.getfqdn()))
    only_read = ("nothing can be changed from it: --read-only",) if read_only else ()
    if header is not None:
        remark = f"who comes with the header {header} is let in: nobody but the reverse proxy may reach this address"
        return Rules(header=header, names=known, read_only=read_only), (remark, *only_read)
    if password is not None:
        remark = "who knows OAFLOW_WEB_PASSWORD is let in"
        plain = () if is_loopback(host) else ("it is not encrypted: without a proxy with TLS others can read along",)
        return Rules(password=password, names=known, read_only=read_only), (remark, *plain, *only_read)
    if not is_loopback(host):
        raise OpenDoorError(host)
    return Rules(token=new_token(), read_only=read_only), only_read


def root_of(prefix: str) -> str:
    """
    What stands in front of each address.

    Raises:
        UsageError: it is no path.
    """
    root = "/" + prefix.strip("/")
    if not re.fullmatch(r"(/[\w.~-]+)+|/", root, re.ASCII):
        raise UsageError(f"{prefix!r} is no path of a page", help="oaflow web --prefix /oaflow")
    return root.rstrip("/")


@contextmanager
def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    header: str | None = None,
    names: tuple[str, ...] = (),
    read_only: bool = False,
    prefix: str = "",
    said: Callable[[Exception], None],
) -> Generator[Serving]:
    """
    The page of a database, for the time of a block.

    Args:
        port: 0 is any that is free.
        header, names, read_only: see `rules_of`.
        prefix: path under which a reverse proxy shows the pages.
        said: is told of errors in the program itself.

    Raises:
        UsageError: nothing would keep others out.
        EnvironmentProblem: there is no database, or the address cannot be had.
    """
    root = root_of(prefix)
    rules, remarks = rules_of(settings, host, header=header, names=names, read_only=read_only)
    with _listening(host, port) as listening, database(settings) as opened, Desk(opened, said=said) as desk:
        site = Site(desk, Doorkeeper(rules), said, root=root)
        Thread(target=site.prepare, name="oaflow web", daemon=True).start()
        config: Any = uvicorn.Config(
            application(site),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GOODBYE,
        )
        # What goes wrong is told by the site, in a sentence.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        address = f"http://{_shown(host, listening)}{root}/"
        url = f"{address}?token={rules.token}" if rules.token else address
        yield Serving(url, remarks, uvicorn.Server(config), listening)


def _shown(host: str, listening: socket.socket) -> str:
    """
    Where it is reached: by the name of the machine, where it listens at all of its addresses.
    """
    taken, port = listening.getsockname()[:2]
    if ip_address(taken).is_unspecified:
        return f"{socket.gethostname()}:{port}"
    return f"localhost:{port}" if host == "localhost" else f"[{taken}]:{port}" if ":" in taken else f"{taken}:{port}"


def _nothing(number: int, frame: object) -> None:
    pass


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:  # socket.gaierror is one
        raise TakenAddressError(host, port, getattr(error, "strerror", None) or str(error)) from error
    with made:
        yield made
