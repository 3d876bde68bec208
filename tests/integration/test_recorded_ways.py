"""
What the end of a run records for the next one, in parts, on histories that are written by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
import pytest

from oaflow.ledger import crawled
from oaflow.ledger.runs import start_run, store_plan
from tests.integration.webpage import PLAN

FILES = ["alone", "archive", "beside", "both", "failed", "mended", "other", "together"]


@dataclass
class Book:
    """
    A run whose history is written by hand.
    """

    connection: psycopg.Connection[Any]
    run: str

    def hop(self, job: int | None, stage: str, outcome: str, documents: Sequence[str] | None, **more: Any) -> None:
        """
        Args:
            more: successors, each with its documents, as `handed`; other keys of the detail.
        """
        handed = more.pop("handed", {})
        detail = {"handed": [[stage, list(to)] for to in handed.values()], **more}
        self.connection.execute(
            "INSERT INTO oaflow.hops (run, stage, job, outcome, version, documents, successors, detail)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                self.run, stage, job, outcome, "1" if outcome == "done" else None, documents, list(handed) or None,
                orjson.dumps(detail).decode(),
            ],
        )  # fmt: skip

    def job(self, number: int, **mark: Any) -> None:
        args = {"payload": {"context": {"oaflow": {"run": self.run, "stage": "s", **mark}}}}
        self.connection.execute(
            "INSERT INTO procrastinate_jobs (id, queue_name, task_name, args) VALUES (%s, 'a', 't', %s)",
            [number, orjson.dumps(args).decode()],
        )

    def tables(self) -> list[Any]:
        """
        All that is recorded.
        """
        return [
            self.connection.execute(query).fetchall()
            for query in (
                "SELECT document, ran, done FROM oaflow.crawled ORDER BY 1",
                "SELECT document, job, run, parents, stage, version, documents, well FROM oaflow.steps ORDER BY 1, 2",
                "SELECT run, job FROM oaflow.arrived ORDER BY 1, 2",
            )
        ]

    def done(self) -> list[str]:
        query = "SELECT document FROM oaflow.crawled WHERE done IS NOT NULL AND content_hash IS NOT NULL ORDER BY 1"
        return [document for (document,) in self.connection.execute(query)]


@pytest.fixture
def book(database: str) -> Any:
    """
    Files of all kinds: alone in all their jobs; an archive, whose members come together in one job; two that come
    together in one, and two that were sent on in one; one that failed, and one that was sent again and is done.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        store_plan(connection, PLAN.digest, PLAN.format, "p", PLAN.canonical())
        book = Book(connection, start_run(connection, "p", PLAN.digest, "d", {}))
        connection.execute(
            "INSERT INTO oaflow.crawled (dataset, pipeline, document, path, name, content_hash, seen, ran)"
            " SELECT 'd', 'p', f, f::bytea, f, CASE WHEN f <> 'turned' THEN 'hash' END, %s, %s"
            " FROM unnest(%s::text[]) AS f",
            [book.run, book.run, [*FILES, "turned"]],
        )
        # Of an earlier run, of a file that is a folder now, and of one that begins at the beginning.
        connection.execute(
            "INSERT INTO oaflow.steps (dataset, pipeline, document, job, run, parents, stage, well)"
            " SELECT 'd', 'p', f, 5, 'earlier', '{}', 's', true FROM unnest(%s::text[]) AS f",
            [["turned", "alone"]],
        )
        first = {10: ["alone"], 20: ["archive"], 30: ["beside"]}
        book.hop(1, "crawl", "chunk", None, handed=first)
        book.hop(
            1, "crawl", "done", None, handed={40: ["both", "together"], 50: ["failed"], 60: ["mended"], 70: ["other"]}
        )
        book.hop(10, "read", "done", ["alone"], handed={11: ["alone"]})
        book.hop(11, "index", "done", ["alone"])
        book.hop(20, "read", "done", ["archive"], handed={21: ["m1"], 22: ["m2"]})
        for member in (21, 22):
            book.hop(member, "index", "collected", None, handed={23: [f"m{member - 20}"]})
        book.hop(23, "index", "done", ["m1", "m2"], collected=2, handed={24: ["m1", "m2"]})
        book.hop(24, "after", "done", ["m1", "m2"])
        book.hop(30, "index", "collected", None, handed={80: ["beside"]})
        book.hop(40, "read", "done", ["both", "together"])
        book.hop(50, "read", "failed", ["failed"])
        book.hop(60, "read", "failed", ["mended"])
        book.hop(None, "read", "reopened", None, handed={61: ["mended"]}, reopened=[60])
        book.hop(61, "read", "done", ["mended"])
        book.hop(70, "index", "collected", None, handed={80: ["other"]})
        book.hop(80, "index", "done", ["beside", "other"], collected=2, handed={81: ["beside"], 82: ["other"]})
        for job, document in ((81, "beside"), (82, "other")):
            book.hop(job, "after", "done", [document])
        for job in (10, 11, 20, 21, 22, 24, 30, 40, 50, 60, 61, 70, 81, 82):
            book.job(job)
        for job in (23, 80):
            book.job(job, collected=2)
        yield book


