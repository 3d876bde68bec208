"""
The account of a run's documents, over what the real hand-over writes: each document once, at the first line that holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from oaflow.ledger import handover, receipts, runs, traces
from oaflow.ledger.failures import clusters, failures
from oaflow.ledger.runs import FirstJob, find_run
from oaflow.ledger.statements import sql
from oaflow.operations.passports import Evidence, Passport, passport

Fate = str

# What can become of one job with one document, and the line that the document stands in then.
FATES: dict[Fate, str | None] = {
    "failed": "failed",
    "vanished": "vanished",
    "diverted": "diverted",
    "saved": "indexed",
    "indexed": "indexed",
    "ended": "ended",
    "nothing returned": "ended",
    "unmatched": "unmatched",
    "dropped": "dropped",
    "cancelled": "dropped",
    "cancelled at work": "dropped",
    "open": None,
}


@dataclass
class Story:
    """
    A run whose jobs are worked on by hand, through the statements that workers use.
    """

    connection: psycopg.Connection[Any]
    run: str

    def enter(self, stage: str, *documents: str) -> int:
        job = FirstJob(stage, f"t.{stage}", stage, 50, self._args(stage), documents)
        runs.enter(self.connection, self.run, [job], seal=False)
        return self._latest()

    def finish(
        self,
        job: int,
        stage: str,
        outcome: str,
        documents: tuple[str, ...],
        *,
        to: str | None = None,
        lost: str | None = None,
        notes: list[dict[str, str]] | None = None,
    ) -> int:
        claim = "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s RETURNING attempts"
        ((attempt,),) = self.connection.execute(claim, [job]).fetchall()
        detail: dict[str, Any] = {"documents": list(documents), "notes": notes or []}
        if to is not None:
            detail["handed"] = [[to, list(documents)]]
        if lost is not None:
            detail |= {"lost": [[lost, "default", f"because of {lost}", list(documents)]], lost: 1}
        if outcome == "failed":
            detail["error"] = {"type": "ValueError", "message": "no", "traceback": "...", "fingerprint": "f"}
        following = [] if to is None else [orjson.dumps(self._args(to))]
        answer = self.connection.execute(
            sql("complete"),
            {
                "worker": None,
                "shard": 1,
                "ids": [job],
                "attempts": [attempt],
                "outcomes": [outcome],
                "runs": [self.run],
                "stages": [stage],
                "parents": [None],
                "started": [0.0],
                "ended": [1.0],
                "delays": [0.0],
                "positions": [None],
                "digests": [None],
                "versions": [""],
                "details": orjson.dumps([detail]).decode(),
                "next_ids": [None] * len(following),
                "next_parents": [job] * len(following),
                "next_queues": [to] * len(following),
                "next_tasks": [f"t.{to}"] * len(following),
                "next_stages": [to] * len(following),
                "next_priorities": [50] * len(following),
                "next_collects": [None] * len(following),
                "next_locks": [None] * len(following),
                "next_args": handover.json_array(following),
            },
        ).fetchall()
        assert answer == []  # only what was not applied is answered
        return self._latest()

    def find(self, names: dict[str, str]) -> None:
        """
        A crawl that finds documents; the kind of each is `found`, `skipped` or `unreadable`.
        """
        notes = [
            {"kind": kind, "document": document, "name": f"{document}.txt", "reason": "r"}
            for document, kind in names.items()
        ]
        self.finish(self.enter("crawl"), "crawl", "done", (), notes=notes)

    def live(self, document: str, fate: Fate) -> None:
        job = self.enter("work", document)
        match fate:
            case "failed":
                self.finish(job, "work", "failed", (document,))
            case "vanished":
                self.connection.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [job])
            case "diverted" | "saved":
                quarantine = self.finish(job, "work", "diverted", (document,), to="quarantine")
                if fate == "diverted":
                    self.finish(quarantine, "quarantine", "done", (document,))
                else:
                    index = self.finish(quarantine, "quarantine", "done", (document,), to="index")
                    self.finish(index, "index", "done", (document,), lost="ended")
            case "indexed":
                index = self.finish(job, "work", "done", (document,), to="index")
                self.finish(index, "index", "done", (document,))
            case "nothing returned":
                self.finish(job, "work", "done", (document,))
            case "ended" | "unmatched" | "dropped":
                self.finish(job, "work", "done", (document,), lost=fate)
            case (
                "cancelled"
            ):  # as cancel_v1 does it to what waits, but for this job alone: the others have their own fates
                self.connection.execute("UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = %s", [job])
                self.connection.execute(
                    "INSERT INTO oaflow.hops (run, stage, job, outcome) VALUES (%s, 'work', %s, 'cancelled')",
                    [self.run, job],
                )
                self.connection.execute(
                    "UPDATE oaflow.counters SET open = open - 1 WHERE run = %s AND stage = 'work' AND shard = 0",
                    [self.run],
                )
            case "cancelled at work":
                self.finish(job, "work", "cancelled", ())
            case _:
                pass

    def receipt(self) -> receipts.Receipt:
        self.connection.execute("SELECT oaflow.vanish_v1(%s)", [self.run])
        return receipts.receipt(self.connection, self.run, ["index"])

    def line_of(self, document: str) -> str | None:
        found = receipts.documents(self.connection, self.run, ["index"])
        return next(one.line for one in found if one.document == document)

    def passport(self, document: str) -> Passport:
        run = find_run(self.connection, self.run)
        assert run is not None
        (reported,) = traces.of_ids(self.connection, [document], run=self.run)
        lines = traces.lines(self.connection, run, document, found=reported.job)
        jobs = {line.job for line in lines}
        failed = traces.failed(self.connection, self.run, document, jobs)
        still = traces.still_open(self.connection, jobs)
        return passport(Evidence(run, document, reported, lines, failed, still, index=["index"]))

    def _args(self, stage: str) -> dict[str, Any]:
        return {"payload": {"context": {"oaflow": {"run": self.run, "stage": stage}}}}

    def _latest(self) -> int:
        row = self.connection.execute("SELECT max(id) FROM procrastinate_jobs").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as made:
        runs.store_plan(made, "digest", 1, "p", b'{"pipeline": "p"}')
        yield made


@pytest.fixture
def story(connection: psycopg.Connection[Any]) -> Story:
    return Story(connection, runs.start_run(connection, "p", "digest", "d", {}))


@pytest.mark.parametrize(("fate", "line"), FATES.items())
def test_each_fate_has_its_line(story: Story, fate: Fate, line: str | None) -> None:
    story.find({"doc": "found"})
    story.live("doc", fate)

    receipt = story.receipt()

    assert story.line_of("doc") == line
    assert receipt.found == 1
    assert receipt.balanced == (line is not None)


# Documents with the fates of their jobs: an edge may send copies, and each copy has a fate of its own.
lives = st.lists(
    st.tuples(
        st.sampled_from(["found", "unreadable"]), st.lists(st.sampled_from(sorted(FATES)), min_size=1, max_size=3)
    ),
    max_size=5,
)


@given(lives, st.integers(0, 2))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_document_is_counted_once_at_the_first_line_that_holds(
    connection: psycopg.Connection[Any], documents: list[tuple[str, list[Fate]]], skipped: int
) -> None:
    story = Story(connection, runs.start_run(connection, "p", "digest", "d", {}))
    kinds = {f"doc{number}": kind for number, (kind, _) in enumerate(documents)}
    story.find(kinds | {f"left{number}": "skipped" for number in range(skipped)})
    expected: dict[str, str | None] = {f"left{number}": "skipped" for number in range(skipped)}
    for number, (_, fates) in enumerate(documents):
        for fate in fates:
            story.live(f"doc{number}", fate)
        held = {FATES[fate] for fate in fates}
        if "diverted" in fates and "saved" in fates:
            # One copy came through, after it had been diverted: so the document is indexed.
            held.discard("diverted")
        expected[f"doc{number}"] = next((line for line in receipts.LINES if line in held), None)

    receipt = story.receipt()

    lines = {one.document: one.line for one in receipts.documents(connection, story.run, ["index"])}
    assert lines == expected
    # The passport of each comes to the same, from its own jobs alone.
    assert {document: story.passport(document).line for document in expected} == expected
    assert receipt.found == len(expected)
    for line in receipts.LINES:
        listed = receipts.documents(connection, story.run, ["index"], line=line)
        assert receipt.counts[line] == len(listed) == sum(1 for found in expected.values() if found == line)
    anything_open = any("open" in fates for _, fates in documents)
    assert receipt.balanced == (not anything_open)


def test_unreadable_documents_are_a_part_of_the_indexed(story: Story) -> None:
    story.find({"good": "found", "bad": "unreadable", "worse": "unreadable"})
    story.live("good", "indexed")
    story.live("bad", "indexed")
    story.live("worse", "failed")

    receipt = story.receipt()

    assert receipt.counts["indexed"] == 2
    assert receipt.unreadable == 1
    assert [one.name for one in receipts.documents(story.connection, story.run, ["index"], line="unreadable")] == [
        "bad.txt"
    ]


def test_a_document_whose_failed_job_is_sent_again_is_open_and_then_where_it_came_to(story: Story) -> None:
    story.find({"doc": "found"})
    story.live("doc", "failed")
    assert story.line_of("doc") == "failed"

    (failed,) = story.passport("doc").steps
    assert runs.reopen(story.connection, story.run) == 1
    assert story.line_of("doc") is None
    (again,) = story.passport("doc").steps[0].next
    assert (again.of, again.state, again.attempts) == (failed.job, "waits", ())

    job = story._latest()  # pyright: ignore[reportPrivateUsage]
    index = story.finish(job, "work", "done", ("doc",), to="index")
    story.finish(index, "index", "done", ("doc",))
    assert story.line_of("doc") == "indexed"
    assert story.receipt().balanced


def test_a_cancelled_run_balances_and_says_what_was_cancelled_where(story: Story) -> None:
    story.find({"saved": "found", "waits": "found", "works": "unreadable", "failed": "found", "left": "skipped"})
    story.live("saved", "indexed")
    story.live("failed", "failed")
    works = story.enter("work", "works")
    extracted = story.finish(story.enter("extract", "waits"), "extract", "done", ("waits",), to="work")
    story.connection.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", [works])
    assert runs.cancel(story.connection, story.run, "by me") == 1
    assert not story.receipt().balanced
    story.finish(works, "work", "cancelled", ())

    receipt = story.receipt()

    assert extracted
    assert {line: number for line, number in receipt.counts.items() if number} == {
        "indexed": 1, "failed": 1, "dropped": 2, "skipped": 1,
    }  # fmt: skip
    assert (receipt.cancelled, receipt.balanced) == (2, True)
    listed = receipts.documents(story.connection, story.run, ["index"], line="dropped")
    assert [(one.document, one.reason) for one in listed] == [
        ("waits", "cancelled before work was done"),
        ("works", "cancelled before work was done"),
    ]


def test_a_receipt_of_nothing_balances(story: Story) -> None:
    receipt = story.receipt()

    assert receipt.balanced
    assert list(receipt.as_json()) == [
        "run",
        "found",
        "indexed",
        "unreadable",
        "unchanged",
        "ended",
        "diverted",
        "failed",
        "skipped",
        "dropped",
        "unmatched",
        "vanished",
        "again",
        "balanced",
    ]


def test_a_receipt_of_a_run_that_found_nothing_does_not_read_its_history(story: Story) -> None:
    story.connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, documents)"
        " SELECT %s, 'work', 1000000 + n, 'done', ARRAY['given' || n] FROM generate_series(1, 20) n",
        [story.run],
    )
    asked = {"run": story.run, "index": ["index"]}

    plan = [line for (line,) in story.connection.execute("EXPLAIN ANALYZE " + receipts.sql("receipt"), asked)]

    of_history = [line for line in plan if re.search(r"Scan .*on hops", line)]
    assert of_history
    assert all("never executed" in line for line in of_history)
    assert story.receipt().balanced


def test_a_list_of_all_documents_is_read_as_it_is_asked_for(story: Story) -> None:
    story.find({f"doc{number}": "found" for number in range(50)})
    listed = receipts.documents(story.connection, story.run, ["index"])

    reading = receipts.every_document(story.connection, story.run, ["index"])
    first = next(reading)
    assert story.connection.info.transaction_status == TransactionStatus.ACTIVE  # the rest is still to come
    assert [first, *reading] == listed

    # Who has seen enough leaves the connection as it was.
    reading = receipts.every_document(story.connection, story.run, ["index"], line="open")
    next(reading)
    reading.close()
    assert story.connection.info.transaction_status == TransactionStatus.IDLE


def test_failures_name_their_documents_and_gather_by_cause(story: Story) -> None:
    story.find({"one": "found", "two": "found"})
    story.live("one", "failed")
    story.live("two", "failed")

    assert [failure.names for failure in failures(story.connection, story.run)] == [["one.txt"], ["two.txt"]]
    (cluster,) = clusters(story.connection, story.run)
    assert (cluster.stage, cluster.type, cluster.count, sorted(cluster.names)) == (
        "work",
        "ValueError",
        2,
        ["one.txt", "two.txt"],
    )


def test_the_jobs_of_a_receipt_are_read_through_one_snapshot(story: Story) -> None:
    """
    The counts and the open jobs are of one moment, though they are two statements.
    """
    story.find({"doc": "found"})
    story.live("doc", "open")

    receipt = story.receipt()

    assert (receipt.open, receipt.counts["indexed"], receipt.balanced) == (1, 0, False)


def test_a_document_is_traced_by_probes_of_the_index_in_the_days_of_its_run_alone(story: Story) -> None:
    connection = story.connection
    story.find({"doc": "found"})
    story.live("doc", "indexed")
    connection.execute(
        "INSERT INTO oaflow.hops (run, stage, job, outcome, successors, detail)"
        " SELECT %s, 'work', 1000000 + n, 'done', ARRAY[2000000 + n], '{\"handed\": [[\"index\", [\"other\"]]]}'"
        "   FROM generate_series(1, 20000) n",
        [story.run],
    )
    connection.execute("ANALYZE oaflow.hops")
    connection.execute("UPDATE oaflow.runs SET finished_at = now() WHERE id = %s", [story.run])
    run = find_run(connection, story.run)
    assert run is not None
    days_of_run = traces._days(run)  # pyright: ignore[reportPrivateUsage]
    values = {"document": "doc", "found": None, "jobs": [], **days_of_run}

    plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + traces.sql("trace"), values).fetchall())

    days = set(re.findall(r"on (hops_\w+)", plan))
    # Near midnight two.
    assert days <= {"hops_default", *(f"hops_{days_of_run[end]:%Y%m%d}" for end in ("since", "until"))}
    assert "Seq Scan" not in plan
    assert "Merge Join" not in plan
    assert "Hash Join" not in plan
