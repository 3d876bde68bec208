"""
`extract`, `analyze`, `index` and `quarantine` as plain functions, over files made here and over the samples.
"""

import ctypes
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from oaflow.dsl import Out
from oaflow.stages import analyze, crawl, extract, index, ocr, quarantine
from oaflow.stages.documents import facts

_SAMPLES = Path(__file__).parents[3] / "examples" / "documents"


def extracted(job, path, depth=0):
    """What `extract` makes of a file: the jobs that go on, and the children."""
    (found,) = list(crawl(job.model_copy(update={"batch": None}), source=[str(path)]))
    outs = list(extract(found.with_entities(found.entities, oaflow={"depth": {"children": depth}})))
    children = [each.job for each in outs if isinstance(each, Out)]
    return [each for each in outs if not isinstance(each, Out)], children


def document(job, path, shelf):
    """The document as the store has it after `extract`."""
    (onward, *_), _ = extracted(job, path)
    return next(iter(shelf.load("d", [onward.entities[0]["id"]])))


def unreadable(bindings):
    return {note.name.rpartition("/")[2]: note.reason for note in bindings.notes if note.kind == "unreadable"}


@pytest.mark.parametrize(
    ("name", "data", "schema", "text"),
    [
        ("a.txt", b"plain words", "PlainText", "plain words"),
        ("a.json", b'{"a": "words"}', "PlainText", '{"a": "words"}'),
        ("a.csv", b"name;sum\nAnna;3\n", "Table", "name\tsum\nAnna\t3"),
        (
            "a.html",
            b"<html><title>T &amp; x</title><body><p>The <b>words</b></p></body></html>",
            "HyperText",
            "The words",
        ),
        ("a.rtf", rb"{\rtf1\ansi words}", "Pages", "words"),
    ],
)
def test_a_file_becomes_the_schema_that_fits_it_with_its_text(bindings, job, shelf, source, name, data, schema, text):
    (source / name).write_bytes(data)

    entity = document(job, source / name, shelf)

    assert entity.schema.name == schema
    assert [value.strip() for value in entity.get("bodyText")] == [text]
    assert entity.get("processingStatus") == ["success"]


def test_texts_do_not_travel(bindings, job, source):
    (source / "a.txt").write_text("words")

    (onward,), _ = extracted(job, source / "a.txt")

    assert "bodyText" not in onward.entities[0]["properties"]
    assert onward.entities[0]["properties"]["fileName"] == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pdf", b"", "empty: the file has no bytes"),
        ("a.docx", b"PK\x03\x04" + b"x" * 50, "truncated or damaged"),
        ("a.mp3", b"ID3" + b"\x00" * 50, "no reader for audio/mpeg"),
        ("a", b"\x00\x01\x02" * 50, "no reader for application/octet-stream"),
        ("a.pdf", b"%PDF-1.7\n garbage", "truncated or damaged"),
    ],
)
def test_what_cannot_be_read_goes_on_with_the_reason(bindings, job, shelf, source, name, data, reason):
    (source / name).write_bytes(data)

    entity = document(job, source / name, shelf)

    assert entity.first("processingError").startswith(reason)
    assert entity.get("processingStatus") == ["failure"]
    assert unreadable(bindings)[name].startswith(reason)


def test_a_file_above_the_limit_is_not_read(bindings, job, shelf, source, monkeypatch):
    monkeypatch.setenv("OAFLOW_FILE_BYTES", "1kB")
    (source / "a.txt").write_text("x" * 2000)

    assert document(job, source / "a.txt", shelf).first("processingError").startswith("too large")


def test_a_text_above_the_limit_is_cut_and_that_is_said(bindings, job, shelf, source, monkeypatch):
    monkeypatch.setenv("OAFLOW_TEXT_BYTES", "1000")
    (source / "a.txt").write_text("x" * 2000)

    entity = document(job, source / "a.txt", shelf)

    assert len(entity.first("bodyText")) == 1000
    assert entity.first("processingError") == "text cut after 1,000 letters (OAFLOW_TEXT_BYTES)"


