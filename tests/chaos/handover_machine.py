"""
A state machine over the real SQL of the hand-over: three workers, any interleaving of claims, completions sent once,
twice or by a worker that is dead, streams, deaths, recoveries, lost answers, rows that somebody deletes, and queueing
locks that somebody gives to jobs.

The model: each root is one chain of three stages; each position of a stream has one successor.
"""

import os
from collections import Counter
from typing import Any

import orjson
import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from oaflow.ledger.handover import answers_of, completion_values, json_array
from oaflow.ledger.rows import Claimed, Completion, Successor
from oaflow.ledger.statements import sql
from tests.integration.handovers import emptied

STAGES = ("s1", "s2", "s3")
RUN = "machine-aaaaaa"
WORKERS = st.integers(0, 2)


def args_of(stage: str, root: int, part: int | None = None) -> bytes:
    mark = {"run": RUN, "stage": stage}
    return orjson.dumps(
        {"queue": "q", "task": stage, "root": root, "part": part, "payload": {"context": {"oaflow": mark}}}
    )


class HandoverMachine(RuleBasedStateMachine):
    """
    Roots below 100 go through three stages; a root from 100 on is a stream of three parts at s1, each to s2 and s3.
    """

    connection: psycopg.Connection[Any]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    @initialize(roots=st.integers(1, 5), streams=st.integers(0, 2))
    def begin(self, roots: int, streams: int) -> None:
        emptied(self.connection)
        self.sql("INSERT INTO oaflow.plans (digest, format, pipeline, definition) VALUES ('d', 1, 'machine', '{}')")
        self.sql("INSERT INTO oaflow.runs (id, pipeline, plan, dataset) VALUES (%s, 'machine', 'd', 'x')", RUN)
        self.roots = [*range(roots), *range(100, 100 + streams)]
        args = json_array(args_of("s1", root) for root in self.roots)
        n = len(self.roots)
        self.sql(
            "SELECT oaflow.enter_v1(%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, true)",
            RUN, ["q"] * n, ["s1"] * n, ["s1"] * n, [50] * n, args,
            orjson.dumps([[f"doc{r}"] for r in self.roots]).decode(),
        )  # fmt: skip
        self.workers = [self.register() for _ in range(3)]
        self.held: dict[int, dict[int, tuple[int, str, int, int | None, int]]] = {w: {} for w in self.workers}
        self.sent: list[tuple[int, list[Completion]]] = []
        self.deleted = 0

    def register(self) -> int:
        worker = self.sql("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")[0][0]
        self.sql(
            "INSERT INTO oaflow.workers (id, host, pid, program, formats, async_tasks)"
            " VALUES (%s, 'h', 1, 'p', '{1}', '{s2}')",
            worker,
        )
        return worker

    def claim(self, worker: int, most: int) -> list[Claimed]:
        values = {"worker": worker, "queues": ["q"] * 3, "tasks": list(STAGES), "runs": [RUN] * 3, "most": most}
        return [Claimed._make(row) for row in self.connection.execute(sql("claim"), values).fetchall()]

    @rule(index=WORKERS, most=st.integers(1, 4))
    def fetch(self, index: int, most: int) -> None:
        worker = self.workers[index]
        try:
            rows = self.claim(worker, most)
        except psycopg.errors.ForeignKeyViolation:  # declared dead: it registers anew
            self.replace(index)
            return
        assert len(rows) <= most
        for row in rows:
            args = orjson.loads(row.args)
            done = self.sql("SELECT count(*) FROM oaflow.chunks WHERE job = %s", row.id)[0][0]
            self.held[worker][row.id] = (row.attempts, row.task, args["root"], args["part"], done)

    def completion(self, job: int, held: tuple[int, str, int, int | None, int], outcome: str = "done") -> Completion:
        attempt, stage, root, part, position = held
        follow = STAGES[STAGES.index(stage) + 1] if stage != "s3" else None
        streams = stage == "s1" and root >= 100
        successors: tuple[Successor, ...] = ()
        if streams and outcome in ("done", "chunk"):
            outcome = "chunk" if position < 2 else "done"
            successors = (Successor("q", "s2", "s2", 50, args_of("s2", root, position)),)
        elif follow and outcome == "done":
            successors = (Successor("q", follow, follow, 50, args_of(follow, root, part)),)
        detail = {"handed": [[s.stage, [f"doc{root}"]] for s in successors]}
        return Completion(
            job, attempt, outcome, RUN, stage, None, 0.0, 1.0, position=position if streams and successors else None,
            digest=f"d{position}" if streams else None, detail=orjson.dumps(detail), successors=successors,
        )  # fmt: skip

    def send(self, worker: int, items: list[Completion]) -> dict[int, str]:
        if not items:
            return {}
        before = {
            row[0]: row[1:]
            for row in self.sql(
                "SELECT id, status::text, attempts, worker_id FROM procrastinate_jobs WHERE id = ANY (%s)",
                [i.job for i in items],
            )
        }
        chunks = set(self.sql("SELECT job, position FROM oaflow.chunks"))
        rows = self.connection.execute(sql("complete"), completion_values(worker, worker % 64, items)).fetchall()
        answers = answers_of(items, rows)
        for item in items:
            owner = before.get(item.job) == ("doing", item.attempt, worker)
            if item.outcome == "chunk":
                owner = owner and (item.job, item.position) not in chunks
            assert (answers[item.job] == "applied") == owner, (item, answers[item.job], before.get(item.job))
            if answers[item.job] == "already" and item.outcome == "done":
                assert self.sql(
                    "SELECT 1 FROM oaflow.hops WHERE job = %s AND attempt = %s AND outcome = 'done'",
                    item.job, item.attempt,
                ), item  # fmt: skip
        self.sent = [*self.sent, (worker, items)][-6:]
        return answers

    @rule(
        index=WORKERS,
        n=st.integers(1, 4),
        outcome=st.sampled_from(["done", "done", "done", "retried", "crashed", "paused"]),
        goes_on=st.booleans(),
    )
    def complete(self, index: int, n: int, outcome: str, goes_on: bool = False) -> None:
        worker = self.workers[index]
        items = [self.completion(job, held, outcome) for job, held in list(self.held[worker].items())[:n]]
        if goes_on:  # it continues what follows itself
            items = [item._replace(successors=tuple(map(self.continued, item.successors))) for item in items]
        answers = self.send(worker, items)
        for item in items:
            for successor in item.successors if goes_on and answers[item.job] == "applied" else ():
                args = orjson.loads(successor.args)
                self.held[worker][successor.id or 0] = (0, successor.task, args["root"], args["part"], 0)
        for item in items:
            if item.outcome == "chunk" and answers[item.job] == "applied":
                attempt, stage, root, part, position = self.held[worker][item.job]
                self.held[worker][item.job] = (attempt, stage, root, part, position + 1)
            else:
                del self.held[worker][item.job]

    def continued(self, successor: Successor) -> Successor:
        return successor._replace(id=self.sql("SELECT nextval('procrastinate_jobs_id_seq')")[0][0])

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 5))
    def resend(self, which: int) -> None:
        """The answer was lost; the same completion is sent again, at any time later."""
        worker, items = self.sent[which % len(self.sent)]
        self.send(worker, items)

    @rule(index=WORKERS, which=st.integers(0, 20), attempt=st.integers(0, 3))
    def zombie(self, index: int, which: int, attempt: int) -> None:
        """A worker claims to have finished a job at an attempt that it may once have had."""
        rows = self.sql("SELECT id, task_name, args FROM procrastinate_jobs ORDER BY id OFFSET %s LIMIT 1", which)
        worker = self.workers[index]
        if rows and rows[0][0] not in self.held[worker]:
            job, stage, args = rows[0]
            self.send(worker, [self.completion(job, (attempt, stage, args["root"], args["part"], 0))])

    @rule(index=WORKERS, seen=st.booleans())
    def die(self, index: int, seen: bool) -> None:
        """Killed or stopped: recovery runs, by silence or by name; the worker may still believe it holds its jobs."""
        worker = self.workers[index]
        if not seen:
            self.sql(
                "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour' WHERE id = %s", worker
            )
        self.sql("SELECT * FROM oaflow.recover_v1(interval '30 s', %s::bigint[])", [worker] if seen else [])

    @rule(index=WORKERS, n=st.integers(1, 4))
    def late(self, index: int, n: int) -> None:
        """Declared dead while its results are on their way."""
        self.die(index, seen=True)
        self.complete(index, n, "done")

    @rule(index=WORKERS)
    def pruned_by_others(self, index: int) -> None:
        """Stock procrastinate deletes a silent worker's row; its jobs are left 'doing' under nobody."""
        self.sql("DELETE FROM procrastinate_workers WHERE id = %s", self.workers[index])
        self.sql("SELECT * FROM oaflow.recover_v1(interval '30 s', '{}')")

    @rule(index=WORKERS)
    def replace(self, index: int) -> None:
        self.workers[index] = self.register()
        self.held[self.workers[index]] = {}

    @rule(index=WORKERS, n=st.integers(1, 3))
    def give_back(self, index: int, n: int) -> None:
        worker = self.workers[index]
        jobs = list(self.held[worker])[:n]
        self.sql("SELECT oaflow.release_v1(%s, %s::bigint[])", worker, jobs)
        for job in jobs:
            del self.held[worker][job]

    @rule(index=WORKERS)
    def lost_answer(self, index: int) -> None:
        """A claim whose answer is lost: two beats later its rows are given back."""
        worker = self.workers[index]
        try:
            self.claim(worker, 2)
        except psycopg.errors.ForeignKeyViolation:
            return
        beat = "SELECT suspects FROM oaflow.heartbeat_v1(%s, %s::bigint[], %s::bigint[])"
        suspects = self.sql(beat, worker, list(self.held[worker]), [])[0][0]
        self.sql(beat, worker, list(self.held[worker]), suspects)

    @rule()
    def queueing_lock(self) -> None:
        """Any number of a queueing lock run, and one of it waits at most: none may keep another from coming back."""
        self.sql("UPDATE procrastinate_jobs SET queueing_lock = 'x' WHERE status = 'doing'")

    @rule()
    def sweep(self) -> None:
        self.sql("SELECT * FROM oaflow.sweep_v2(true)")

    @rule()
    def close(self) -> None:
        self.connection.execute(sql("close_quiet"), {"runs": [RUN]})

    @invariant()
    def laws_hold(self) -> None:
        """
        Each chain is single, counters equal a recount, and a run is ended only when nothing is open.

        All in two statements: they are most of what the machine does.
        """
        if not hasattr(self, "roots"):
            return
        jobs = self.sql(
            "SELECT (args->>'root')::int, (args->>'part')::int, task_name, status IN ('todo', 'doing')"
            " FROM procrastinate_jobs ORDER BY task_name"
        )
        seen: dict[tuple[int, int | None], list[str]] = {}
        for root, part, stage, _ in jobs:
            seen.setdefault((root, part), []).append(stage)
        for (root, part), stages in seen.items():
            expected = STAGES[1:] if part is not None else STAGES
            assert stages == list(expected[: len(stages)]), (root, part, stages)

        rows = self.sql(
            "SELECT r.state, c.stage, sum(c.open)::bigint"
            " FROM oaflow.runs r LEFT JOIN oaflow.counters c ON c.run = r.id GROUP BY 1, 2"
        )
        open_rows = Counter(stage for *_, stage, is_open in jobs if is_open)
        assert {stage: count for _, stage, count in rows if count} == open_rows
        assert {state for state, *_ in rows} == {"running"} or not open_rows

    def teardown(self) -> None:
        if not hasattr(self, "roots"):
            return
        self.sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
        self.sql("SELECT * FROM oaflow.recover_v1(interval '30 s', '{}')")
        self.workers[0] = self.register()
        self.held = {self.workers[0]: {}}
        for _ in range(200):  # liveness: one healthy worker drains everything
            self.fetch(0, 10)
            if not self.held[self.workers[0]]:
                break
            self.complete(0, 10, "done")
        self.connection.execute(sql("close_quiet"), {"runs": [RUN]})
        ended = self.sql("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 's3' AND status = 'succeeded'")[0][
            0
        ]
        expected = sum(3 if root >= 100 else 1 for root in self.roots)
        assert ended == expected, f"{ended} of {expected} chains came to their end"
        assert self.sql("SELECT state FROM oaflow.runs")[0][0] == "finished"


def machine_settings(examples: int, steps: int, *, shrink: bool = True) -> settings:
    """
    As a machine is run: so many examples of so many steps. `shrink` looks for a small case of what it found.
    """
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        print_blob=True,
    )


def run_machine(connection: psycopg.Connection[Any]) -> None:
    """
    Run the machine; OAFLOW_MACHINE=EXAMPLESxSTEPS asks for more.
    """
    examples, steps = map(int, os.environ.get("OAFLOW_MACHINE", "300x50").split("x"))
    HandoverMachine.connection = connection
    run_state_machine_as_test(
        HandoverMachine,
        settings=machine_settings(examples, steps),
    )
