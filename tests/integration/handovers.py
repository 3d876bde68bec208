"""
A run whose jobs the tests claim and complete themselves, by the very statements that a worker sends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import psycopg

from oaflow.ledger.handover import alone, answers_of, completion_values
from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.statements import sql

RUN = "ledger-aaaaaa"
OUTCOMES = ("done", "failed", "diverted", "cancelled")


def args_of(stage: str, run: str = RUN, document: str | None = None) -> dict[str, Any]:
    entities = [{"id": document, "schema": "Document", "properties": {}}] if document else []
    return {"payload": {"entities": entities, "context": {"oaflow": {"run": run, "stage": stage}}}}


class Book:
    """
    One run in a database, with what a worker would do to it.
    """

    def __init__(self, uri: str, run: str = RUN) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(uri, autocommit=True)
        self.run, self.uri = run, uri
        self.sql("INSERT INTO oaflow.plans VALUES ('d', 1, 'ledger', '{}') ON CONFLICT DO NOTHING")
        self.sql("INSERT INTO oaflow.runs (id, pipeline, plan, dataset) VALUES (%s, 'ledger', 'd', 'x')", run)

    def sql(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: Any, *values: Any) -> Any:
        ((value,),) = self.sql(statement, *values)
        return value

    def worker(self, *, async_tasks: Sequence[str] = (), silent: float = 0.0) -> int:
        worker = self.one(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s))"
            " RETURNING id",
            silent,
        )
        self.sql(
            "INSERT INTO oaflow.workers (id, host, pid, program, formats, async_tasks)"
            " VALUES (%s, 'h', 1, 'p', '{1}', %s)",
            worker,
            list(async_tasks),
        )
        return worker

    def enter(self, count: int = 1, *, stage: str = "a", priority: int = 50, seal: bool = True) -> list[int]:
        before = self.one("SELECT coalesce(max(id), 0) FROM procrastinate_jobs")
        documents = [f"{stage}-{number}" for number in range(count)]
        args = orjson.dumps([args_of(stage, self.run, document) for document in documents]).decode()
        self.sql(
            "SELECT oaflow.enter_v1(%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s)",
            self.run, ["q"] * count, [f"t.{stage}"] * count, [stage] * count, [priority] * count, args,
            orjson.dumps([[document] for document in documents]).decode(), seal,
        )  # fmt: skip
        return [id for (id,) in self.sql("SELECT id FROM procrastinate_jobs WHERE id > %s ORDER BY id", before)]

    def claim(
        self, worker: int, most: int = 100, *, tasks: Sequence[str] = ("t.a", "t.b"), runs: Sequence[str] = ()
    ) -> list[Claimed]:
        pairs = [(task, run) for task in tasks for run in runs or [self.run]]
        values = {
            "worker": worker,
            "queues": ["q"] * len(pairs),
            "tasks": [task for task, _ in pairs],
            "runs": [run for _, run in pairs],
            "most": most,
        }
        return [Claimed._make(row) for row in self.connection.execute(sql("claim"), values).fetchall()]

    def claimed(self, worker: int, most: int = 100) -> list[int]:
        return [row.id for row in self.claim(worker, most)]

    def done(self, job: int, outcome: str = "done", *, attempt: int = 0, follow: int = 0, **more: Any) -> Completion:
        stage = more.pop("stage", "a")
        successors = tuple(
            Successor("q", "t.b", "b", 50, orjson.dumps(args_of("b", self.run, f"b-{number}")))
            for number in range(follow)
        )
        detail: dict[str, Any] = more.pop("detail", {})
        if successors:
            detail = {**detail, "handed": [["b", [f"b-{number}"]] for number in range(follow)]}
        return Completion(
            job, attempt, outcome, self.run, stage, None, 1.0, 2.0, detail=orjson.dumps(detail), successors=successors,
            **more,
        )  # fmt: skip

    def complete(self, worker: int, *items: Completion) -> dict[int, str]:
        if not items:
            return {}
        values = completion_values(worker, worker % 64, items)
        return answers_of(items, self.connection.execute(sql("complete"), values).fetchall())

    def job(self, job: int) -> tuple[Any, ...]:
        """
        Status, attempts and worker of a row.
        """
        return self.sql("SELECT status::text, attempts, worker_id FROM procrastinate_jobs WHERE id = %s", job)[0]

    def charge(self, job: int) -> tuple[Any, ...] | None:
        """
        Retries, crashes and suspicion.
        """
        found = self.sql("SELECT retries, crashes, suspect FROM oaflow.charges WHERE job = %s", job)
        return found[0] if found else None

    def alone(self, worker: int, job: int) -> None:
        """
        As a worker says before it runs a suspect.
        """
        asyncio.run(self._alone(worker, job))

    async def _alone(self, worker: int, job: int) -> None:
        attempt = self.job(job)[1]
        async with await psycopg.AsyncConnection.connect(self.uri, autocommit=True) as connection:
            await alone(connection, worker, job, attempt)

    def state(self) -> str:
        return self.one("SELECT state FROM oaflow.runs WHERE id = %s", self.run)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        return counters(self.connection, self.run)

    def recover(self, *dead: int, timeout: str = "30 s") -> set[int]:
        rows = self.sql("SELECT job FROM oaflow.recover_v1(%s::interval, %s::bigint[])", timeout, list(dead))
        return {job for (job,) in rows}


# All that a run leaves, in an order in which no row is held by another one.
_LEFT = (
    *("procrastinate_events", "oaflow.limits", "oaflow.joins", "oaflow.collects", "oaflow.collected", "oaflow.leases"),
    *(
        "oaflow.documents",
        "oaflow.hops",
        "oaflow.failures",
        "oaflow.emitted",
        "oaflow.charges",
        "oaflow.chunks",
        "oaflow.counters",
    ),
    *("oaflow.runs", "oaflow.plans", "procrastinate_jobs", "oaflow.workers", "procrastinate_workers"),
)


def emptied(connection: psycopg.Connection[Any]) -> None:
    """
    Take out all runs. Of a few rows TRUNCATE costs ten times what DELETE does: it makes new files.
    """
    connection.execute(";".join(f"DELETE FROM {table}" for table in _LEFT))  # pyright: ignore[reportArgumentType]


NAMES = ("open", "done", "failed", "unmatched", "dropped", "ended", "diverted", "vanished")


def counters(connection: psycopg.Connection[Any], run: str) -> dict[str, dict[str, int]]:
    """
    What the counters of a run say, without zeros.
    """
    rows = connection.execute(
        "SELECT stage, sum(open)::int, sum(done)::int, sum(failed)::int, sum(unmatched)::int, sum(dropped)::int,"
        " sum(ended)::int, sum(diverted)::int, sum(vanished)::int FROM oaflow.counters WHERE run = %s GROUP BY stage",
        (run,),
    ).fetchall()
    found = {stage: {n: v for n, v in zip(NAMES, values, strict=True) if v} for stage, *values in rows}
    return {stage: values for stage, values in found.items() if values}


def recount(connection: psycopg.Connection[Any], run: str) -> dict[str, dict[str, int]]:
    """
    The same, counted from the rows that wait or run and from the history: another way to the same numbers. What
    services handed over carries the mark of the run and the number of its job, and is no job of the run.
    """
    rows = connection.execute(
        """
        WITH ended AS (SELECT stage, outcome, detail FROM oaflow.hops WHERE run = %(run)s AND stage IS NOT NULL),
        counted AS (
            SELECT args #>> '{payload,context,oaflow,stage}' AS stage, 'open' AS name, count(*) AS n
              FROM procrastinate_jobs
             WHERE status IN ('todo', 'doing') AND args #>> '{payload,context,oaflow,run}' = %(run)s
               AND coalesce(args #>> '{payload,context,oaflow,job}', id::text) = id::text GROUP BY 1
            UNION ALL SELECT stage, 'open', count(*) FROM oaflow.collected
             WHERE run = %(run)s AND job IS NULL GROUP BY 1
            UNION ALL SELECT stage, outcome, count(*) FROM ended
             WHERE outcome IN ('done', 'failed', 'diverted', 'vanished') GROUP BY 1, 2
            UNION ALL SELECT e.stage, CASE loss ->> 0 WHEN 'too_deep' THEN 'failed' ELSE loss ->> 0 END, count(*)
              FROM ended e, jsonb_array_elements(e.detail -> 'lost') loss GROUP BY 1, 2
            UNION ALL SELECT handed ->> 0, 'failed', -count(*)
              FROM oaflow.hops h, jsonb_array_elements(h.detail -> 'handed') handed
             WHERE h.run = %(run)s AND h.outcome = 'reopened' GROUP BY 1)
        SELECT stage, name, sum(n)::int FROM counted GROUP BY 1, 2
        """,
        {"run": run},
    ).fetchall()
    found: dict[str, dict[str, int]] = {}
    for stage, name, number in rows:
        if number:
            found.setdefault(stage, {})[name] = number
    return found