def zipped(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)


def test_members_go_out_on_their_own_port_with_the_way_up(bindings, job, shelf, source):
    zipped(source / "a.zip", **{"x__y__b.txt": "b", "c.txt": "c"})

    (onward,), children = extracted(job, source / "a.zip")

    assert onward.entities[0]["schema"] == "Package"
    by_name = {child.entities[0]["properties"]["fileName"][0]: child.entities[0] for child in children}
    assert sorted(by_name) == ["b.txt", "c.txt"]
    package = onward.entities[0]["id"]
    assert by_name["c.txt"]["properties"]["parent"] == [package]
    folders = {entity.id: entity.first("fileName") for entity in shelf.all() if entity.schema.name == "Folder"}
    above = by_name["b.txt"]["properties"]["ancestors"]
    assert [folders.get(each, "package") for each in above] == ["package", "x", "y"]
    assert [note.name for note in bindings.notes if note.kind == "found"][1:] == ["a.zip/x/y/b.txt", "a.zip/c.txt"]


def test_an_encrypted_member_is_an_entity_with_the_reason_and_no_child(bindings, job, shelf, source):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("secret.txt", "x")
    data = bytearray(target.getvalue())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1
    (source / "a.zip").write_bytes(data)

    onward, children = extracted(job, source / "a.zip")

    assert children == []
    assert onward[1].entities[0]["properties"]["processingError"] == ["encrypted: a password is needed"]
    assert unreadable(bindings) == {"secret.txt": "encrypted: a password is needed"}


def test_depth_ends_where_recursion_ends(bindings, job, source):
    zipped(source / "a.zip", b="x")

    assert len(extracted(job, source / "a.zip", depth=15)[1]) == 1
    (onward,), children = extracted(job, source / "a.zip", depth=16)

    assert children == []
    assert onward.entities[0]["properties"]["processingError"] == [
        "nested deeper than 16 containers: not unpacked (OAFLOW_DEPTH)"
    ]


