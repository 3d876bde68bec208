"""
What Prometheus reads at `oaflow worker --health`: at `/metrics` what the workers of this command have done, at
`/metrics/database` how all runs stand. The first is asked of every machine, the second of one, or its sums are doubled.

Labels are pipelines, stages, queues, states and outcomes: as many as somebody has written down. A run, a job or a
document is never one, as each would be a series that is kept for as long as everything else; `oaflow trace` and
`oaflow status` answer for these.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from oaflow import __version__
from oaflow.errors import EnvironmentProblem
from oaflow.ledger.measured import Measured, measured
from oaflow.operations.databases import Database
from oaflow.runtime.figures import Tally, Totals
from oaflow.runtime.vitals import Health

# Of the whole database no more is asked than this, however many ask and how often.
_FRESH_SECONDS = 5.0

# A statement of it takes no longer: who scrapes gives up after 10 s, and asks again.
_STATEMENT_SECONDS = 5.0

_STAGE = ("pipeline", "stage")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    What is known of the workers of a command, at one moment.
    """

    tally: Tally
    pids: tuple[int, ...]
    health: Health


def encoded(metrics: Iterable[Metric], accept: str) -> tuple[str, bytes]:
    """
    Media type and text, as whoever asks reads it.

    Args:
        accept: the header of the request.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(list(metrics)))
    encode, kind = choose_encoder(accept)
    return kind, encode(registry)


class _Collected(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def of_workers(workers: Snapshot) -> Iterator[Metric]:
    """
    What the workers of this command have done since it began, and how they are.
    """
    yield InfoMetricFamily("oaflow", "The program that is asked.", {"version": __version__})
    for name, holds, text in (
        ("live", workers.health.live, "Whether a restart would mend nothing: what /live says."),
        ("ready", workers.health.ready, "Whether all workers take jobs: what /ready says."),
    ):
        yield GaugeMetricFamily(f"oaflow_worker_{name}", text, int(holds))
    yield GaugeMetricFamily("oaflow_worker_processes", "Worker processes that run.", len(workers.pids))
    yield CounterMetricFamily(
        "oaflow_worker_deaths", "Worker processes that ended unasked, and were replaced.", workers.tally.deaths
    )
    yield from _counted(workers.tally.totals())
    memory = GaugeMetricFamily(
        "oaflow_worker_memory_bytes", "Resident memory: of this process, of its workers, of theirs.", labels=["process"]
    )
    for process, size in _memory(workers.pids).items():
        memory.add_metric([process], size)
    yield memory


def _counted(totals: Totals) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "oaflow_worker_attempts",
        "Attempts that the database has the end of, by outcome; chunk: a part of a stream.",
        labels=[*_STAGE, "outcome"],
    )
    took = HistogramMetricFamily(
        "oaflow_worker_attempt_seconds", "How long attempts took, however they ended.", labels=_STAGE
    )
    for key, figures in sorted(totals.stages.items()):
        for outcome, count in sorted(figures.outcomes.items()):
            attempts.add_metric([*key, outcome], count)
        took.add_metric(key, figures.took.cumulative, figures.took.seconds)
    yield from (attempts, took)
    handed = HistogramMetricFamily(
        "oaflow_worker_handover_seconds", "From the end of an attempt until the database had it, and what follows it."
    )
    handed.add_metric([], totals.handed.cumulative, totals.handed.seconds)
    yield handed
    counts, gauges = totals.counts, totals.gauges
    yield CounterMetricFamily("oaflow_worker_claims", "Statements that asked for jobs.", counts["claims"])
    yield CounterMetricFamily("oaflow_worker_claimed_jobs", "Jobs that came of them.", counts["claimed"])
    jobs = GaugeMetricFamily(
        "oaflow_worker_jobs",
        "Jobs in hand: claimed and not begun, running, and ended without the database's answer.",
        labels=["state"],
    )
    for state in ("buffered", "running", "unanswered"):
        jobs.add_metric([state], gauges[state])
    yield jobs
    executors = GaugeMetricFamily("oaflow_worker_executors", "Processes that run sync stages.", labels=["state"])
    executors.add_metric(["busy"], gauges["executors_busy"])
    executors.add_metric(["idle"], gauges["executors"] - gauges["executors_busy"])
    yield executors


def _memory(pids: tuple[int, ...]) -> dict[str, int]:
    sizes: defaultdict[str, int] = defaultdict(int, supervisor=_size(psutil.Process(os.getpid())))
    for pid in pids:
        with suppress(psutil.Error):
            worker = psutil.Process(pid)
            sizes["workers"] += _size(worker)
            sizes["executors"] += sum(map(_size, worker.children(recursive=True)))
    return sizes


def _size(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return process.memory_info().rss
    return 0


class DatabaseMetrics:
    """
    How all runs stand: read when it is asked for, by one at a time, and not more often than it changes much.

    Args:
        now: a monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._read: tuple[float, list[Metric]] | None = None

    def of(self, opened: Database | None) -> list[Metric]:
        """
        All of it.

        Args:
            opened: the database; None where it has not answered yet.
        """
        with self._lock:
            if self._read is None or self._now() - self._read[0] >= _FRESH_SECONDS:
                self._read = (self._now(), list(_asked(opened)))
            return self._read[1]


