"""
A run of the noting stages that a test feeds: begun, entered document by document, sealed.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg

from oaflow.jobs import DatasetJob
from oaflow.ledger import runs as ledger
from oaflow.ledger.limits import declare
from oaflow.ledger.runs import FirstJob
from oaflow.operations.programs import load, locate
from oaflow.plan import BoundPlan, bind
from oaflow.runtime.router import enter
from tests.chaos.noting import TABLE

WIDTH = 4  # documents of a root

# Of these a root has one job.
FANS, AFTER = "fans", ("early", "answered", "report", "after")
# The stages that each document of a root has one job of, by its number: as the conditions of the pipeline have it.
WAYS = (
    ("works", "rests", "ends", "copies", "gathers", "asks", "closes"),
    ("works", "rests", "others", "copies", "aside"),
    ("works", "rests", "others", "copies", "gathers", "asks", "closes"),
    ("works", "skims", "heaps", "copies", "gathers", "asks", "shuts"),
)
# What comes from a job of a stage, as far as its document goes there.
BEYOND: Mapping[str, frozenset[str]] = {
    "works": frozenset(stage for way in WAYS for stage in way) - {"works"},
    "copies": frozenset({"aside", "gathers", "asks", "closes", "shuts"}),
    "gathers": frozenset({"asks", "closes", "shuts"}),
    "asks": frozenset({"closes", "shuts"}),
    "rests": frozenset({"ends", "others"}),
    "skims": frozenset({"heaps"}),
}


def pipeline(seconds: float, fails_every: int, memory: str) -> Mapping[str, Any]:
    """
    The pipeline as a file has it. A root fans out to documents; each is worked on, copied, and rests or is skimmed, one
    at a time of each lock; what is skimmed is refused, and put together on its way over `on_error`. The copies whose
    text in the store says so are put together, cut again, and asked about, no more than some at once and in a second;
    what comes of it goes two ways. Joins wait.
    """
    task = "tests.chaos.noting."
    return {
        "pipeline": "chaos",
        "stages": {
            "fans": {"task": f"{task}fans", "with": {"width": WIDTH}, "next": "works"},
            "works": {
                "task": f"{task}works",
                "with": {"seconds": 4 * seconds},
                "memory": memory,
                "choose": "first",
                "next": {
                    "default": [
                        {"to": "rests", "where": "not endswith(e.id, '3')"},
                        {"to": "skims", "where": "endswith(e.id, '2', '3')"},  # 2 was taken before
                    ],
                    "copies": "copies",
                },
            },
            "skims": {"task": f"{task}refuses", "on_error": "heaps"},
            "heaps": {"task": f"{task}ends", "collect": {"size": 3, "wait": "1s"}},
            "copies": {
                "task": f"{task}waits",
                "next": [
                    {"to": "gathers", "where": "has(e.bodyText, 'kept')", "load": True},
                    {"to": "aside", "else": True},
                ],
            },
            "aside": {"task": f"{task}ends"},
            "gathers": {
                "task": f"{task}works",
                "with": {"seconds": seconds},
                "memory": memory,
                "collect": {"size": 10, "wait": "1s"},
                "next": {"default": "asks", "copies": "drop"},
            },
            "asks": {
                "task": f"{task}rests",
                "with": {"seconds": seconds},
                "split": 3,
                "concurrency": 3,
                "rate": "10/s",
                "next": [{"to": "closes", "where": "endswith(e.id, '0', '2')"}, {"to": "shuts", "else": True}],
            },
            "closes": {"task": f"{task}ends"},
            "shuts": {"task": f"{task}ends"},
            "rests": {
                "task": f"{task}rests",
                "with": {"seconds": seconds, "fails_every": fails_every},
                "lock": "'even' if any(endswith(x.id, '0', '2') for x in job.entities) else 'odd'",
                "next": [
                    {"to": "ends", "when": "any(endswith(x.id, '0') for x in job.entities)"},
                    {"to": "others", "else": True},
                ],
            },
            "ends": {"task": f"{task}ends"},
            "others": {"task": f"{task}ends"},
            "early": {"task": f"{task}reports", "join": ["works"]},
            "answered": {"task": f"{task}reports", "join": ["asks"]},
            "report": {"task": f"{task}reports", "join": "run", "next": "after"},
            "after": {"task": f"{task}ends"},
        },
    }


def lock_of(stage: str, document: str) -> str | None:
    """
    The lock of a job.
    """
    return ("odd" if int(document[-1]) % 2 else "even") if stage == "rests" else None


def expected(roots: Iterable[int]) -> frozenset[tuple[str, str]]:
    """
    The stage and document of each job that such a run consists of.
    """
    jobs = {(stage, "") for stage in AFTER}
    for root in roots:
        jobs.add((FANS, str(root)))
        jobs |= {(stage, f"{root}.{number}") for number, way in enumerate(WAYS) for stage in way}
    return frozenset(jobs)


def beyond(stage: str, document: str) -> frozenset[tuple[str, str]]:
    """
    A job, and those that come from it: they are not to be, where it was deleted.
    """
    if stage == FANS:
        return frozenset(
            {(stage, document)} | {(next, f"{document}.{number}") for number, way in enumerate(WAYS) for next in way}
        )
    if stage == "report":
        return frozenset({(stage, document), ("after", document)})
    way = WAYS[int(document[-1])] if document else ()
    return frozenset({(stage, document)} | {(next, document) for next in BEYOND.get(stage, frozenset()) & set(way)})


@dataclass
class Passage:
    """
    A run in a database. All of it may be called while the database is restarted: it is called again then.
    """

    uri: str
    id: str
    bound: BoundPlan
    roots: int = 0

    @property
    def expected(self) -> frozenset[tuple[str, str]]:
        """
        What it consists of so far.
        """
        return expected(range(self.roots))

    def enter(self, count: int) -> None:
        """
        Insert so many roots more. Not to be called while the database may be away: what was inserted is not known then.
        """
        names = [str(number) for number in range(self.roots, self.roots + count)]
        with psycopg.connect(self.uri, autocommit=True) as connection:
            ledger.enter(connection, self.id, [self._first(name) for name in names], seal=False)
        self.roots += count

    def seal(self) -> None:
        """
        Say that no more will come.
        """
        with psycopg.connect(self.uri, autocommit=True) as connection:
            ledger.enter(connection, self.id, (), seal=True)

    def _first(self, document: str) -> FirstJob:
        return first_jobs(self.bound, FANS, self.id, [{"id": document, "schema": "Document", "properties": {}}])


def first_jobs(bound: BoundPlan, stage: str, run: str, entities: list[dict[str, Any]]) -> FirstJob:
    """
    The job that a stage of a run gets first.
    """
    target = bound.stages[stage]
    payload = {"entities": entities} if entities else {}
    job = DatasetJob(dataset="demo", queue=target.queue, task=target.task, batch=run, payload=payload)
    (route,) = enter(bound, stage, job, run=run)
    return FirstJob(route.queue, route.task, route.stage, route.priority, route.job.to_wire(), route.documents)


def begin(uri: str, folder: Path, *, seconds: float = 0.01, fails_every: int = 0, memory: str = "2GiB") -> Passage:
    """
    Begin a run, without a job yet, and make the table of notes beside it.
    """
    file = folder / "chaos.yml"
    file.write_bytes(orjson.dumps(pipeline(seconds, fails_every, memory)))
    plan = load(locate(str(file))).checked()
    bound = bind(plan, {})
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(TABLE)
        ledger.store_plan(connection, plan.digest, plan.format, plan.pipeline, plan.canonical())
        run = ledger.start_run(connection, plan.pipeline, plan.digest, "demo", {})
        joins = [(first_jobs(bound, join, run, []), waits) for join, waits in bound.joins.items()]
        ledger.expect(connection, run, joins)
        for stage, feeders in bound.collects.items():
            ledger.collect(connection, run, bound.stages[stage], feeders)
        declare(connection, run, bound.limits)
    return Passage(uri, run, bound)


def state(uri: str, run: str) -> str | None:
    """
    The state of a run; None while the database is away.
    """
    try:
        with psycopg.connect(uri, autocommit=True, connect_timeout=5) as connection:
            row = connection.execute("SELECT state FROM oaflow.runs WHERE id = %s", (run,)).fetchone()
    except psycopg.OperationalError:
        return None
    return row[0] if row else "gone"


def ended(uri: str, run: str, patience: float) -> str:
    """
    Wait for the end of a run; its state.
    """
    limit = time.monotonic() + patience
    while (found := state(uri, run)) in (None, "running", "paused", "interrupted") and time.monotonic() < limit:
        time.sleep(0.1)
    return found or "away"
