"""
OpenTelemetry traces that follow a document: one span per attempt, in the trace of its document.

All trace and span ids are computed from run, document, job and attempt, so workers agree without communication. The
parent of a span is the span of the job that handed it over. If that job was about another document (a crawled folder,
an archive), its span is repeated at the root of the trace, and linked.

Ended attempts go into a queue of the library, whose thread sends them. If the collector is slow or away, spans that do
not fit into the queue are dropped, and no job waits for them.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import orjson
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from oaflow import __version__
from oaflow.ledger.rows import Completion
from oaflow.plan import ANSWERS
from oaflow.runtime.held import Held

# At the end of a worker, spans that were not sent by then are lost.
_LAST_SECONDS = 2.0

# After these outcomes a job is over: its span has the id that its successors name as their parent.
_LAST = frozenset({"done", "failed", "diverted", "parted", "cancelled"})
_BAD = frozenset({"failed", "retried", "crashed", "diverted", "parted"})

_SCOPE = InstrumentationScope("oaflow", __version__)


def trace_number(run: str, document: str | None) -> int:
    """
    The trace id of a document; for a job without documents, that of the run.
    """
    return _number(16, "trace", run, document or "")


def span_number(run: str, job: int, attempt: int | None = None) -> int:
    """
    The span id of a job, as its successors name it; with `attempt`, that of an attempt that was not the last.
    """
    return _number(8, "span", run, str(job), "" if attempt is None else str(attempt))


def _number(size: int, *parts: str) -> int:
    # No id may be 0, and the separator between two parts occurs in neither.
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=size).digest(), "big") or 1


class Spans:
    """
    Sends the spans of one worker, configured by the `OTEL_*` variables.
    """

    def __init__(self) -> None:
        # One "Queue full" message per dropped span would fill the disk with logs.
        logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)
        own = Resource({"service.name": "oaflow", "service.version": __version__, "process.pid": os.getpid()})
        self._resource = own.merge(OTELResourceDetector().detect())
        self._sampler = TracerProvider(shutdown_on_exit=False).sampler
        self._queue = BatchSpanProcessor(OTLPSpanExporter())

    def ended(self, held: Held, completion: Completion, worker: int) -> None:
        """
        An attempt has ended, or a chunk of a stream was handed over, and the database has recorded it. Does not wait.
        """
        detail = orjson.loads(completion.detail)
        for span in self._spans(held, completion, worker, detail):
            self._queue.on_end(span)

    def stop(self) -> None:
        """
        Send what is left, within a short time limit.
        """
        ending = threading.Thread(target=self._queue.shutdown, name="oaflow spans", daemon=True)
        ending.start()
        ending.join(_LAST_SECONDS)

    def _spans(
        self, held: Held, completion: Completion, worker: int, detail: Mapping[str, Any]
    ) -> Iterator[ReadableSpan]:
        run, job, stage = completion.run, completion.job, completion.stage
        documents = held.documents
        document = documents[0] if documents else None
        last = completion.outcome == "chunk" or completion.outcome in _LAST
        mine = self._context(run, document, span_number(run, job, None if last else completion.attempt), stage)
        for found in dict.fromkeys(names[0] for _, names in detail.get("handed", ()) if names):
            root = self._context(run, found, span_number(run, job), stage)
            if found != document and root is not None:
                yield self._span(
                    root,
                    None,
                    stage,
                    (completion.ended, completion.ended),
                    {"oaflow.run": run, "oaflow.stage": stage, "oaflow.job": job, "oaflow.document": found},
                    links=() if mine is None else (Link(mine),),
                )
        if mine is None or completion.outcome == "chunk":
            return
        if last and (held.row.queue, held.row.task) == ANSWERS:
            yield from self._served(mine, held, completion, document)
        error = detail.get("error", {})
        parent = None if completion.parent is None else span_number(run, completion.parent)
        facts: dict[str, str | int | float | list[str]] = {
            "oaflow.run": run,
            "oaflow.pipeline": held.passage.plan.pipeline,
            "oaflow.dataset": held.passage.dataset,
            "oaflow.stage": stage,
            "oaflow.job": job,
            "oaflow.attempt": completion.attempt,
            "oaflow.outcome": completion.outcome,
            "oaflow.queue": held.row.queue,
            "oaflow.task": held.row.task,
            "oaflow.worker": worker,
            "oaflow.version": completion.version,
            # From the claim to the start; the time between the end of the parent and the claim was spent in the queue.
            "oaflow.wait": round(max(completion.started - _wall(held.since), 0.0), 6),
        }
        if documents:
            facts |= {"oaflow.document": documents[0], "oaflow.documents": documents}
        times = (completion.started, completion.ended)
        yield self._span(mine, parent, stage, times, facts, error=error, bad=completion.outcome in _BAD)

    def _served(
        self, answer: SpanContext, held: Held, completion: Completion, document: str | None
    ) -> Iterator[ReadableSpan]:
        """
        A span for the job of a service, which sends none, so that its answer and everything after it hang below the
        stage that handed it over. When the service started is not known, so the span has no duration.
        """
        answered = orjson.loads(held.row.args)["payload"]["context"]["oaflow"]["answered"]
        # Under `emit: stream` each chunk has an answer, and the last one is empty.
        if completion.parent is None or (answered["emit"] == "stream" and answered["returned"]):
            return
        number = span_number(completion.run, completion.parent)
        context = SpanContext(answer.trace_id, number, is_remote=False, trace_flags=answer.trace_flags)
        above = answered.get("parent")
        facts: dict[str, Any] = {
            "oaflow.run": completion.run,
            "oaflow.stage": completion.stage,
            "oaflow.job": completion.parent,
            "oaflow.service": held.passage.plan.stages[completion.stage].task,
        }
        if document is not None:
            facts["oaflow.document"] = document
        times = (completion.started, completion.started)
        yield self._span(
            context, None if above is None else span_number(completion.run, above), completion.stage, times, facts
        )

    def _context(self, run: str, document: str | None, span: int, stage: str) -> SpanContext | None:
        """
        None if the sampler leaves out the trace: it decides by the trace id, so all workers decide alike.
        """
        trace = trace_number(run, document)
        if self._sampler.should_sample(None, trace, stage).decision is not Decision.RECORD_AND_SAMPLE:
            return None
        return SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def _span(
        self,
        context: SpanContext,
        parent: int | None,
        name: str,
        times: tuple[float, float],
        attributes: Mapping[str, Any],
        *,
        links: tuple[Link, ...] = (),
        error: Mapping[str, Any] | None = None,
        bad: bool = False,
    ) -> ReadableSpan:
        began, ended = (int(moment * 1e9) for moment in times)
        events: tuple[Event, ...] = ()
        if error:
            # Only type and message; the traceback is in the history, and may contain text of a document.
            facts = {"exception.type": str(error.get("type", "")), "exception.message": str(error.get("message", ""))}
            events = (Event("exception", facts, timestamp=ended),)
        return ReadableSpan(
            name,
            context=context,
            parent=None if parent is None else SpanContext(context.trace_id, parent, is_remote=True),
            resource=self._resource,
            attributes=attributes,
            events=events,
            links=links,
            kind=SpanKind.CONSUMER,
            status=Status(StatusCode.ERROR, str(error.get("type", ""))) if bad and error else Status(StatusCode.UNSET),
            start_time=began,
            end_time=max(began, ended),
            instrumentation_scope=_SCOPE,
        )


def _wall(monotonic: float) -> float:
    return time.time() - (time.monotonic() - monotonic)
