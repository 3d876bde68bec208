"""
Traces, as a collector gets them: of real workers, compared with the history, both as they are sent and as a collector
that is not ours sends them on; and what a collector that hangs, or is not there, keeps from running.
"""

import gzip
import runpy
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.acceptance.conftest import ROOT, Command
from tests.acceptance.test_processes import query

Until = Callable[[Callable[[], Any]], Any]

STAGES = {
    "source": {"with": {"count": 12}, "next": "picky"},
    "picky": {
        "task": "fails",
        "with": {"on": ["doc-3"]},
        "retry": {"max": 1, "backoff": "none"},
        "on_error": "aside",
        "next": ["end", "last"],
    },
    "aside": {"task": "end"},
    "end": {},
    "last": {"task": "end"},
}


class Collector(ThreadingHTTPServer):
    """
    Takes spans, or takes the request and never answers.
    """

    daemon_threads = True

    def __init__(self, *, hangs: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hangs, self.asked, self.over = hangs, threading.Event(), threading.Event()
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.facts: set[str] = set()  # of the services
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.set()
        if self.server.hangs:
            self.server.over.wait()
            return
        told = ExportTraceServiceRequest.FromString(
            gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        )
        for resource in told.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.server.services.add(names["service.name"])
            self.server.facts.add(str(resource.resource))
            self.server.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """
        Nothing.
        """


@contextmanager
def collector(*, hangs: bool = False) -> Iterator[Collector]:
    with Collector(hangs=hangs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@contextmanager
def between(there: Collector, folder: Path, until: Until) -> Iterator[str]:
    """
    The address of a real collector, which sends on what it gets.
    """
    made: Path = runpy.run_path(str(ROOT / "tests" / "compat" / "environment.py"))["ENVIRONMENTS"].folder("rotel")
    program = next(made.glob("lib/*/site-packages/rotel/rotel-agent"), None)
    if program is None:
        pytest.skip("there is no collector here: make compat-env, on Linux and x86-64")
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        http, grpc = (f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other))
    receives = [f"--otlp-http-endpoint={http}", f"--otlp-grpc-endpoint={grpc}"]
    sends = ["--exporter=otlp", f"--otlp-exporter-endpoint={there.url}", "--otlp-exporter-protocol=http"]
    with (folder / "rotel.txt").open("w") as output:
        process = subprocess.Popen(
            [program, "start", *receives, *sends, "--batch-timeout=200ms"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: listens(http))
        yield f"http://{http}"
    finally:
        process.terminate()
        process.wait(20)


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


@pytest.fixture(params=["as they are sent", "as a collector sends them on"])
def spans_of(request: pytest.FixtureRequest, cli: Command, tmp_path: Path, until: Until) -> Collector:
    """
    What a run of STAGES told of itself, all of it.
    """
    name = cli.pipeline("traced", STAGES)
    with ExitStack() as stack:
        there = stack.enter_context(collector())
        direct = request.param == "as they are sent"
        url = there.url if direct else stack.enter_context(between(there, tmp_path, until))
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        assert cli("run", name, "-d", "demo", "--workers", "2", env=traced).code == 0
    return there


def test_the_tree_of_spans_is_that_of_the_history(cli: Command, spans_of: Collector) -> None:
    there = spans_of
    assert there.services == {"oaflow"}
    spans = [span for span in there.spans if "oaflow.outcome" in facts(span)]
    found = [span for span in there.spans if "oaflow.outcome" not in facts(span)]

    # A span for each attempt of the history, with what it says of it.
    history = query(
        cli,
        "SELECT stage, job, outcome, parent, worker, round(extract(epoch FROM ended - started) * 1000)"
        " FROM oaflow.hops WHERE attempt IS NOT NULL AND outcome <> 'chunk'",
    )
    assert Counter((facts(span)["oaflow.job"], facts(span)["oaflow.outcome"]) for span in spans) == Counter(
        (job, outcome) for _, job, outcome, *_ in history
    )
    by_number = {span.span_id: span for span in spans if facts(span)["oaflow.outcome"] != "retried"}
    assert len(by_number) == len({row[1] for row in history})
    rows = {(job, outcome): (stage, parent, worker, took) for stage, job, outcome, parent, worker, took in history}
    for span in spans:
        mine = facts(span)
        stage, parent, worker, took = rows[mine["oaflow.job"], mine["oaflow.outcome"]]
        assert (span.name, mine["oaflow.stage"], mine["oaflow.worker"]) == (stage, stage, worker)
        assert abs((span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 - float(took)) <= 1
        if parent is None:
            assert span.parent_span_id == b""
        else:
            assert facts(by_number[span.parent_span_id])["oaflow.job"] == parent
        failed = mine["oaflow.outcome"] in ("retried", "diverted")
        assert (span.status.code == Status.STATUS_CODE_ERROR) is failed
        if failed:
            (event,) = span.events
            assert {one.key: one.value.string_value for one in event.attributes}["exception.type"] == "ValueError"

    # Each document has a trace of its own, which is whole: one root, and the parent of each other span is in it.
    traces: dict[bytes, list[Span]] = {}
    for span in there.spans:
        traces.setdefault(span.trace_id, []).append(span)
    documents = {f"doc-{number}" for number in range(12)}
    assert {facts(span)["oaflow.document"] for span in found} == documents
    assert len(found) == len(documents) == len(traces) - 1  # and that of the run itself
    for trace in traces.values():
        numbers = {span.span_id for span in trace}
        assert len({facts(span).get("oaflow.document") for span in trace}) == 1
        assert [span.parent_span_id in numbers for span in trace].count(False) == 1
    (source,) = [span for span in spans if span.name == "source"]
    for root in found:
        assert [(link.trace_id, link.span_id) for link in root.links] == [(source.trace_id, source.span_id)]


def test_a_collector_that_hangs_or_is_away_keeps_nothing_waiting(cli: Command) -> None:
    name = cli.pipeline("traced", STAGES)
    with collector(hangs=True) as there:
        traced = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": there.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_MAX_QUEUE_SIZE": "8",
        }
        traced["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "4"
        began = time.monotonic()
        assert cli("run", name, "-d", "hangs", "--workers", "1", env=traced).code == 0
        assert there.asked.is_set()
    hung = time.monotonic() - began
    traced["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    assert cli("run", name, "-d", "away", "--workers", "1", env=traced).code == 0
    done = "SELECT dataset, sum(done)::int FROM oaflow.counters JOIN oaflow.runs ON id = run GROUP BY 1 ORDER BY 1"

    assert query(cli, done) == [("away", 1 + 11 + 1 + 22), ("hangs", 1 + 11 + 1 + 22)]
    assert hung < 60


def facts(span: Span) -> dict[str, Any]:
    """
    The attributes of a span.
    """
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
