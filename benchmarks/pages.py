"""
What a page of `oaflow web` takes to load beside a run of many finished jobs, and how soon a change is seen.
"""

import http.client
import json
import signal
import statistics
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.ground import Ground, begin, chain, command, ground, worker
from benchmarks.harness import Figure, Report, Size, Target
from benchmarks.rates import ASYNC

JOBS: dict[Size, int] = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
LOADS: dict[Size, int] = {"tiny": 2, "small": 10, "full": 20}
CHANGES = 20
CHANGE = "UPDATE oaflow.counters SET done = done + 1 WHERE run = %s AND stage = 'c' AND shard = 0"

# A run of three stages: one job of the first, and half of the rest of each other. Each has its row, its line of history
# as a hand-over writes it, and its document; one in a hundred has failed, for one of five causes.
FILL = """
SET session_replication_role = replica;
UPDATE oaflow.runs SET sealed = true WHERE id = %(run)s;
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, status, attempts, args)
SELECT s.stage, 'benchmarks.stages.async_' || s.stage, 50, 'succeeded', 1,
       jsonb_build_object('dataset', 'bench', 'batch', %(run)s, 'payload', jsonb_build_object(
           'entities', jsonb_build_array(jsonb_build_object('id', 'doc-' || n, 'schema', 'Document')),
           'context', jsonb_build_object('oaflow', jsonb_build_object('run', %(run)s, 'stage', s.stage))))
  FROM generate_series(1, %(rows)s) n CROSS JOIN LATERAL (
    SELECT CASE n WHEN 1 THEN 'a' ELSE chr(98 + n %% 2) END AS stage) s;
INSERT INTO oaflow.hops (run, stage, job, parent, attempt, outcome, started, ended, worker, version, documents,
                         successors, detail)
SELECT %(run)s, j.queue_name, j.id, j.id - 1, 0, CASE WHEN j.id %% 100 = 0 THEN 'failed' ELSE 'done' END, now(), now(),
       1, '0.1.0+abc1234', ARRAY['doc-' || j.id], ARRAY[j.id + 1],
       jsonb_build_object('handed', jsonb_build_array(jsonb_build_array('c', jsonb_build_array('doc-' || j.id))))
  FROM procrastinate_jobs j;
INSERT INTO oaflow.documents (run, document, name, kind, job)
SELECT %(run)s, 'doc-' || j.id, 'folder/' || j.id || '.pdf',
       CASE WHEN j.id %% 1000 = 0 THEN 'unreadable' ELSE 'found' END, 1
  FROM procrastinate_jobs j;
INSERT INTO oaflow.failures (run, stage, job, queue, task, priority, args, documents, type, message, traceback,
                             fingerprint, attempts)
SELECT %(run)s, j.queue_name, j.id, j.queue_name, j.task_name, 50, j.args, ARRAY['doc-' || j.id], 'ValueError',
       'no date', repeat('a line of it' || chr(10), 40), 'cause' || j.id / 100 %% 5, 6
  FROM procrastinate_jobs j WHERE j.id %% 100 = 0;
INSERT INTO oaflow.counters (run, stage, shard, open, done, failed)
SELECT %(run)s, s, n, CASE n WHEN 0 THEN 1 ELSE 0 END, %(rows)s / 48, 0
  FROM unnest(ARRAY['a', 'b', 'c']) s, generate_series(0, 15) n;
SET session_replication_role = origin;
"""