def test_a_bomb_is_an_entity_with_the_reason(bindings, job, source):
    with zipfile.ZipFile(source / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\x00" * 40_000_000)

    (onward,), children = extracted(job, source / "a.zip")

    assert children == []
    assert onward.entities[0]["properties"]["processingError"][0].startswith("a bomb")


def test_an_archive_that_takes_too_long_says_so(bindings, job, shelf, source, monkeypatch):
    monkeypatch.setenv("OAFLOW_READ_TIME", "0.000001")  # over before the first member
    zipped(source / "a.zip", **{"b.txt": "b"})

    (onward,), children = extracted(job, source / "a.zip")

    assert children == []
    (reason,) = onward.entities[0]["properties"]["processingError"]
    assert reason.startswith("time: unpacking took longer than")
    assert unreadable(bindings) == {"a.zip": reason}


def test_of_a_pdf_with_too_many_pages_the_first_are_read(bindings, job, shelf, monkeypatch):
    monkeypatch.setenv("OAFLOW_PAGES", "1")

    (onward,), _ = extracted(job, _SAMPLES / "tender" / "terms.pdf")

    first, *pages = onward.entities
    assert [page["properties"]["index"] for page in pages] == [["1"]]
    (reason,) = first["properties"]["processingError"]
    assert re.fullmatch(r"too many pages: the first 1 of [2-9] were read \(OAFLOW_PAGES\)", reason)
    assert unreadable(bindings) == {"terms.pdf": reason}


def test_extracting_twice_says_the_same(bindings, job, shelf, source):
    zipped(source / "a.zip", **{"x__b.txt": "b", "c.txt": "c"})

    def everything():
        onward, children = extracted(job, source / "a.zip")
        return [each.to_wire() for each in (*onward, *children)], [entity.to_dict() for entity in shelf.all()]

    assert everything() == everything()


def test_without_language_data_an_image_is_kept_with_a_note(bindings, job, shelf, monkeypatch):
    monkeypatch.setattr("oaflow.stages.documents.languages", lambda wanted: None)

    entity = document(job, _SAMPLES / "tender" / "chart.png", shelf)

    assert entity.schema.name == "Image"
    assert set(entity.get("processingStatus")) == {"success", ocr.NO_LANGUAGES}
    assert unreadable(bindings) == {}


needs_tesseract = pytest.mark.skipif(ocr.tessdata() is None, reason="no Tesseract language data on this machine")


@needs_tesseract
def test_text_in_images_and_scanned_pages_is_read_and_stderr_stays_clean(bindings, job, shelf, capfd):
    chart = document(job, _SAMPLES / "tender" / "chart.png", shelf)
    scan = document(job, _SAMPLES / "money" / "invoice_0119_scan.pdf", shelf)

    assert "LIGHTHOUSE" in chart.first("bodyText").upper()
    pages = [entity for entity in shelf.all() if entity.schema.name == "Page" and scan.id in entity.get("document")]
    assert "Northlight" in pages[0].first("bodyText")
    assert capfd.readouterr().err == ""


@needs_tesseract
def test_scanned_pages_that_take_too_long_are_not_read_and_that_is_said(bindings, job, shelf, monkeypatch):
    monkeypatch.setenv("OAFLOW_READ_TIME", "0.000001")  # over before the first page

    document(job, _SAMPLES / "money" / "invoice_0119_scan.pdf", shelf)

    reason = "time: scanned pages from 1 on were not read (OAFLOW_READ_TIME)"
    assert unreadable(bindings) == {"invoice_0119_scan.pdf": reason}


def test_pages_are_entities_of_their_own(bindings, job, shelf):
    (onward,), _ = extracted(job, _SAMPLES / "tender" / "terms.pdf")

    first, *pages = onward.entities
    assert first["schema"] == "Pages"
    assert {page["schema"] for page in pages} == {"Page"}
    assert [page["properties"]["index"] for page in pages] == [[str(n + 1)] for n in range(len(pages))]
    assert onward.documents == (first["id"],)


def test_analysis_is_of_the_document_and_travels_with_it(bindings, job, shelf, source):
    (source / "a.txt").write_text(
        "Dear Mr Chen Wei, Northlight Dredging Ltd pays to DE89 3704 0044 0532 0130 00. "
        "Call +44 20 7946 0117 or write to a@example.org from 203.0.113.41, see https://example.org/x."
    )
    (onward,), _ = extracted(job, source / "a.txt")

    (done,) = analyze(onward)

    found = done.entities[0]["properties"]
    assert found["detectedLanguage"] == ["eng"]
    assert found["ibanMentioned"] == ["DE89370400440532013000"]
    assert found["phoneMentioned"] == ["+442079460117"]
    assert found["emailMentioned"] == ["a@example.org"]
    assert found["ipMentioned"] == ["203.0.113.41"]
    assert found["keywords"] == ["https://example.org/x"]
    assert sorted(found["detectedCountry"]) == ["de", "gb"]
    assert found["companiesMentioned"] == ["Northlight Dredging Ltd"]
    assert found["peopleMentioned"] == ["Chen Wei"]
    assert document_of(shelf, done).get("ibanMentioned") == ["DE89370400440532013000"]


def document_of(shelf, job):
    return next(iter(shelf.load("d", job.documents)))


def test_analysis_of_pages_reads_them_all(bindings, job):
    (onward,), _ = extracted(job, _SAMPLES / "tender" / "terms.pdf")

    (done,) = analyze(onward)

    assert done.entities[0]["properties"]["detectedLanguage"] == ["eng"]


def test_index_hands_the_stored_entities_to_the_search(bindings, job, shelf, source):
    (source / "a.txt").write_text("words")
    (onward,), _ = extracted(job, source / "a.txt")

    index(onward)

    assert shelf.indexed == [onward.entities[0]["id"]]


def test_quarantine_says_why_under_the_origin_of_the_stage_that_failed(bindings, job, shelf, source):
    (source / "a.txt").write_text("words")
    (found,) = crawl(job, source=[str(source)])
    error = {"stage": "extract", "type": "Crash", "message": "killed by SIGSEGV", "attempts": 3}

    (onward,) = quarantine(found.with_entities(found.entities, error=error))

    reason = "extract failed after 3 attempts: killed by SIGSEGV"
    assert onward.entities[0]["properties"]["processingError"] == [reason]
    assert (found.documents[0], "ingest/extract", found.documents[0]) in shelf.rows
    assert unreadable(bindings) == {"a.txt": reason}


@pytest.mark.parametrize("path", sorted(path for path in _SAMPLES.rglob("*") if path.is_file()), ids=lambda p: p.name)
def test_every_sample_is_read_or_says_why_not(bindings, job, shelf, path):
    onward, children = extracted(job, path)

    for each in (*onward, *children):
        json.dumps(each.to_wire())
    bindings.origin = "ingest/analyze"
    for each in onward:
        list(analyze(each))
    entity = document_of(shelf, onward[0])
    text = [value for one in shelf.all() for value in one.get("bodyText", quiet=True)]
    assert text or children or entity.get("processingError") or len(entity.get("processingStatus")) > 1


def test_what_programs_write_where_nobody_wrote_an_author_or_a_title_is_neither():
    known = {"authors": ["anonymous", "Anna Keller"], "title": "(untitled)", "keywords": ["anonymous"]}

    assert facts(known) == {"author": ["Anna Keller"], "keywords": ["anonymous"]}


@needs_tesseract
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc alone keeps what was freed")
def test_what_reading_pictures_took_is_given_back():
    # In a process of its own, whose memory is of this alone: what a second trim frees was not given back.
    code = """
import ctypes, sys
from pathlib import Path
from psutil import Process
from oaflow.stages.desk import desk
from oaflow.stages.limits import Limits
from oaflow.stages.reading import read_file
for name, mime in (("invoice_0119_scan.pdf", "application/pdf"), ("bank_letter_scan.jpg", "image/jpeg")):
    with desk(Limits(), None) as place:
        read_file(Path(sys.argv[1]) / name, name, mime, place)
    before = Process().memory_info().rss
    ctypes.CDLL(None).malloc_trim(0)
    print(before - Process().memory_info().rss)
"""

    run = [sys.executable, "-c", code, str(_SAMPLES / "money")]
    kept = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout

    assert all(int(line) < 30 * 1024**2 for line in kept.split()), kept
    assert len(kept.split()) == 2


def test_what_lies_in_an_archive_for_a_program_only_is_skipped_by_its_name(bindings, job, source):
    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        for name in ("in/letter.txt", "__MACOSX/in/._letter.txt", "in/.DS_Store", "in/__MACOSX.txt"):
            archive.writestr(name, "x")

    _, children = extracted(job, source / "a.zip")

    assert [each.entities[0]["properties"]["fileName"] for each in children] == [["letter.txt"], ["__MACOSX.txt"]]
    assert {note.name: note.reason for note in bindings.notes if note.kind == "skipped"} == {
        "a.zip/__MACOSX/in/._letter.txt": "left out by its name (__MACOSX)",
        "a.zip/in/.DS_Store": "left out by its name (.DS_Store)",
    }
    assert not unreadable(bindings)


def test_the_names_that_are_left_out_of_an_archive_can_be_others(bindings, job, source):
    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        for name in ("letter.txt", ".DS_Store"):
            archive.writestr(name, "x")
    (found,) = list(crawl(job.model_copy(update={"batch": None}), source=[str(source / "a.zip")]))

    children = [each.job for each in extract(found, skip=["*.txt"]) if isinstance(each, Out)]

    assert [each.entities[0]["properties"]["fileName"] for each in children] == [[".DS_Store"]]
