"""
What `ingest` leaves out by its name, and that a dataset keeps another list of names.
"""

import zipfile

from tests.acceptance.conftest import Command


def test_what_programs_write_for_themselves_is_skipped_and_another_list_is_kept(cli: Command) -> None:
    folder = cli.folder / "letters"
    folder.mkdir()
    for name in (".DS_Store", "~$anna.docx", "anna.txt", "draft.tmp"):
        (folder / name).write_text("the harbour")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for name in ("boris.txt", "__MACOSX/._boris.txt", "old.tmp"):
            archive.writestr(name, "the harbour")

    first = cli("run", "ingest", "-d", "letters", str(folder), "--workers", "1")

    assert first.code == 0
    assert "8 documents: 5 indexed, 3 skipped" in first.out
    left = cli("receipt", "--list", "skipped").out
    assert "letters/~$anna.docx\tleft out by its name (~$*)" in left
    assert "a.zip/__MACOSX/._boris.txt\tleft out by its name (__MACOSX)" in left

    other = cli("run", "ingest", "-d", "letters", "-p", "skip=*.tmp", "--workers", "1")
    again = cli("run", "ingest", "-d", "letters", "--prune", "--workers", "1")

    assert "8 documents: 6 indexed, 2 skipped" in other.out
    assert "1 file is gone from the folders" in other.out  # draft.tmp, which the first run had read
    assert "5 documents: 4 unchanged, 1 skipped" in again.out
    assert not cli("search", "harbour", "-d", "letters", "--json").out.count("draft.tmp")
