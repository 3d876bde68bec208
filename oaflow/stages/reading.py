"""
Which reader a file gets, by its type.
"""

from collections.abc import Callable
from pathlib import Path

from oaflow.stages import archives, documents, mails, presentations, slides, tables, winmail
from oaflow.stages.content import EMPTY, Content, Unreadable
from oaflow.stages.desk import Desk, too_large
from oaflow.stages.filetypes import ENCRYPTED_OFFICE
from oaflow.stages.packed import PACKED, library, unpack_packed
from oaflow.stages.texts import decoded

Reader = Callable[[Path, str, Desk], Content]

_ARCHIVES = frozenset(
    (
        "application/zip",
        "application/x-tar",
        "application/gzip",
        "application/x-bzip2",
        "application/x-xz",
        "application/java-archive",
        "application/x-zip-compressed",
    )
)

_READERS: dict[str, Reader] = {
    "application/pdf": documents.read_pdf,
    "text/html": documents.read_markup,
    "application/xhtml+xml": documents.read_markup,
    "text/csv": tables.read_table,
    "text/tab-separated-values": tables.read_table,
    "application/vnd.ms-outlook": documents.read_message,
    "application/ms-tnef": winmail.read_winmail,
    "application/x-7z-compressed": documents.read_listed,
    "application/vnd.ms-outlook-pst": documents.read_listed,
    "application/vnd.oasis.opendocument.presentation": slides.read_slides,
    "application/vnd.oasis.opendocument.graphics": slides.read_slides,
}

_PRESENTATIONS = ("presentationml", "powerpoint.presentation.macroenabled", "powerpoint.slideshow.macroenabled")

_SHEETS = ("spreadsheet", "ms-excel", "apple.numbers", "iwork-numbers")

_PLAIN = (
    "text/",
    "message/",  # what is no mail: why one could not be delivered
    "application/json",
    "application/xml",
    "application/x-ndjson",
    "application/yaml",
    "application/x-sh",
)


def schema_of(mime: str) -> str:
    """
    The FtM schema of a type, known before anything is read.
    """
    if mime in _ARCHIVES or mime in PACKED or mime in ("application/mbox", "application/ms-tnef"):
        return "Package"
    if mime in ("message/rfc822", "application/vnd.ms-outlook"):
        return "Email"
    if mime in ("text/html", "application/xhtml+xml"):
        return "HyperText"
    if mime in ("text/csv", "text/tab-separated-values"):
        return "Table"
    if mime.startswith(_PLAIN) or (mime.endswith(("+xml", "+json")) and not mime.startswith("image/")):
        return "PlainText"
    for start, schema in (("image/", "Image"), ("audio/", "Audio"), ("video/", "Video")):
        if mime.startswith(start):
            return schema
    if any(sheet in mime for sheet in _SHEETS):
        return "Workbook"
    if mime == "application/pdf" or mime.startswith(
        (
            "application/vnd.openxml",
            "application/vnd.oasis",
            "application/msword",
            "application/rtf",
            "application/vnd.ms-",
        )
    ):
        return "Pages"
    return "Document"


def read_file(path: Path, name: str, mime: str, desk: Desk) -> Content:
    """
    What a file holds.

    Args:
        path: a copy of the file.
        name: what it was called.
        mime: its type, as its bytes have it.

    Raises:
        Unreadable: nothing of it could be read.
    """
    size = path.stat().st_size
    if size == 0:
        raise Unreadable(EMPTY)
    if size > desk.limits.file_bytes:
        raise Unreadable(too_large(desk.limits))
    if mime in _ARCHIVES:
        return archives.unpack(path, name, mime, desk)
    # Without libarchive there is still a reader for the text of a 7Z.
    if mime in PACKED and (library() is not None or mime not in _READERS):
        return unpack_packed(path, mime, desk)
    if mime == "message/rfc822":
        return mails.read_mail(path, desk)
    if mime == "application/mbox":
        return mails.read_mailbox(path, desk)
    if mime == ENCRYPTED_OFFICE:
        raise Unreadable(archives.ENCRYPTED)
    # A template is a document of its type.
    mime = mime.removesuffix("-template")
    if (reader := _READERS.get(mime)) is not None:
        return reader(path, mime, desk)
    match schema_of(mime):
        case "PlainText":
            return _read_text(path)
        case "Image" if documents.understood(mime):
            return documents.read_image(path, mime, desk)
        case "Workbook" if documents.understood(mime):
            return documents.read_workbook(path, mime, desk)
        case "Audio" | "Video":
            raise Unreadable(f"no reader for {mime}")
        case _ if any(kind in mime.lower() for kind in _PRESENTATIONS):
            return presentations.read_presentation(path, mime, desk)
        case _ if documents.understood(mime):
            return documents.read_office(path, mime, desk)
        case _:
            raise Unreadable(f"no reader for {mime}")


def _read_text(path: Path) -> Content:
    text, encoding = decoded(path.read_bytes())
    return Content("PlainText", text=text, properties={"encoding": [encoding]})
