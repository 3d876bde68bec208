"""
Each function of the schema runs on a real server: the body of a PL/pgSQL function is only looked at when it is called.

What they promise is tested with the ledger; this is the door to it.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

RUN = "ingest-abc234"

_COMPLETE = (
    "%s, 1::smallint, %s, %s, %s, %s, %s, %s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::integer[], "
    "%s, %s, %s, %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::integer[], %s::text[], "
    "%s::text[], %s"
)


class Ledger:
    """
    The functions under their own names, and a little to look with.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.worker: int = self.rows("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")[0][0]
        self.rows(
            "INSERT INTO oaflow.workers (id, host, pid, program, formats, tasks, async_tasks) "
            "VALUES (%s, 'here', 1, 'test', '{1}', '{t.fetch,t.index}', '{t.fetch}') RETURNING id",
            self.worker,
        )
        self.rows("INSERT INTO oaflow.plans VALUES ('d', 1, 'ingest', '{}') RETURNING digest")
        self.rows(
            "INSERT INTO oaflow.runs (id, pipeline, plan, dataset) VALUES (%s, 'ingest', 'd', 'x') RETURNING id", RUN
        )

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def enter(self, count: int = 1, *, seal: bool = True) -> None:
        args = [{"payload": {"context": {"oaflow": {"run": RUN, "stage": "fetch"}}}}] * count
        self.rows(
            "SELECT oaflow.enter_v1(%s, %s, %s, %s, %s, %s, %s, %s)",
            *(RUN, ["q"] * count, ["t.fetch"] * count, ["fetch"] * count, [0] * count),
            *(Jsonb(args), Jsonb([[f"doc{i}"] for i in range(count)]), seal),
        )

    def fetch(self, task: str = "t.fetch") -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT id, attempts FROM oaflow.fetch_v1(%s, %s, %s, 10, %s)", self.worker, ["q"], [task], [RUN]
        )

    def complete(self, job: int, attempt: int, outcome: str, *, next_stages: tuple[str, ...] = (), **more: Any) -> str:
        detail = {
            "documents": ["doc0"],
            "handed": [[stage, ["doc0"]] for stage in next_stages],
            **more.get("detail", {}),
        }
        args = [{"payload": {"context": {"oaflow": {"run": RUN, "stage": stage}}}} for stage in next_stages]
        count = len(next_stages)
        return self.rows(
            f"SELECT answer FROM oaflow.complete_v1({_COMPLETE})",
            *(self.worker, [job], [attempt], [outcome], [RUN], [more.get("stage", "fetch")], [None], [1.0], [2.0]),
            *([more.get("delay", 0.0)], [more.get("position")], [more.get("digest")], ["v1"], Jsonb([detail])),
            *(
                [None] * count,
                [job] * count,
                ["q"] * count,
                [f"t.{stage}" for stage in next_stages],
                list(next_stages),
                [0] * count,
                list(more.get("collects", [None] * count)),
                [None] * count,
            ),
            Jsonb(args),
        )[0][0]

    def counters(self) -> dict[str, tuple[int, ...]]:
        return {
            row[0]: tuple(map(int, row[1:]))
            for row in self.rows(
                "SELECT stage, sum(open), sum(done), sum(failed), sum(vanished) FROM oaflow.counters GROUP BY stage"
            )
        }

    def state(self) -> str:
        return self.rows("SELECT state FROM oaflow.runs")[0][0]


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield Ledger(connection)


def test_a_job_is_entered_fetched_handed_over_and_the_run_ends(ledger):
    ledger.enter()
    [(job, attempt)] = ledger.fetch()

    assert ledger.complete(job, attempt, "done", next_stages=("index",)) == "applied"
    assert ledger.complete(job, attempt, "done", next_stages=("index",)) == "already"
    assert ledger.counters() == {"fetch": (0, 1, 0, 0), "index": (1, 0, 0, 0)}
    assert ledger.rows("SELECT oaflow.close_v1(%s)", RUN) == [(None,)]

    [(following, attempt)] = ledger.fetch("t.index")
    assert ledger.complete(following, attempt, "done", stage="index") == "applied"
    assert ledger.rows("SELECT oaflow.close_v1(%s)", RUN) == [("finished",)]


def test_a_retried_job_comes_back_and_a_stale_attempt_is_fenced(ledger):
    ledger.enter()
    [(job, attempt)] = ledger.fetch()
    assert ledger.complete(job, attempt, "retried") == "applied"
    [(again, next_attempt)] = ledger.fetch()

    assert (again, next_attempt) == (job, attempt + 1)
    assert ledger.complete(job, attempt, "done") == "fenced"


