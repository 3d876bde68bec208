"""
`crawl` as a plain function: every file is sent on, everything else is named with its reason, and a rerun says the same.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from followthemoney.proxy import EntityProxy
from followthemoney.types import registry
from hypothesis import given
from hypothesis import strategies as st

from oaflow.errors import Reject
from oaflow.stages import crawl, listing
from oaflow.stages.filetypes import clean_type
from oaflow.stages.texts import kept_text


def crawled(job, *sources):
    return [each.entities[0] for each in crawl(job, source=[str(source) for source in sources])]


def names(entities):
    return [entity["properties"]["fileName"][0] for entity in entities]


def skipped(bindings):
    return {note.name: note.reason for note in bindings.notes if note.kind == "skipped"}


def test_each_regular_file_is_one_job_in_the_order_of_the_names(bindings, job, source):
    for name in ("b.txt", "a.txt", "folder/c.txt"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(name)

    entities = crawled(job, source)

    assert names(entities) == ["a.txt", "b.txt", "c.txt"]
    assert all(each["properties"]["contentHash"] for each in entities)
    assert [note.name for note in bindings.notes] == ["source/a.txt", "source/b.txt", "source/folder/c.txt"]


def test_what_is_no_regular_file_is_skipped_with_the_reason(bindings, job, source):
    os.mkfifo(source / "fifo")
    (source / "out").symlink_to("/etc/hostname")
    (source / "broken").symlink_to("/nowhere/at/all")
    (source / "a.txt").write_text("x")
    (source / "within").symlink_to(source / "a.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "s"))

        entities = crawled(job, source)

    assert names(entities) == ["a.txt"]
    assert skipped(bindings) == {
        "source/broken": "a symbolic link out of the source",
        "source/fifo": "a FIFO",
        "source/out": "a symbolic link out of the source",
        "source/s": "a socket",
        "source/within": "a symbolic link within the source",
    }


def test_the_own_data_folder_in_a_source_is_left_out(bindings, job, source, monkeypatch):
    monkeypatch.setenv("OAFLOW_HOME", str(source / "home"))
    (source / "home").mkdir()
    (source / "home" / "data").write_text("x")

    assert crawled(job, source) == []
    assert skipped(bindings) == {"source/home": "oaflow's own data (OAFLOW_HOME)"}


def test_a_file_that_vanishes_after_the_listing_is_skipped(bindings, job, source, monkeypatch):
    monkeypatch.setattr(listing, "_GROUP", 1)  # looked at one by one
    (source / "a.txt").write_text("x")
    (source / "b.txt").write_text("x")
    stream = crawl(job, source=[str(source)])

    next(stream)
    (source / "b.txt").unlink()

    assert list(stream) == []
    assert skipped(bindings) == {"source/b.txt": "cannot be read: No such file or directory"}


def test_a_file_without_the_right_to_read_is_skipped(bindings, job, source):
    (source / "a.txt").write_text("x")
    (source / "a.txt").chmod(0)
    if os.access(source / "a.txt", os.R_OK):
        pytest.skip("root reads every file")

    assert crawled(job, source) == []
    assert skipped(bindings) == {"source/a.txt": "cannot be read: Permission denied"}


def test_a_folder_without_the_right_to_read_is_skipped(bindings, job, source):
    (source / "closed").mkdir()
    (source / "closed" / "a.txt").write_text("x")
    (source / "closed").chmod(0)
    if os.access(source / "closed", os.R_OK):
        pytest.skip("root reads every folder")

    assert crawled(job, source) == []
    assert skipped(bindings) == {"source/closed": "a folder that cannot be read: Permission denied"}
    (source / "closed").chmod(0o700)


def test_a_disk_that_is_full_is_the_machines_trouble_and_not_the_files(bindings, job, source, monkeypatch):
    (source / "a.txt").write_text("x")

    def full(path: Path) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bindings.files, "archive", full)

    with pytest.raises(OSError, match="No space"):
        crawled(job, source)


def test_a_rerun_repeats_what_it_had_said_and_then_reads_on(bindings, job, source, monkeypatch):
    monkeypatch.setattr(listing, "_GROUP", 1)  # looked at one by one
    for name in ("b", "c", "d"):
        (source / name).write_text("before")
    stream = crawl(job, source=[str(source)])
    first = [next(stream).entities[0], next(stream).entities[0]]
    stream.close()

    (source / "a").write_text("new")
    (source / "b").unlink()
    (source / "c").write_text("changed")
    (source / "d").write_text("changed")
    again = crawled(job, source)

    assert again[:2] == first
    assert names(again) == ["b", "c", "d"]
    assert again[2]["properties"]["contentHash"] != first[1]["properties"]["contentHash"]


def test_a_line_that_a_kill_cut_short_is_written_anew(bindings, job, source, tmp_path):
    for name in ("a", "b"):
        (source / name).write_text(name)
    whole = crawled(job, source)
    (done,) = (tmp_path / "home" / "crawls").glob("*/done.jsonl")
    done.write_bytes(done.read_bytes()[:-5])

    assert crawled(job, source) == whole


def test_another_run_looks_again(bindings, job, source):
    (source / "a").write_text("x")
    crawled(job, source)
    (source / "b").write_text("x")

    assert names(crawled(job.model_copy(update={"batch": "ingest-ghijkl"}), source)) == ["a", "b"]


def test_running_the_same_folder_twice_gives_the_same_entities(bindings, job, source, shelf):
    (source / "folder").mkdir()
    (source / "folder" / "a").write_text("x")
    first, stored = crawled(job, source), [entity.to_dict() for entity in shelf.all()]

    second = crawled(job.model_copy(update={"batch": "ingest-ghijkl"}), source)

    assert second == first
    assert [entity.to_dict() for entity in shelf.all()] == stored


def test_folders_are_entities_and_the_way_up_from_each_file(bindings, job, source, shelf):
    (source / "x" / "y").mkdir(parents=True)
    (source / "x" / "y" / "a").write_text("x")
    (source / "z").write_text("x")

    deep, flat = crawled(job, source)

    folders = {entity.id: entity.first("fileName") for entity in shelf.all()}
    assert sorted(folders.values()) == ["source", "x", "y"]
    assert [folders[each] for each in deep["properties"]["ancestors"]] == ["source", "x", "y"]
    assert folders[deep["properties"]["parent"][0]] == "y"
    assert folders[flat["properties"]["parent"][0]] == "source"


def test_a_source_within_a_source_is_seen_once(bindings, job, source):
    (source / "x").mkdir()
    (source / "x" / "a").write_text("x")

    assert names(crawled(job, source, source / "x", source)) == ["a"]


def test_a_file_can_be_a_source(bindings, job, source):
    (source / "a.pdf").write_text("x")

    (entity,) = crawled(job, source / "a.pdf")

    assert entity["properties"]["mimeType"] == ["application/pdf"]
    assert "parent" not in entity["properties"]


@pytest.mark.parametrize(
    "raw", [b"report[/red].pdf".replace(b"/", b"|"), b"a\nb.txt", "Größe.txt".encode("latin-1"), b"\xff\xfe"]
)
def test_any_name_is_readable_and_none_is_lost(bindings, job, source, raw):
    path = os.path.join(os.fsencode(source), raw)
    with open(path, "w") as handle:
        handle.write("x")

    (entity,) = crawled(job, source)

    name = entity["properties"]["fileName"][0]
    name.encode()
    assert crawled(job, source) == [entity]
    try:
        raw.decode()
    except UnicodeDecodeError:
        assert entity["properties"]["sourceUrl"][0].startswith("file:///")
        assert "%" in entity["properties"]["sourceUrl"][0]


def test_a_source_that_is_not_there_is_no_matter_for_another_attempt(bindings, job, source):
    with pytest.raises(Reject, match="there is no"):
        crawled(job, source / "nowhere")


def test_a_deep_folder_keeps_the_whole_way_up(bindings, job, source):
    place = source.joinpath(*["d"] * 200)
    place.mkdir(parents=True)
    (place / "a").write_text("x")

    assert len(crawled(job, source)[0]["properties"]["ancestors"]) == 201


LITTER = [
    ".DS_Store",
    "._a.docx",
    "thumbs.DB",
    "Desktop.ini",
    "~$letter.docx",
    ".~lock.letter.odt#",
    "__MACOSX/._b.pdf",
]


def test_what_programs_write_beside_documents_for_themselves_is_skipped_by_its_name(bindings, job, source):
    for name in ("a.DS_Store", "~letter.docx", ".hidden", *LITTER):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("x")

    assert names(crawled(job, source)) == [".hidden", "a.DS_Store", "~letter.docx"]
    found = skipped(bindings)
    assert sorted(found) == sorted(f"source/{name.partition('/')[0]}" for name in LITTER)
    assert found["source/thumbs.DB"] == "left out by its name (Thumbs.db)"


def test_other_names_can_be_left_out_in_place_of_these_or_none(bindings, job, source):
    for name in (".DS_Store", "a.txt", "b.TMP", "old/c.txt"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("x")

    def left(skip):
        return names(
            each.entities[0] for each in crawl(job.model_copy(update={"batch": None}), source=places, skip=skip)
        )

    places = [str(source)]
    assert left(["*.tmp", "old"]) == [".DS_Store", "a.txt"]
    assert skipped(bindings) == {
        "source/b.TMP": "left out by its name (*.tmp)",
        "source/old": "left out by its name (old)",
    }
    assert left([]) == left([""]) == [".DS_Store", "a.txt", "b.TMP", "c.txt"]


def test_a_file_that_was_named_itself_is_taken_whatever_its_name(bindings, job, source):
    (source / ".DS_Store").write_text("x")

    assert names(crawled(job, source / ".DS_Store")) == [".DS_Store"]


@given(st.text(max_size=20) | st.text(st.characters(max_codepoint=127), max_size=20))
def test_a_text_is_as_followthemoney_keeps_it(text):
    assert kept_text(text) == registry.string.clean(text)


@given(
    st.sampled_from(["text/html; charset=utf-8", "TEXT/Plain", "application/octet-stream", "a/b/c", " x", "\u00e9/x"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
)
def test_a_type_is_as_followthemoney_keeps_it(mime):
    assert clean_type(mime) == registry.mimetype.clean(mime)


@pytest.mark.parametrize("modified", [-2_000_000_000, 0, 1_700_000_000, 1_704_067_200, 32_503_680_000])
@pytest.mark.parametrize("name", ["a.TXT", " b  c .pdf", "'d'", "é\u0301.docx", "none", "e.", ".f", "\t.html"])
def test_what_crawl_says_of_a_file_is_an_entity_that_followthemoney_would_not_change(
    bindings, job, source, name, modified
):
    (source / "sub").mkdir()
    (source / "sub" / name).write_text("x")
    os.utime(source / "sub" / name, (modified, modified))

    (entity,) = crawled(job, source)

    assert EntityProxy.from_dict(entity, cleaned=False).to_dict() == entity
    assert entity["properties"]["ancestors"][-1:] == entity["properties"]["parent"]


def test_a_crawl_does_not_load_followthemoney(source, tmp_path):
    (source / "a.txt").write_text("x")
    code = (
        "import sys; from pathlib import Path; from oaflow.files import Archive, ArchiveOptions; "
        "from oaflow.entities.fragments import row_of; from oaflow.jobs import Bindings, DatasetJob, bind; "
        "from oaflow.stages import crawl\n"
        "class Store:\n"
        "    def writer(self, *arguments): return self\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *error): pass\n"
        "    def put(self, entity, fragment): row_of(entity, 'o', fragment)\n"
        "job = DatasetJob(queue='q', task='t', dataset='d', payload={})\n"
        "with bind(Bindings(entities=Store(), files=Archive(ArchiveOptions(path=Path(sys.argv[2]))), queue=None)):\n"
        "    print(len(list(crawl(job, source=[sys.argv[1]]))), 'followthemoney' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "kept")],
        capture_output=True, text=True, timeout=60, env={**os.environ, "OAFLOW_HOME": str(tmp_path / "home")},
    )  # fmt: skip

    assert said.stdout.split() == ["1", "False"], said.stderr
