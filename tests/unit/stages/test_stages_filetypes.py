"""
The bytes decide what a file is, its name where they do not.
"""

import io
import tarfile
import zipfile

import pytest

from oaflow.stages.filetypes import UNKNOWN, file_type, named_type


def zipped(**members: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return target.getvalue()


_MAIL = b"From: a@example.org\nTo: b@example.org\nSubject: x\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\ntext"


@pytest.mark.parametrize(
    ("data", "name", "mime"),
    [
        (b"%PDF-1.7\n...", "picture.png", "application/pdf"),
        (b"%PDF-1.7\n...", "no extension", "application/pdf"),
        (b"plain words\n", "notes", "text/plain"),
        (b"plain words\n", "wrong.pdf", "text/plain"),
        (b"a,b\n1,2\n", "t.csv", "text/csv"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b"<!DOCTYPE html><html><body>x</body></html>", "page", "text/html"),
        (b"<?xml version='1.0'?><a/>", "x", "application/xml"),
        (_MAIL, "mail", "message/rfc822"),
        (b"From a@example.org Mon Jan  1 10:00:00 2024\n" + _MAIL, "inbox", "application/mbox"),
        (zipped(a="x"), "a.zip", "application/zip"),
        (
            zipped(**{"[Content_Types].xml": "x", "word__document.xml": "x"}),
            "a",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            zipped(mimetype="application/vnd.oasis.opendocument.text"),
            "a.zip",
            "application/vnd.oasis.opendocument.text",
        ),
        (tarred(), "a", "application/x-tar"),
        (b"\x00\x01\x02\x03" * 100, "report.txt", UNKNOWN),
        (b"words " * 2000 + b"\x00\x07\x01" * 20_000, "design", UNKNOWN),
    ],
)
def test_a_file_is_what_its_bytes_say(tmp_path, data, name, mime):
    path = tmp_path / "blob"
    path.write_bytes(data)

    assert file_type(path, name) == mime


@pytest.mark.parametrize("name", ["report[/red].pdf", "a:b#c?.pdf", "http://x.PDF", "\n.pdf"])
def test_a_name_is_no_address(name):
    assert named_type(name) == "application/pdf"
