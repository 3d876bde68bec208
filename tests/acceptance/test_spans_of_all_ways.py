"""
Traces where jobs are streamed, put together, joined, crashed, and done by a service of others: nothing hangs loose.
"""

import subprocess
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.acceptance.conftest import Command
from tests.acceptance.test_external import SERVICE
from tests.acceptance.test_processes import query
from tests.acceptance.test_spans import collector, facts

STAGES = {
    "source": {"with": {"count": 6}, "emit": "stream", "next": ["fails_once", "crashes"]},
    "fails_once": {"with": {"marker": "MARKER"}, "retry": {"max": 1, "backoff": "none"}, "next": "several"},
    "crashes": {"with": {"on": ["doc-1"]}, "on_error": "aside"},
    "aside": {"task": "end"},
    "several": {"task": "end", "collect": {"size": 3, "wait": "1s"}},
    "last": {"task": "end", "join": "run"},
}


def test_streams_collected_jobs_crashes_and_joins_hang_in_one_tree_as_the_history_says(cli: Command) -> None:
    stages: dict[str, Any] = STAGES | {
        "fails_once": STAGES["fails_once"] | {"with": {"marker": str(cli.folder / "marker")}}
    }
    name = cli.pipeline("ways", stages)
    with collector() as there:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url, "OAFLOW_CRASHES": "1"}
        assert cli("run", name, "-d", "demo", "--workers", "1", env=traced).code in (0, 1)

    history = query(
        cli,
        "SELECT stage, job, outcome, parent FROM oaflow.hops WHERE attempt IS NOT NULL AND outcome <> 'chunk'",
    )
    spans = [span for span in there.spans if "oaflow.outcome" in facts(span)]
    told = sorted(
        (facts(span)["oaflow.stage"], facts(span)["oaflow.job"], facts(span)["oaflow.outcome"]) for span in spans
    )
    assert told == sorted((stage, job, outcome) for stage, job, outcome, _ in history)
    assert {outcome for _, _, outcome in told} >= {"done", "retried", "diverted"}
    assert {stage for stage, _, _ in told} == set(STAGES)
    by_number = {
        span.span_id: facts(span)["oaflow.job"] for span in spans if facts(span)["oaflow.outcome"] != "retried"
    }
    roots = {span.span_id for span in there.spans if "oaflow.outcome" not in facts(span)}
    parents = {job: parent for _, job, _, parent in history}
    for span in spans:
        parent = parents[facts(span)["oaflow.job"]]
        if parent is None:
            assert span.parent_span_id == b""
        else:
            assert by_number.get(span.parent_span_id) == parent or span.parent_span_id in roots
    # What was put together is in the trace of the first, and names all of them.
    several = [facts(span) for span in spans if span.name == "several"]
    assert sum(len(one["oaflow.documents"].values) for one in several) == 6
    (joined,) = [span for span in spans if span.name == "last"]
    assert facts(joined)["oaflow.run"] in {facts(span)["oaflow.run"] for span in spans if span.name == "source"}


PIPELINE = """
pipeline: served
stages:
  source: {task: stages_for_tests.source, with: {count: 2}, next: translate}
  translate:
    task: service.translate
    queue: translate
    external: true
    next: {index: end}
  end: {task: stages_for_tests.end}
"""


def test_what_follows_a_service_of_others_is_in_the_trace_of_its_document(
    cli: Command, database: str, started: Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
) -> None:
    (cli.folder / "served.yml").write_text(PIPELINE)
    assert cli("db", "migrate", "--capture").code == 0
    environment = cli.environment | {"PROCRASTINATE_APP": "service_for_tests.app", "SERVICE_DB": database}
    started(subprocess.Popen(SERVICE, env=environment, stderr=subprocess.DEVNULL, text=True))
    with collector() as there:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url}
        assert cli("run", "served.yml", "-d", "demo", "--workers", "1", env=traced).code == 0

    traces: dict[bytes, list[Span]] = {}
    for span in there.spans:
        traces.setdefault(span.trace_id, []).append(span)
    of_documents = [trace for trace in traces.values() if "oaflow.document" in facts(trace[0])]
    assert len(of_documents) == 2
    for trace in of_documents:
        # The job of the service stands between what handed over to it and its answer.
        names = {span.span_id: span for span in trace}
        (last,) = [span for span in trace if span.name == "end"]
        way = [last]
        while way[-1].parent_span_id:
            way.append(names[way[-1].parent_span_id])
        assert [span.name for span in way] == ["end", "translate", "translate", "source"]
        assert facts(way[2])["oaflow.service"] == "service.translate"
        assert len(trace) == 4
