"""
What telemetry costs a worker: the chain with nobody who asks, with traces that a collector takes, and with `/metrics`
and `/metrics/database` asked once a second.
"""

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.ground import Ground, begin, chain, finished, ground, passed, worker
from benchmarks.harness import Figure, Report, Size, interleaved, ratios
from benchmarks.rates import ASYNC, executors_of_all_cores
from benchmarks.watch import EVERY, Watch

ROOTS: dict[Size, int] = {"tiny": 200, "small": 5_000, "full": 50_000}
WARM = 100  # first jobs of the run before, in which all is imported and connected

ASKED_EVERY = 1.0  # seconds; Prometheus asks each 15 or 60

# What the library's queue holds by default is less than what a chain of empty stages makes between two looks.
QUEUE = "400000"


class Taken(NamedTuple):
    """
    Jobs a second, CPU seconds of all processes of the worker for a job, and what was told or asked.
    """

    rate: float
    processor: float
    told: float = 0.0


def measure(size: Size, rounds: int) -> Report:
    """
    Rate of each, CPU of a worker above that of the first, and what came.
    """
    roots = ROOTS[size]
    with ground() as place:
        variants: dict[str, Callable[[], Taken]] = {
            "none": partial(_silent, place, roots),
            "traces": partial(_traced, place, roots),
            "traces, one document of a hundred": partial(_traced, place, roots, "0.01"),
            "metrics, asked every second": partial(_scraped, place, roots),
        }
        found = interleaved(variants, rounds)
    none = found["none"]
    figures = [
        Figure("no telemetry", "jobs/s", tuple(one.rate for one in none)),
        Figure("no telemetry: CPU of the worker", "µs a job", tuple(1e6 * one.processor for one in none)),
    ]
    for name in list(variants)[1:]:
        figures += [
            Figure(name, "jobs/s", tuple(one.rate for one in found[name])),
            Figure(f"{name}: ratio", "times", ratios([one.rate for one in found[name]], [one.rate for one in none])),
            Figure(
                f"{name}: CPU of the worker above it",
                "µs a job",
                tuple(1e6 * (one.processor - other.processor) for one, other in zip(found[name], none, strict=True)),
            ),
        ]
    figures += [
        Figure("traces: spans that came", "a job", tuple(one.told for one in found["traces"])),
        Figure("metrics: a scrape of both", "ms", tuple(one.told for one in found["metrics, asked every second"])),
    ]
    return Report(
        "telemetry",
        f"a chain of three empty async stages, {roots:,} roots, one worker process",
        tuple(figures),
        (
            "The collector is a part of the benchmark: it keeps what comes, and reads it afterwards."
            f" OTEL_BSP_MAX_QUEUE_SIZE is {QUEUE}.",
            "A span that did not find room in the library's queue does not come.",
        ),
    )


def _silent(place: Ground, roots: int) -> Taken:
    return _passed(place, roots)


def _traced(place: Ground, roots: int, share: str = "1") -> Taken:
    with _collector() as there:
        taken = _passed(
            place,
            roots,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{there.server_address[1]}",
            OTEL_BSP_MAX_QUEUE_SIZE=QUEUE,
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2000",
            OTEL_TRACES_SAMPLER="traceidratio",
            OTEL_TRACES_SAMPLER_ARG=share,
        )
        return taken._replace(told=there.spans() / (3 * (roots + WARM)))


def _scraped(place: Ground, roots: int) -> Taken:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with _asking(port) as took:
        taken = _passed(place, roots, port)
    if not took:
        raise RuntimeError(f"metrics were not read once while {3 * roots} jobs passed: take more")
    return taken._replace(told=1000 * sum(took) / len(took))


def _passed(place: Ground, roots: int, port: int | None = None, **more: str) -> Taken:
    """
    The chain in a worker that has run one before. CPU: from the first's end to that of the second.
    """
    address = place.database("telemetry", events=False)
    warm = begin(address, chain(ASYNC), WARM)
    flags = () if port is None else ("--health", str(port))
    crew = worker(place, address, executors=executors_of_all_cores(), flags=flags, **more)
    with crew as process, Watch(process) as watch:
        finished(address, warm)
        time.sleep(4 * EVERY)
        before = watch.processor
        run = begin(address, chain(ASYNC), roots)
        state = finished(address, run)
        time.sleep(4 * EVERY)
        used = watch.processor - before
    there = passed(address, run)
    if state != "finished" or there.attempts != 3 * roots:
        raise RuntimeError(f"the run is {state} after {there.attempts} of {3 * roots} jobs")
    return Taken(there.rate, used / there.attempts)


class _Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[tuple[bytes, bool]] = []

    def spans(self) -> int:
        """
        How many came.
        """
        return sum(
            len(scope.spans)
            for body, packed in self.bodies
            for resource in ExportTraceServiceRequest.FromString(
                gzip.decompress(body) if packed else body
            ).resource_spans
            for scope in resource.scope_spans
        )


class _Handler(BaseHTTPRequestHandler):
    server: _Collector  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append((body, self.headers.get("content-encoding") == "gzip"))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """
        Nothing.
        """


@contextmanager
def _collector() -> Generator[_Collector]:
    with _Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def _asking(port: int) -> Generator[list[float]]:
    """
    Both pages, asked again and again for the time of a block; the seconds that they took.
    """
    took: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(ASKED_EVERY):
            with suppress(OSError):  # it does not listen yet, or not any more
                began = time.perf_counter()
                for path in ("/metrics", "/metrics/database"):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                    connection.request("GET", path)
                    connection.getresponse().read()
                    connection.close()
                took.append(time.perf_counter() - began)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield took
    finally:
        over.set()
        asking.join()
