"""
The sample documents are what their list says.
"""

import csv
import gzip
import io
import json
import mailbox
import os
import re
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email import message_from_bytes, policy
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import quote

import pytest

from oaflow.entities.words import fold, words

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCUMENTS = EXAMPLES / "documents"

ENCODINGS = {
    "notiz_latin1.txt": "latin-1",
    "zahlungen_latin1.csv": "latin-1",
    "письмо_cp1251.txt": "cp1251",
    "运费_gb18030.txt": "gb18030",
    "utf16.txt": "utf-16",
}

MAGIC = {
    ".pdf": b"%PDF-",
    ".docx": b"PK\x03\x04",
    ".xlsx": b"PK\x03\x04",
    ".pptx": b"PK\x03\x04",
    ".odt": b"PK\x03\x04",
    ".zip": b"PK\x03\x04",
    ".png": b"\x89PNG\r\n\x1a\n",
    ".jpg": b"\xff\xd8\xff",
    ".gz": b"\x1f\x8b",
    ".rtf": b"{\\rtf1",
    ".mbox": b"From ",
    ".vcf": b"BEGIN:VCARD",
    ".ics": b"BEGIN:VCALENDAR",
}


def listed() -> list[tuple[str, str]]:
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| ?([^|]*?) ?\|$", (EXAMPLES / "documents.md").read_text("utf-8"), re.MULTILINE
    )
    return [(name, word) for name, word in rows if name != "file"]


def committed() -> dict[str, bytes]:
    return {
        path.relative_to(DOCUMENTS).as_posix(): path.read_bytes() for path in DOCUMENTS.rglob("*") if path.is_file()
    }


def pieces(name: str, content: bytes) -> Iterator[tuple[str, str]]:
    """
    The texts of a file and of what is inside it, by the names that the list has; images and the unreadable have none.
    """
    base = name.rsplit("/", 1)[-1].rsplit(" > ", 1)[-1]
    match "".join(Path(base).suffixes[-1:]):
        case ".zip":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for member in archive.namelist():
                    yield from pieces(f"{name} > {member}", archive.read(member))
        case ".gz" if base.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for member in archive.getmembers():
                    opened = archive.extractfile(member)
                    assert opened is not None
                    # surrogateescape says which bytes of a name were not UTF-8
                    spelled = "".join(c if c < "\udc80" else quote(os.fsencode(c)) for c in member.name)
                    yield from pieces(f"{name} > {spelled}", opened.read())
        case ".gz":
            yield name, gzip.decompress(content).decode()
        case ".docx" | ".xlsx" | ".pptx" | ".odt" if "broken" not in base:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                inside = [
                    n
                    for n in archive.namelist()
                    if re.search(r"document.xml|sharedStr|sheet|workbook.xml$|slide\d|content.xml", n)
                ]
                texts = [archive.read(n).decode() for n in inside if n.endswith(".xml")]
                names = " ".join(re.findall(r'<sheet [^>]*name="([^"]+)"', " ".join(texts)))
                yield name, names + re.sub(r"<[^>]+>", " ", " ".join(texts))
        case ".eml":
            yield from _mail(name, message_from_bytes(content, policy=policy.default))
        case ".mbox":
            with tempfile.NamedTemporaryFile() as file:
                file.write(content)
                file.flush()
                for mail in mailbox.mbox(file.name):
                    yield from _mail(name, message_from_bytes(mail.as_bytes(), policy=policy.default))
        case ".html":
            yield name, re.sub(r"<[^>]+>", " ", content.decode())
        case ".pdf" if "scan" not in base and "locked" not in base:
            kreuzberg = pytest.importorskip("kreuzberg")
            yield name, kreuzberg.extract_bytes_sync(content, "application/pdf").content
        case ".png" | ".jpg" | ".pdf" | ".docx":
            pass
        case _:
            yield name, content.decode(ENCODINGS.get(base, "utf-8"))


def _mail(name, mail) -> Iterator[tuple[str, str]]:
    body = mail.get_body(("plain",))
    assert body is not None
    yield name, body.get_content()
    for part in mail.iter_attachments():
        if part.get_content_type() == "message/rfc822":
            inner = part.get_content()
            yield from _mail(f"{name} > {inner['Subject']}", inner)
        else:
            content = part.get_payload(decode=True)
            yield from pieces(f"{name} > {part.get_filename()}", content)


@pytest.fixture(scope="module")
def vocabulary() -> dict[str, list[set[str]]]:
    """The words of each piece; Chinese as the pairs that the search has."""
    found: dict[str, list[set[str]]] = {}
    for name, content in committed().items():
        for piece, text in pieces(name, content):
            found.setdefault(piece, []).append({word.lexeme for word in words(fold(text))})
    return found


# Who and what the story is about, in the letters and digits that each spelling of it has.
RECURRING = {
    "person": ("Jana Novák", "Dieter Vogt", "Tomás Ruiz"),
    "company": ("Northlight Dredging", "Baltmar Holding", "Cedar Bay Trading", "Haixing Logistics"),
    "address": ("17 Saltmarsh Lane", "3 Quay Road"),
    "IBAN": ("GB29 NWBK 6016 1331 9268 19", "DE89 3704 0044 0532 0130 00", "AE07 0331 2345 6789 0123 456"),
    "phone": ("+44 20 7946 0117", "+44 1632 960140"),
}