def _asked(opened: Database | None) -> Iterator[Metric]:
    up = GaugeMetricFamily("oaflow_database_up", "Whether the database answers; where not, nothing else is here.")
    began = time.perf_counter()
    found = None
    if opened is not None:
        with suppress(EnvironmentProblem, psycopg.Error), opened.connect("oaflow metrics") as made:
            found = measured(made, silent=opened.settings.dead_after, seconds=_STATEMENT_SECONDS)
    up.add_metric([], int(found is not None))
    yield up
    yield GaugeMetricFamily(
        "oaflow_database_read_seconds", "How long it took to read what stands here.", time.perf_counter() - began
    )
    if found is not None:
        yield from of_database(found)


def of_database(found: Measured) -> Iterator[Metric]:
    """
    How all runs stand.
    """
    runs = GaugeMetricFamily("oaflow_runs", "Runs of a pipeline, by state.", labels=["pipeline", "state"])
    for one in found.runs:
        runs.add_metric([one.pipeline, one.state], one.runs)
    yield runs
    yield from _jobs(found)
    oldest = GaugeMetricFamily(
        "oaflow_oldest_waiting_seconds",
        "For how long the next job of a stage has waited for a worker; those for another attempt or a lock left out.",
        labels=[*_STAGE, "queue"],
    )
    waiting = {(one.pipeline, one.stage): one.open - one.running for one in found.jobs}
    queues: defaultdict[str, int] = defaultdict(int)
    for one in found.oldest:
        oldest.add_metric([one.pipeline, one.stage, one.queue], max(one.seconds, 0.0))
        queues[one.queue] += max(waiting.get((one.pipeline, one.stage), 0), 0)
    yield oldest
    queue = GaugeMetricFamily(
        "oaflow_queue_waiting_jobs", "Jobs that wait on a queue on which something can be claimed.", labels=["queue"]
    )
    for name, count in sorted(queues.items()):
        queue.add_metric([name], count)
    yield queue
    rest = found.rest
    yield GaugeMetricFamily("oaflow_workers", "Live workers, on all machines.", rest.workers)
    yield GaugeMetricFamily(
        "oaflow_late_schedules", "Schedules whose run should have begun a minute ago.", rest.late_schedules
    )
    webhooks = GaugeMetricFamily(
        "oaflow_webhook_deliveries",
        "Ends of runs that webhooks were not told: still to come, or given up.",
        labels=["state"],
    )
    webhooks.add_metric(["waiting"], rest.untold)
    webhooks.add_metric(["given_up"], rest.given_up)
    yield webhooks
    yield GaugeMetricFamily("oaflow_database_bytes", "Room that the database takes.", rest.bytes)


def _jobs(found: Measured) -> Iterator[Metric]:
    # Gauges, though most of them rise: `retry` takes from those that failed, and `delete` takes a run away.
    jobs = GaugeMetricFamily(
        "oaflow_jobs",
        "Jobs of a stage over all runs, each in one state; waiting: also for another attempt, a lock or a limit.",
        labels=[*_STAGE, "state"],
    )
    entities = GaugeMetricFamily(
        "oaflow_unrouted", "What stages returned and no stage got, by reason.", labels=[*_STAGE, "reason"]
    )
    for one in found.jobs:
        states: dict[str, Any] = {
            "waiting": one.open - one.running,
            "running": one.running,
            "done": one.done,
            "failed": one.failed,
            "diverted": one.diverted,
            "vanished": one.vanished,
        }
        for state, count in states.items():
            jobs.add_metric([one.pipeline, one.stage, state], count)
        for reason in ("unmatched", "dropped", "ended"):
            entities.add_metric([one.pipeline, one.stage, reason], getattr(one, reason))
    yield from (jobs, entities)