@pytest.mark.parametrize("files", [1, 2, 3, 1000])
def test_parts_of_any_size_record_what_one_statement_did(book: Book, files: int) -> None:
    with book.connection.transaction(force_rollback=True):
        book.connection.execute("SELECT oaflow.mark_done_v1(%s)", [book.run])
        expected = book.tables()

    crawled.mark_done(book.connection, book.run, files)

    assert book.tables() == expected
    assert book.done() == [file for file in FILES if file != "failed"]
    documents = {(file, job): found for file, job, *_, found, _ in expected[1]}
    # What holds documents of other files, or came of such a job, does not stand for one; the members of an archive do.
    assert [documents[where] for where in (("both", 40), ("beside", 80), ("beside", 81))] == [None, None, None]
    assert [documents["archive", job] for job in (23, 24)] == [["m1", "m2"], ["m1", "m2"]]
    assert not [file for file, _, run, *_ in expected[1] if run == "earlier"]


def test_what_was_recorded_before_the_command_died_is_not_done_again(book: Book) -> None:
    with book.connection.transaction(force_rollback=True):
        crawled.mark_done(book.connection, book.run, 1000)
        whole = book.tables()
    book.connection.execute("""
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END $$;
        CREATE TRIGGER die BEFORE UPDATE ON oaflow.crawled FOR EACH ROW
        WHEN (new.document = 'mended') EXECUTE FUNCTION die()
    """)

    with (
        psycopg.connect(book.connection.info.dsn, autocommit=True) as dying,
        pytest.raises(psycopg.OperationalError),
    ):
        crawled.mark_done(dying, book.run, 2)
    assert book.done() == ["alone", "archive", "beside", "both"]
    assert {file for file, *_ in book.tables()[1]} == {"alone", "archive", "beside", "both"}  # each part as a whole

    book.connection.execute("DROP FUNCTION die CASCADE")
    left = book.connection.execute("SELECT document FROM oaflow.unmarked_v1(%s)", [book.run]).fetchall()
    assert [document for (document,) in left] == ["failed", "mended", "other", "together"]
    book.connection.execute("""
        CREATE TABLE touched (document text);
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO touched VALUES (new.document); RETURN NULL; END $$;
        CREATE TRIGGER touch AFTER INSERT OR UPDATE ON oaflow.steps FOR EACH ROW EXECUTE FUNCTION touch()
    """)
    crawled.mark_done(book.connection, book.run, 2)
    assert book.tables() == whole
    touched = {document for (document,) in book.connection.execute("SELECT document FROM touched")}
    assert touched == {"failed", "mended", "other", "together"}


def test_a_file_that_a_later_run_has_taken_meanwhile_is_left_alone(book: Book) -> None:
    parts = [
        orjson.loads(part) for (part,) in book.connection.execute(crawled.sql("unmarked"), {"run": book.run}).fetchall()
    ]
    assert [part["document"] for part in parts] == FILES
    book.connection.execute("UPDATE oaflow.crawled SET ran = 'later' WHERE document = 'alone'")
    before = book.tables()[1]

    values = {"run": book.run, "files": orjson.dumps(parts[:1]).decode()}
    assert book.connection.execute(crawled.sql("mark_done"), values).fetchone() == (0,)

    assert book.tables()[1] == before
    assert book.done() == []


def test_a_run_that_goes_on_while_its_end_is_recorded_is_not_taken_for_settled(book: Book) -> None:
    book.connection.execute("UPDATE oaflow.runs SET state = 'incomplete'")
    found = crawled.settling(book.connection, book.run)
    assert found is not None
    book.connection.execute("UPDATE oaflow.runs SET round = 2")  # as `retry` does

    crawled.mark_settled(book.connection, book.run, found.round, [])
    assert crawled.unsettled(book.connection, "d", "p") == [book.run]

    crawled.mark_settled(book.connection, book.run, 2, [])
    assert crawled.unsettled(book.connection, "d", "p") == []
