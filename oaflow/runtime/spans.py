"""
Traces along a document's way, for what speaks OpenTelemetry: a span an attempt, in the trace of its document.

All numbers of traces and spans are worked out of run, document, job and attempt, so workers agree without a word.
The parent of a span is that of the job that handed it over. Where that one was about another document (a folder that
was crawled, an archive), it is shown once more at the root of the trace, and linked.

Ended attempts go into a queue of the library, whose thread sends them: where its collector is slow, or away, what does
not fit any more is dropped, and no job waits for it.
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

# At the end of a worker, what was not sent by then stays unsent.
_LAST_SECONDS = 2.0

# After these a job does not go on by itself: its span has the number that its successors name as their parent's.
_LAST = frozenset({"done", "failed", "diverted", "parted", "cancelled"})
_BAD = frozenset({"failed", "retried", "crashed", "diverted", "parted"})

_SCOPE = InstrumentationScope("oaflow", __version__)


def trace_number(run: str, document: str | None) -> int:
    """
    Of the trace of a document; of what carries none, the run's own.
    """
    return _number(16, "trace", run, document or "")


def span_number(run: str, job: int, attempt: int | None = None) -> int:
    """
    Of the span of a job, as its successors name it; with an attempt, of one that was not the last.
    """
    return _number(8, "span", run, str(job), "" if attempt is None else str(attempt))


def _number(size: int, *parts: str) -> int:
    # No number may be 0; and what is between two parts is in none of them.
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=size).digest(), "big") or 1


class Spans:
    """
    Sends the spans of one worker, as the `OTEL_*` variables say.
    """

    def __init__(self) -> None:
        # "Queue full" for each that is dropped would fill the disk with the log of it.
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
        Sends what is left, for a moment.
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
            # From the claim to the beginning; what is between the end of the parent and that is spent in the queue.
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
        The job of a service of others, which sends no span: so that its answer, and all that follows, hangs where that
        was handed over. When the service began with it is not known: it takes no time.
        """
        answered = orjson.loads(held.row.args)["payload"]["context"]["oaflow"]["answered"]
        # Under `emit: stream` each part has an answer, and the last one is empty.
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
        None where the sampler leaves the trace out: it decides by its number, so all workers decide alike.
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
            # Its kind and sentence; the traceback stands in the history, and may hold what a document says.
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