def test_a_chunk_is_handed_over_once(ledger):
    ledger.enter()
    [(job, attempt)] = ledger.fetch()
    chunk = {"position": 0, "digest": "a", "next_stages": ("index",)}

    assert ledger.complete(job, attempt, "chunk", **chunk) == "applied"
    assert ledger.complete(job, attempt, "chunk", **chunk) == "already"
    assert ledger.complete(job, attempt, "done") == "applied"
    assert ledger.counters() == {"fetch": (0, 1, 0, 0), "index": (1, 0, 0, 0)}


def test_a_failed_job_is_kept_and_can_be_opened_again(ledger):
    ledger.enter()
    [(job, attempt)] = ledger.fetch()
    error = {"type": "ValueError", "message": "no", "traceback": "...", "fingerprint": "f", "signal": 11}
    note = {"document": "doc0", "name": "a.pdf", "kind": "unreadable", "reason": "encrypted"}
    assert ledger.complete(job, attempt, "failed", detail={"error": error, "notes": [note]}) == "applied"

    assert ledger.rows("SELECT type, message, documents, attempts FROM oaflow.failures") == [
        ("ValueError", "no", ["doc0"], 1)
    ]
    assert ledger.rows("SELECT document, kind, reason FROM oaflow.documents") == [("doc0", "unreadable", "encrypted")]
    assert ledger.rows("SELECT oaflow.reopen_v1(%s, NULL)", RUN) == [(1,)]
    assert ledger.counters() == {"fetch": (1, 0, 0, 0)}
    assert len(ledger.fetch()) == 1


def test_a_claim_is_given_back_without_an_attempt(ledger):
    ledger.enter()
    [(job, attempt)] = ledger.fetch()

    assert ledger.rows("SELECT oaflow.release_v1(%s, %s)", ledger.worker, [job]) == [(1,)]
    assert ledger.fetch() == [(job, attempt)]


def test_a_heartbeat_names_what_is_not_in_hand(ledger):
    ledger.enter()
    [(job, _)] = ledger.fetch()
    beat = "SELECT * FROM oaflow.heartbeat_v1(%s, %s::bigint[], %s::bigint[])"

    assert ledger.rows(beat, ledger.worker, [], []) == [(True, [], [job])]
    assert ledger.rows(beat, ledger.worker, [], [job]) == [(True, [job], [])]
    assert ledger.rows(beat, 999, [], []) == [(False, [], [])]


def test_the_jobs_of_a_dead_worker_come_back(ledger):
    ledger.enter()
    [(job, _)] = ledger.fetch()

    assert ledger.rows("SELECT * FROM oaflow.recover_v1('15 s', %s::bigint[])", [ledger.worker]) == [(job, RUN)]
    assert ledger.fetch() == []  # a worker without a row claims nothing


def test_deleted_jobs_are_found_by_name_and_the_run_ends_incomplete(ledger):
    ledger.enter(2)
    ledger.rows("DELETE FROM procrastinate_jobs RETURNING id")

    assert set(ledger.rows("SELECT * FROM oaflow.sweep_v2(true)")) == {(RUN, "vanished"), (RUN, "incomplete")}
    assert ledger.counters() == {"fetch": (0, 0, 0, 2)}
    assert ledger.rows("SELECT documents FROM oaflow.hops WHERE outcome = 'vanished' ORDER BY job") == [
        (["doc0"],),
        (["doc1"],),
    ]
    assert ledger.state() == "incomplete"


def test_a_cancelled_run_leaves_nothing_waiting(ledger):
    ledger.enter(3)

    assert ledger.rows("SELECT oaflow.cancel_v1(%s, 'enough')", RUN) == [(3,)]
    assert ledger.fetch() == []
    assert ledger.state() == "cancelled"
    assert ledger.counters() == {"fetch": (0, 0, 0, 0)}


def test_a_receipt_counts_each_document_once(ledger):
    ledger.enter()
    [(job, attempt)] = ledger.fetch()
    found = {"document": "doc0", "name": "a.pdf", "kind": "found"}
    ledger.complete(job, attempt, "done", next_stages=("index",), detail={"notes": [found]})
    [(job, attempt)] = ledger.fetch("t.index")
    ledger.complete(job, attempt, "done", stage="index")

    assert ledger.rows("SELECT document, line FROM oaflow.receipt_v1(%s, '{index}')", RUN) == [("doc0", "indexed")]


def test_a_run_that_is_paused_is_passed_over(ledger):
    ledger.enter()

    assert ledger.rows("SELECT id FROM oaflow.fetch_v1(%s, '{q}', '{t.fetch}', 10, '{}')", ledger.worker) == []