@pytest.fixture(scope="module")
def letters() -> dict[str, str]:
    """The text of each file and of all that is in it, nothing but letters and digits."""
    texts: dict[str, str] = {}
    for name, content in committed().items():
        texts[name] = "\0".join(re.sub(r"[\W_]+", "", text) for _, text in pieces(name, content))
    return texts


@pytest.mark.parametrize("what", [what for kind in RECURRING.values() for what in kind])
def test_who_and_what_the_story_is_about_is_in_three_files_or_more(what, letters):
    assert sum(re.sub(r"[\W_]+", "", what) in text for text in letters.values()) >= 3


def test_there_are_at_least_forty_and_they_are_small():
    files = committed()
    assert len(files) >= 40
    assert sum(map(len, files.values())) < 2_000_000


def test_the_list_names_each_file_and_no_other():
    assert {name.split(" > ")[0] for name, _ in listed()} == set(committed())


@pytest.mark.parametrize("name", sorted(committed()))
def test_a_file_begins_as_its_name_says(name):
    magic = MAGIC.get(Path(name).suffix)
    if magic is not None:
        assert committed()[name].startswith(magic)


def test_the_list_names_each_file_inside_a_file(vocabulary):
    inside = {name for name, _ in listed() if " > " in name and not name.endswith(".png")}
    assert inside == {name for name in vocabulary if " > " in name}


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, word in listed() if word])
def test_a_word_of_the_list_is_in_its_file_and_in_no_other(name, word, vocabulary):
    lexemes = {found.lexeme for found in words(fold(word)) if len(found.lexeme) > 1}
    holders = {piece for piece, texts in vocabulary.items() for text in texts if lexemes <= text}
    is_image = name.endswith((".png", ".jpg", "_scan.pdf"))
    assert holders == (set() if is_image else {name})


@pytest.mark.parametrize("name", ["tender/chart.png", "money/bank_letter_scan.jpg", "money/invoice_0119_scan.pdf"])
def test_the_word_of_an_image_can_be_read(name):
    kreuzberg = pytest.importorskip("kreuzberg")
    folders = [
        Path(os.environ.get("TESSDATA_PREFIX", "/nowhere")),
        *Path("/usr/share").glob("tesseract-ocr/*/tessdata"),
    ]
    data = next((folder for folder in folders if (folder / "eng.traineddata").exists()), None)
    if data is None:
        pytest.skip("no language data of Tesseract here (Debian: tesseract-ocr)")
    # In a process of its own: Tesseract reads the variable once, and prints on its way out.
    import subprocess

    script = (
        "import sys, kreuzberg as k\n"
        "c = k.ExtractionConfig(ocr=k.OcrConfig(backend='tesseract', language='eng'))\n"
        "sys.stdout.write(k.extract_file_sync(sys.argv[1], config=c).content)"
    )
    assert kreuzberg
    environment = {**os.environ, "TESSDATA_PREFIX": str(data)}
    answer = subprocess.run(
        [sys.executable, "-c", script, str(DOCUMENTS / name)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert dict(listed())[name] in answer.stdout


@pytest.mark.parametrize("name", ["money/statement_locked.pdf", "money/statement_broken.docx"])
def test_what_cannot_be_read_cannot_be_read(name):
    kreuzberg = pytest.importorskip("kreuzberg")
    with pytest.raises(kreuzberg.KreuzbergError):
        kreuzberg.extract_file_sync(str(DOCUMENTS / name))


def test_the_scan_has_no_text_of_its_own():
    kreuzberg = pytest.importorskip("kreuzberg")
    assert kreuzberg.extract_file_sync(str(DOCUMENTS / "money/invoice_0119_scan.pdf")).content.strip() == ""


def test_a_name_in_the_tar_is_not_utf_8():
    raw = gzip.decompress((DOCUMENTS / "archives/logs.tar.gz").read_bytes())
    assert "Aufträge für März".encode("latin-1") in raw


def test_the_ibans_have_valid_check_digits():
    with (DOCUMENTS / "money/payments.csv").open(encoding="utf-8") as file:
        ibans = {row["iban"].replace(" ", "") for row in csv.DictReader(file)}
    for account in json.loads((DOCUMENTS / "money/accounts.json").read_text("utf-8"))["accounts"]:
        ibans.add(account["iban"].replace(" ", ""))
    assert len(ibans) == 5
    for iban in ibans:
        number = "".join(str(int(c, 36)) for c in iban[4:] + iban[:4])
        assert int(number) % 97 == 1, iban


def test_the_script_makes_the_committed_bytes():
    for library in ("docx", "openpyxl", "PIL", "pptx", "reportlab"):
        pytest.importorskip(library)
    spec = spec_from_file_location("make_documents", EXAMPLES / "make_documents.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.documents()

    assert set(made) == set(committed())
    assert made == script.documents()
    if not script.reproducible():
        pytest.skip("other versions of the libraries than the committed files were made with")
    assert [name for name, content in made.items() if content != committed()[name]] == []
