"""
The sample documents through the ready-made pipeline: each word of their list is found, in its file and in no other.
"""

import os
import re
from pathlib import Path

import pytest

from oaflow.entities.search import search
from oaflow.operations.databases import database
from oaflow.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"

# Where the pipeline has a better name than the list: of a mail in a mailbox or in a mail, of what gzip holds.
NAMES = {
    "Summer": "Summer.eml",
    "inbox.mbox": "00004.eml",
    "logs/Auftr%E4ge f%FCr M%E4rz.txt": "Aufträge für März.txt",
    "archives/minutes.txt.gz": "minutes.txt",
}


def listed() -> list[tuple[str, str, str]]:
    """File name, kind and word of each line of the list that has a word."""
    text = (EXAMPLES / "documents.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return [(name.split(" > ")[-1], kind, word) for name, kind, word in rows if name != "file" and "---" not in name]


def language_data() -> Path | None:
    folders = [
        Path(os.environ.get("TESSDATA_PREFIX", "/nowhere")),
        *Path("/usr/share").glob("tesseract-ocr/*/tessdata"),
    ]
    return next((folder for folder in folders if (folder / "eng.traineddata").exists()), None)


@pytest.mark.slow
def test_every_word_of_the_list_is_found_in_its_file(used_home, warm):
    pytest.importorskip("kreuzberg")
    data = language_data()
    environment = {**os.environ, **({"TESSDATA_PREFIX": str(data)} if data else {})}
    command = ("run", "ingest", "-d", "samples", str(EXAMPLES / "documents"))
    code, _, said = warm.run(command, EXAMPLES, environment)
    assert code == 0, said.decode()

    wrong: dict[str, list[tuple[str, int | None]]] = {}
    with database(Settings()) as opened, opened.connect() as connection:
        for name, kind, word in listed():
            if data is None and "OCR" in kind:
                continue
            wanted = NAMES.get(name, NAMES.get(name.rsplit("/", 1)[-1], name.rsplit("/", 1)[-1]))
            found = [(hit.file, hit.page) for hit in search(connection, "samples", word)]
            on_page = {"on the third": 3, "on the fourth": 4}
            page = next((number for sign, number in on_page.items() if sign in kind), None)
            if [file for file, _ in found] != [wanted] or (page and found[0][1] != page):
                wrong[f"{wanted}: {word}"] = found
    assert len(listed()) > 50
    assert wrong == {}
