"""
What Prometheus reads of a worker: scraped over HTTP, parsed by its own library, compared with the ledger.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.conftest import Command
from tests.acceptance.test_health import get
from tests.acceptance.test_processes import query, worker_of

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]
Samples = dict[str, dict[tuple[str, ...], float]]

# Each would be a series for each run, job, document or machine that there ever was.
UNBOUNDED = {"run", "job", "document", "dataset", "worker", "host", "pid", "error"}

FIRST = ("le", "pipeline", "stage")


def test_a_scrape_says_what_the_ledger_says(cli: Command, started: Started, until: Until) -> None:
    """
    Two workers, one run in which some fail, are repeated and diverted; then one of the workers is killed.
    """
    cli.environment["OAFLOW_EXECUTORS"] = "1"
    worker = started(cli.start("worker", "--health", "0", "--workers", "2"))
    assert worker.stderr is not None
    url = worker.stderr.readline().split()[1].removesuffix("/live")
    stages = {
        "source": {"with": {"count": 30}, "next": ["picky", "end"]},
        "picky": {
            "task": "fails",
            "with": {"on": ["doc-3", "doc-7"]},
            "retry": {"max": 1, "backoff": "none"},
            "on_error": "aside",
            "next": "end",
        },
        "aside": {"task": "end"},
        "end": {},
    }
    assert cli("run", cli.pipeline("measured", stages), "-d", "demo", "--workers", "0").code == 0

    history = {
        ("measured", stage, outcome): count
        for stage, outcome, count in query(
            cli, "SELECT stage, outcome, count(*) FROM oaflow.hops WHERE attempt IS NOT NULL GROUP BY 1, 2"
        )
    }
    assert history[("measured", "picky", "diverted")] == history[("measured", "picky", "retried")] == 2
    until(lambda: scraped(f"{url}/metrics").get("oaflow_worker_attempts_total") == history)
    # A run that small may be over before the second worker has begun.
    until(lambda: scraped(f"{url}/metrics")["oaflow_worker_ready"][()])
    mine = scraped(f"{url}/metrics")
    for stage in stages:
        ended = sum(count for (_, of, outcome), count in history.items() if of == stage and outcome != "chunk")
        assert mine["oaflow_worker_attempt_seconds_count"]["measured", stage] == ended
        assert mine["oaflow_worker_attempt_seconds_bucket"]["+Inf", "measured", stage] == ended
    assert mine["oaflow_worker_handover_seconds_count"][()] == sum(history.values())
    assert 0 < mine["oaflow_worker_handover_seconds_sum"][()] < 60
    assert mine["oaflow_worker_claimed_jobs_total"][()] >= mine["oaflow_worker_claims_total"][()] / 100 > 0
    assert mine["oaflow_worker_processes"][()] == mine["oaflow_worker_ready"][()] * 2 == 2
    assert min(mine["oaflow_worker_memory_bytes"].values()) > 10_000_000

    whole = scraped(f"{url}/metrics/database")
    states = ("done", "failed", "diverted", "vanished")
    rows = query(
        cli,
        "SELECT stage, sum(open)::int, sum(done)::int, sum(failed)::int, sum(diverted)::int, sum(vanished)::int"
        " FROM oaflow.counters GROUP BY 1",
    )
    assert {row[0] for row in rows} == set(stages)
    for stage, open_, *counts in rows:
        jobs = whole["oaflow_jobs"]
        assert [jobs["measured", stage, state] for state in states] == counts
        assert jobs["measured", stage, "waiting"] + jobs["measured", stage, "running"] == open_ == 0
    assert whole["oaflow_runs"] == {("measured", "finished"): 1}
    assert whole["oaflow_workers"][()] == 2
    assert whole["oaflow_database_up"][()] == 1

    killed = worker_of(worker.pid)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: scraped(f"{url}/metrics")["oaflow_worker_deaths_total"][()] == 1)
    assert scraped(f"{url}/metrics").get("oaflow_worker_attempts_total") == history  # what was counted does not fall


def scraped(url: str) -> Samples:
    """
    The samples by name, each by the values of its labels: the end of a bucket first, then the stage, then the rest.
    """
    status, text = get(url)
    assert status == 200
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert not UNBOUNDED & set(sample.labels)
            order = [*dict.fromkeys([*(name for name in FIRST if name in sample.labels), *sample.labels])]
            found.setdefault(sample.name, {})[tuple(sample.labels[name] for name in order)] = sample.value
    return found