def measure(size: Size, rounds: int) -> Report:
    """
    Each page from the request to its last byte, on a connection of its own; events from a change in the database on.
    """
    jobs, loads = JOBS[size], LOADS[size]
    with ground() as place:
        address = place.database("pages")
        run = begin(address, chain(ASYNC), 0, seal=False)
        with psycopg.connect(address, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute(FILL, {"run": run, "rows": jobs})
            connection.execute("VACUUM ANALYZE")
        with _served(place, address) as (site, cookie):
            pages = {
                what: [[_load(site, cookie, path) for _ in range(loads)] for _ in range(rounds)]
                for what, path in _pages(run, jobs).items()
            }
            seen = [_changes(site, cookie, address, run) for _ in range(rounds)]
            handed = [_handed_over(place, site, cookie, address) for _ in range(rounds)]
    figures: list[Figure] = []
    for what, of in pages.items():
        medians = tuple(statistics.median(some) * 1000 for some in of)
        figures += [
            Figure(what, "ms", medians),
            Figure(
                f"{what}: the slowest of {loads}",
                "ms",
                tuple(max(some) * 1000 for some in of),
                Target("at most", 200.0),
            ),
        ]
    for what, of in (("a change is seen after", seen), ("a hand-over is seen after", handed)):
        figures += [
            Figure(what, "s", tuple(statistics.median(some) for some in of)),
            Figure(f"{what}: the longest of {CHANGES}", "s", tuple(max(some) for some in of), Target("at most", 1.0)),
        ]
    return Report("pages", f"`oaflow web` beside {jobs:,} finished jobs of one run", tuple(figures))


def _pages(run: str, jobs: int) -> dict[str, str]:
    return {
        "runs": "/",
        "a run": f"/runs/{run}",
        "a stage, the newest jobs": f"/runs/{run}/stages/c",
        "a stage, from the middle": f"/runs/{run}/stages/c?after={jobs // 2}",
        "a stage of one job among all": f"/runs/{run}/stages/a",
        "causes of failures": f"/runs/{run}/failures",
        "jobs of a cause": f"/runs/{run}/failures?cause=cause1&stage=c",
        "documents": f"/runs/{run}/documents",
        "documents, the unreadable": f"/runs/{run}/documents?kind=unreadable",
        "a passport by id": f"/document?of=doc-{jobs // 2}&run={run}",
        "receipt": f"/runs/{run}/receipt",
        "receipt, the failed": f"/runs/{run}/receipt?line=failed",
        "log": f"/runs/{run}/log",
        "plan": f"/runs/{run}/plan",
        "datasets": "/datasets",
        "workers": "/workers",
        "limits": "/limits",
    }


@contextmanager
def _served(place: Ground, address: str) -> Generator[tuple[str, str]]:
    server = subprocess.Popen(
        command("web", "--port", "0"),
        env=place.environment(OAFLOW_DB_URI=address),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = urlsplit(server.stdout.readline().strip())
        connection = http.client.HTTPConnection(url.netloc)
        connection.request("GET", f"/?{url.query}")
        cookie = connection.getresponse().headers["set-cookie"].partition(";")[0]
        yield url.netloc, cookie
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def _load(site: str, cookie: str, path: str) -> float:
    connection = http.client.HTTPConnection(site)
    begun = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - begun
    assert answer.status == 200, (path, answer.status)
    return took


def _changes(site: str, cookie: str, address: str, run: str) -> list[float]:
    connection = http.client.HTTPConnection(site)
    connection.request("GET", f"/runs/{run}/events", headers={"Cookie": cookie})
    events = connection.getresponse()
    took: list[float] = []
    with psycopg.connect(address, autocommit=True) as changing:
        done = _done(events, "c", 0)
        for number in range(CHANGES):
            time.sleep(0.13 * (number % 5))  # not in step with the server's looks
            begun = time.perf_counter()
            changing.execute(CHANGE, [run])
            done = _done(events, "c", done + 1)
            took.append(time.perf_counter() - begun)
    connection.close()
    return took


def _handed_over(place: Ground, site: str, cookie: str, address: str) -> list[float]:
    """
    From the hand-overs of a small run beside the large one, one at a time, until they are seen: by the clock of the
    machine, from the beginning of their transactions.
    """
    run = begin(address, chain(["benchmarks.stages.sleep"], {"seconds": 0.5}), CHANGES)
    connection = http.client.HTTPConnection(site)
    connection.request("GET", f"/runs/{run}/events", headers={"Cookie": cookie})
    events = connection.getresponse()
    seen: list[float] = []
    with worker(place, address, executors=1):
        while len(seen) < CHANGES:
            done = _done(events, "a", len(seen) + 1)
            seen += [time.time()] * (done - len(seen))
    connection.close()
    with psycopg.connect(address, autocommit=True) as reading:
        rows = reading.execute(
            "SELECT extract(epoch FROM at)::float8 FROM oaflow.hops WHERE run = %s AND outcome = 'done' ORDER BY at",
            [run],
        ).fetchall()
    return [told - handed for told, (handed,) in zip(seen, rows, strict=True)]


def _done(events: Any, stage: str, least: int) -> int:
    """
    How many are done at a stage, when it is told that there are so many.
    """
    name = ""
    while True:
        line = events.readline().decode().strip()
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name == "counts":
            done = json.loads(line.removeprefix("data: "))["stages"].get(stage, {"done": 0})["done"]
            if done >= least:
                return done
