"""
The stages over the real store, archive and search: what is written is found, and a second run changes nothing.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oaflow.dsl import Out
from oaflow.entities.indexed import IndexedStore
from oaflow.entities.search import search
from oaflow.entities.store import EntityStore
from oaflow.files import Archive, ArchiveOptions
from oaflow.jobs import Bindings, DatasetJob, bind, settle
from oaflow.stages import analyze, crawl, extract, index, quarantine


class Run:
    """
    The pipeline `ingest` in one process: each job with bindings of its own, as the runtime gives it.
    """

    def __init__(self, database: str, folder: Path, batch: str) -> None:
        self.store, self.batch = IndexedStore(database), batch
        self.archive = Archive(ArchiveOptions(path=folder / "archive"))
        self.notes: list[Any] = []

    def call(self, stage: str, function: Any, job: DatasetJob, **options: Any) -> list[Any]:
        one = job.documents[0] if len(job.documents) == 1 else None
        bindings = Bindings(self.store, self.archive, queue=None, origin=f"ingest/{stage}", document=one)  # type: ignore[arg-type] # nothing is queued
        with bind(bindings):
            answer = function(job, **options)
            outs = [answer] if isinstance(answer, DatasetJob) else list(answer)
            settle(job)
        self.notes += bindings.notes
        return outs

    def ingest(self, *sources: Path) -> None:
        first = DatasetJob(dataset="d", queue="q", task="t", batch=self.batch)
        waiting = self.call("crawl", crawl, first, source=[str(source) for source in sources])
        while waiting:
            job = waiting.pop()
            for out in self.call("extract", extract, job):
                if isinstance(out, Out):
                    waiting.append(out.job)
                    continue
                for done in self.call("analyze", analyze, out):
                    self.call("index", index, done)

    def entities(self) -> list[dict[str, Any]]:
        return [entity.to_dict() for entity in self.store.iterate("d")]


@pytest.fixture
def run(database: str, home: Path, tmp_path: Path) -> Iterator[Any]:
    runs: list[Run] = []

    def start(batch: str) -> Run:
        runs.append(Run(database, tmp_path, batch))
        return runs[-1]

    yield start
    for each in runs:
        each.store.close()


def found(database: str, words: str) -> list[tuple[str, int | None]]:
    with psycopg.connect(database, autocommit=True) as connection:
        return [(hit.file, hit.page) for hit in search(connection, "d", words)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_the_samples_are_found_and_a_second_run_changes_nothing(run, database):
    samples = Path(__file__).parents[3] / "examples" / "documents"
    first = run("ingest-aaaaaa")
    first.ingest(samples)
    before = first.entities()

    second = run("ingest-bbbbbb")
    second.ingest(samples)

    assert second.entities() == before
    assert {note.document for note in second.notes} == {note.document for note in first.notes}
    assert sum(note.kind == "unreadable" for note in first.notes) == 3
    assert found(database, "oystercatcher") == [("note.txt", None)]
    # In a file inside an archive inside an archive.
    assert ("notes.txt", None) in found(database, "old laptop Dieter")
    valid(before)


def valid(entities: list[dict[str, Any]]) -> None:
    """
    followthemoney's own program passes every one of them: documents, mails, pages, archives and whom they name.
    """
    ftm = Path(sys.executable).parent / "ftm"
    lines = "".join(json.dumps(entity) + "\n" for entity in entities)
    read = subprocess.run([ftm, "validate"], input=lines, capture_output=True, text=True, timeout=120, check=False)
    assert read.returncode == 0, read.stderr
    passed = [json.loads(line) for line in read.stdout.splitlines()]
    assert {entity["id"] for entity in passed} == {entity["id"] for entity in entities}
    assert {entity["schema"] for entity in passed} >= {"Pages", "Page", "Email", "Package", "HyperText", "Image"}
    assert any("processingError" in entity["properties"] for entity in passed)


def test_what_a_shorter_version_lost_is_gone_from_store_and_search(run, database, source):
    _pdf(source / "a.pdf", ["kittiwake", "oystercatcher"])
    run("ingest-aaaaaa").ingest(source)
    assert found(database, "oystercatcher") == [("a.pdf", 2)]

    _pdf(source / "a.pdf", ["kittiwake"])
    second = run("ingest-bbbbbb")
    second.ingest(source)

    assert found(database, "kittiwake") == [("a.pdf", 1)]
    assert found(database, "oystercatcher") == []
    assert [each["schema"] for each in second.entities()].count("Page") == 1


def test_a_mark_of_quarantine_is_gone_when_the_document_can_be_read(run, database, source):
    (source / "a.txt").write_text("kittiwake")
    first = run("ingest-aaaaaa")
    start = DatasetJob(dataset="d", queue="q", task="t", batch="ingest-aaaaaa")
    (job,) = first.call("crawl", crawl, start, source=[str(source)])
    error = {"stage": "extract", "type": "Crash", "message": "killed by SIGSEGV", "attempts": 3}
    (marked,) = first.call("quarantine", quarantine, job.with_entities(job.entities, error=error))
    first.call("index", index, marked)
    assert found(database, "SIGSEGV") == [("a.txt", None)]

    second = run("ingest-bbbbbb")
    second.ingest(source)

    assert found(database, "SIGSEGV") == []
    assert found(database, "kittiwake") == [("a.txt", None)]


def _pdf(path: Path, pages: list[str]) -> None:
    # By hand: a page tree, and one line of text on each page.
    parts = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    parts.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    parts.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        stream = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode()
        parts.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        parts.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    data, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(parts) + 1, table)
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(parts) + 1, start)
    path.write_bytes(data)


def test_of_documents_that_are_indexed_together_each_loses_only_the_pages_that_the_store_has_no_more(database: str):
    def page(document: str, number: int) -> dict[str, Any]:
        properties = {"document": [document], "index": [str(number)], "bodyText": [f"word{document}{number}"]}
        return {"id": f"{document}-{number}", "schema": "Page", "properties": properties}

    def put(document: str, *numbers: int) -> None:
        with others.writer("d", "o", document, replace=True) as writer:
            writer.add({"id": document, "schema": "Pages", "properties": {"fileName": [f"{document}.pdf"]}})
            for number in numbers:
                writer.add(page(document, number))
        writer.settle()

    # What takes a page out of this one does not know of the search.
    store, others = IndexedStore(database), EntityStore(database)
    for document in ("a", "b"):
        put(document, 1, 2)
    store.index("d", store.load("d", ["a", "a-1", "a-2", "b", "b-1", "b-2"]), ["a", "b"])
    put("a", 1)
    # Of `b` only a part came with the job; its second page is in the store all the same.
    store.index("d", store.load("d", ["a", "a-1", "b", "b-1"]), ["a", "b"])
    store.close()
    others.close()

    words = ("worda1", "worda2", "wordb1", "wordb2")
    assert [word for word in words if found(database, word)] == ["worda1", "wordb1", "wordb2"]
