"""
`oaflow worker --health`: answers `/live` and `/ready` over HTTP, and `/metrics` where the extra `telemetry` is.

The supervisor answers: there is one for any number of workers, and it still answers when one of them is stopped, ends
or is replaced. The first three do not use the database, so a probe costs it nothing.
"""

import ipaddress
import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from oaflow.errors import EnvironmentProblem, UsageError
from oaflow.operations.systemd import ServiceManager
from oaflow.runtime.figures import Tally
from oaflow.runtime.vitals import Health, Observation, Phase, Vital, judge
from oaflow.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import Metric

    from oaflow.operations.databases import Database

LOOPBACK = "127.0.0.1"

# A request line is one packet: a client that has not sent it by then only holds a thread.
_REQUEST_SECONDS = 5.0

_NO_METRICS = "metrics need a library that is not installed: pip install 'oaflow[telemetry]'\n"

_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


class HealthAddressError(UsageError):
    """
    The value of `--health` is not an address.
    """

    def __init__(self, given: str) -> None:
        self.given = given
        super().__init__(
            f"--health {given!r} is neither a port, such as 8080, nor an address and a port, such as 0.0.0.0:8080"
        )


class HealthPortError(EnvironmentProblem):
    """
    The server cannot listen at this address.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host, self.port, self.reason = host, port, reason
        super().__init__(
            f"--health: port {port} of {host} cannot be used: {reason}", help="oaflow worker --health PORT"
        )


def health_address(given: str) -> tuple[str, int]:
    """
    Host and port of `8080`, `0.0.0.0:8080` or `[::1]:8080`. Without a host, only this machine can connect.

    Raises:
        HealthAddressError: it is none of these.
    """
    host, _, port = given.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise HealthAddressError(given)
    host = host.removeprefix("[").removesuffix("]") if host else LOOPBACK
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise HealthAddressError(given) from None
    return host, int(port)


def ask(given: str) -> tuple[str, str | None]:
    """
    Ask the command with this `--health` option whether it is ready.

    Returns:
        the address that was asked, and why it is not ready; None if it is.
    """
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, build_opener

    host, port = health_address(given)
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/ready"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_REQUEST_SECONDS):
            return url, None
    except HTTPError as answer:
        return url, "; ".join(answer.read().decode(errors="replace").splitlines())
    except OSError as error:
        return url, f"it does not answer: {getattr(error, 'reason', error)}"


class Watched:
    """
    The state of a worker for monitoring: written by the loop of the supervisor, read by threads.

    Args:
        settings: of the worker.
        count: how many worker processes there should be.
        environment: of the process.
        now: a monotonic clock.
    """

    def __init__(
        self,
        settings: Settings,
        count: int,
        environment: MutableMapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dead_after, self._count, self._now = settings.dead_after, count, now
        self._systemd = ServiceManager(environment, now)
        self._seen = Observation(now(), count, "waits")
        self._tally = Tally()
        self._opened: Database | None = None

    def begin(self, opened: "Database", tally: Tally) -> None:
        """
        The database is ready, and workers count in this tally.
        """
        self._opened, self._tally = opened, tally

    def see(self, phase: Phase, workers: tuple[Vital, ...] = ()) -> None:
        """
        The loop has turned.
        """
        stops = phase == "drains" and self._seen.phase != "drains"
        # Replaced as a whole, so that readers need no lock.
        self._seen = Observation(self._now(), self._count, phase, workers)
        if stops:
            self._systemd.stopping()
        else:
            self._systemd.tell(self.health())

    def health(self) -> Health:
        """
        Its health at this moment.
        """
        return judge(self._seen, self._now(), self._dead_after)

    def metrics(self) -> "dict[str, Callable[[], Iterable[Metric]]]":
        """
        The metrics, by path.

        Raises:
            ImportError: the library for metrics is not installed.
        """
        from oaflow.operations.metrics import DatabaseMetrics, Snapshot, of_workers

        whole = DatabaseMetrics()
        return {
            "/metrics": lambda: of_workers(
                Snapshot(self._tally, tuple(worker.pid for worker in self._seen.workers), self.health())
            ),
            "/metrics/database": lambda: whole.of(self._opened),
        }


class HealthServer:
    """
    Answers in its own threads, while the block runs.

    Args:
        address: host and port; port 0 is any free port.
        watched: knows the state.
    """

    def __init__(self, address: tuple[str, int], watched: Watched) -> None:
        host, port = address
        try:
            self._server = _Server(address, watched)
        except OSError as error:  # socket.gaierror is one
            raise HealthPortError(host, port, error.strerror or str(error)) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="oaflow health", daemon=True)

    @property
    def url(self) -> str:
        """
        The address of the server.
        """
        host, port = self._server.server_address[:2]
        shown = f"[{host}]" if ":" in str(host) else host
        return f"http://{shown}:{port}"

    def __enter__(self) -> "HealthServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a slow client must not delay the end of the command

    def __init__(self, address: tuple[str, int], watched: Watched) -> None:
        self.health, self._watched = watched.health, watched
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    @cached_property
    def metrics(self) -> "Mapping[str, Callable[[], Iterable[Metric]]] | None":
        """
        The metrics, by path; None without the library, which is loaded at the first request.
        """
        try:
            return self._watched.metrics()
        except ImportError:
            return None

    def server_bind(self) -> None:
        # Not that of http.server, which looks up its own name in the DNS.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """
        Ignore clients that have disconnected.
        """
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "oaflow", ""
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        """
        200 if it is true, otherwise 503 with the reasons; as JSON for clients that accept it.
        """
        path = self.path.partition("?")[0]
        health = self.server.health()
        match path:
            case "/live":
                self._answer("live", health.live, health.not_live)
            case "/ready":
                self._answer("ready", health.ready, health.not_ready)
            case "/metrics" | "/metrics/database":
                self._send_metrics(path)
            case _:
                self._send(404, _TEXT, "not found; there are /live, /ready, /metrics and /metrics/database\n")

    do_HEAD = do_GET

    def _send_metrics(self, path: str) -> None:
        if self.server.metrics is None:
            self._send(501, _TEXT, _NO_METRICS)
            return
        from oaflow.operations.metrics import encoded

        kind, body = encoded(self.server.metrics[path](), self.headers.get("Accept", ""))
        self._send(200, kind, body)

    def _answer(self, what: str, holds: bool, reasons: tuple[str, ...]) -> None:
        status = 200 if holds else 503
        if _JSON in self.headers.get("Accept", ""):
            self._send(status, _JSON, json.dumps({what: holds, "reasons": reasons}) + "\n")
        else:
            self._send(status, _TEXT, f"{what}\n" if holds else "".join(f"not {what}: {one}\n" for one in reasons))

    def _send(self, status: int, kind: str, text: str | bytes) -> None:
        body = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """
        Log nothing: there is a probe every few seconds.
        """
