"""
Of which type a file is: by its first bytes, then by what a container holds, then by its name. Reads, never writes.
"""

import mmap
import re
import tarfile
import zipfile
from functools import lru_cache
from mimetypes import MimeTypes
from pathlib import Path

from oaflow.stages.texts import is_text, kept_text

UNKNOWN = "application/octet-stream"

_HEAD = 8_192

_OPENXML = "application/vnd.openxmlformats-officedocument."
_OPENDOCUMENT = "application/vnd.oasis.opendocument."

ENCRYPTED_OFFICE = "application/x-encrypted-office"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"),
    (b"\x78\x9f\x3e\x22", "application/ms-tnef"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"!BDN", "application/vnd.ms-outlook-pst"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"ITSF", "application/vnd.ms-htmlhelp"),
    (b"\x00\x01\x00\x00Standard Jet DB", "application/x-msaccess"),
    (b"\x00\x01\x00\x00Standard ACE DB", "application/x-msaccess"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
)

# The streams of an OLE file that say what it is, in the UTF-16 of its directory.
_STREAMS: tuple[tuple[str, str], ...] = (
    ("EncryptedPackage", ENCRYPTED_OFFICE),
    ("EncryptedSummary", ENCRYPTED_OFFICE),
    ("__substg1.0_", "application/vnd.ms-outlook"),
    ("WordDocument", "application/msword"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("Workbook", "application/vnd.ms-excel"),
)

# Names that the standard table of Python lacks, or where platforms differ.
_BY_NAME = MimeTypes()
for _type, *_endings in (
    ("text/csv", ".csv"),
    ("text/tab-separated-values", ".tsv", ".tab"),
    ("message/rfc822", ".eml", ".emlx", ".mht", ".mhtml"),
    ("application/mbox", ".mbox", ".mbx"),
    ("application/vnd.ms-outlook", ".msg"),
    ("text/markdown", ".md", ".markdown"),
    ("application/json", ".json", ".geojson"),
    ("application/x-ndjson", ".jsonl", ".ndjson"),
    ("text/plain", ".txt", ".log", ".text", ".conf", ".ini", ".srt", ".vtt", ".sql", ".rst"),
    ("application/yaml", ".yaml", ".yml"),
    ("application/xml", ".xml"),
    ("text/html", ".html", ".htm"),
    ("application/xhtml+xml", ".xhtml"),
    ("application/rtf", ".rtf"),
    ("application/epub+zip", ".epub"),
    ("image/webp", ".webp"),
    ("image/heic", ".heic", ".heif"),
    ("image/svg+xml", ".svg"),
    ("image/bmp", ".bmp"),
    ("application/vnd.ms-excel.sheet.binary.macroEnabled.12", ".xlsb"),
    ("application/vnd.ms-excel.sheet.macroEnabled.12", ".xlsm"),
    ("application/vnd.ms-word.document.macroEnabled.12", ".docm"),
    ("application/vnd.ms-powerpoint.presentation.macroEnabled.12", ".pptm"),
    ("application/x-iwork-pages-sffpages", ".pages"),
    ("application/x-iwork-numbers-sffnumbers", ".numbers"),
    ("application/x-iwork-keynote-sffkey", ".key"),
    ("application/x-hwp", ".hwp"),
    ("application/x-iso9660-image", ".iso"),
    ("application/x-lzh-compressed", ".lzh", ".lha"),
    (_OPENXML + "wordprocessingml.document", ".docx"),
    (_OPENXML + "wordprocessingml.template", ".dotx"),
    (_OPENXML + "spreadsheetml.sheet", ".xlsx"),
    (_OPENXML + "presentationml.presentation", ".pptx"),
    (_OPENXML + "presentationml.slideshow", ".ppsx"),
    (_OPENDOCUMENT + "text", ".odt"),
    (_OPENDOCUMENT + "spreadsheet", ".ods"),
    (_OPENDOCUMENT + "presentation", ".odp"),
):
    for _ending in _endings:
        _BY_NAME.add_type(_type, _ending)

_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|table|h1|script)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml|\s*<[A-Za-z][\w:.-]*[\s>]")
_HEADER = re.compile(
    rb"(?:From|To|Subject|Date|Received|Message-ID|MIME-Version|Return-Path|Delivered-To|X-[\w-]+|Content-Type|Cc|"
    rb"Reply-To|Sender|In-Reply-To|Status|DKIM-Signature|Envelope-to): ?",
    re.IGNORECASE,
)


def named_type(name: str) -> str | None:
    """
    The type that a file's name promises, or None.
    """
    # guess_type reads a URL: a name with `#`, `?` or `:` is no URL here.
    mime, coding = _BY_NAME.guess_type("x" + Path(name).suffix.lower())
    if coding == "gzip":
        return "application/gzip"
    if coding is not None:
        return {"bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(coding)
    return mime


@lru_cache(1_024)
def clean_type(mime: str) -> str | None:
    """
    A type as FtM writes it, or None where it says nothing.
    """
    # Kept, as there are few: each is read as the header of a mail, which takes as long as archiving a small file. Read
    # by what FtM asks itself: to load FtM takes half a second, and what crawls needs nothing else of it.
    from rigour.mime import DEFAULT, normalize_mimetype

    found = normalize_mimetype(kept_text(mime))
    return None if found == DEFAULT else found


def extension_of(mime: str) -> str | None:
    """
    The ending of names of a type, with its dot, or None.
    """
    return _BY_NAME.guess_extension(mime)


def file_type(path: Path, name: str) -> str:
    """
    The MIME type of a file.

    Args:
        path: where its bytes are.
        name: what it was called, which need not be the name of `path`.
    """
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    named = named_type(name)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(path, named)
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            if mime == "image/bmp" and is_text(head):
                break
            return _stored(path, named) if mime == "application/x-ole-storage" else mime
    if (mime := _boxed(head)) is not None:
        return mime
    if head[257:262] == b"ustar" or (named == "application/x-tar" and tarfile.is_tarfile(path)):
        return "application/x-tar"
    if b"%PDF-" in head[:1024] and not is_text(head[:1024]):
        return "application/pdf"
    if not is_text(head) or not _is_text_throughout(path):
        # A name may promise text and a binary format may be cut: the bytes have the last word.
        return UNKNOWN if named is None or named.startswith("text/") else named
    return _written(head, named)


def _is_text_throughout(path: Path) -> bool:
    # Some scientific and design formats start with pages of text.
    size = path.stat().st_size
    if size <= 2 * _HEAD:
        return True
    with path.open("rb") as handle:
        for start in (size // 2 // 4 * 4, (size - _HEAD) // 4 * 4):
            handle.seek(start)
            piece = handle.read(_HEAD)
            if not is_text(piece) and piece.strip(b"\x00"):
                return False
    return True


def _zipped(path: Path, named: str | None) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                with archive.open("mimetype") as handle:
                    mime = handle.read(200).decode("ascii", "replace").strip()
                if re.fullmatch(r"[\w.+-]+/[\w.+-]+", mime):
                    return mime
            if "[Content_Types].xml" in names:
                return _openxml(names, named)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError):
        # Cut, encrypted, or packed as zipfile does not know (NotImplementedError): the name is the best there is, and
        # its reader will say what is wrong.
        if named is not None and named not in ("text/plain", UNKNOWN):
            return named
    if named is not None and named.startswith(
        ("application/java-archive", "application/vnd.android", "application/x-")
    ):
        return named
    return "application/zip"


def _openxml(names: set[str], named: str | None) -> str:
    for start, mime in (
        ("word/", _OPENXML + "wordprocessingml.document"),
        ("xl/", _OPENXML + "spreadsheetml.sheet"),
        ("ppt/", _OPENXML + "presentationml.presentation"),
    ):
        if any(name.startswith(start) for name in names):
            if start == "xl/" and "xl/workbook.bin" in names:
                return "application/vnd.ms-excel.sheet.binary.macroEnabled.12"
            return named if named is not None and ("macroEnabled" in named or _OPENXML in named) else mime
    return named or "application/zip"


def _stored(path: Path, named: str | None) -> str:
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for stream, mime in _STREAMS:
            if data.find(stream.encode("utf-16-le")) >= 0:
                return mime
    if named is not None and named.startswith(("application/msword", "application/vnd.ms-", "application/x-hwp")):
        return named
    return "application/x-ole-storage"


def _boxed(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"heic", b"heix", b"mif1", b"hevc"):
            return "image/heic"
        if brand == b"avif":
            return "image/avif"
        return "audio/mp4" if brand.startswith(b"M4A") else "video/quicktime" if brand == b"qt  " else "video/mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if len(head) > 1 and head[0] == 0xFF and head[1] in (0xFB, 0xF3, 0xF2):
        return "audio/mpeg"
    return None


def _written(head: bytes, named: str | None) -> str:
    if head.startswith(b"From ") and _HEADER.search(head.partition(b"\n")[2]):
        return "application/mbox"
    headers = _headers(head)
    if headers >= 3 or (named == "message/rfc822" and headers):
        return "message/rfc822"
    if named is not None and named not in ("text/plain", UNKNOWN) and _plausible(named):
        return named
    if _HTML.search(head[:2_000]):
        return "text/html"
    if _XML.match(head):
        return "application/xml"
    return "text/plain"


def _headers(head: bytes) -> int:
    # How many known header lines stand before the first empty line.
    top = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    return sum(_HEADER.match(line) is not None for line in top.splitlines())


def _plausible(named: str) -> bool:
    # A text that is called .pdf or .docx is not one.
    return named.startswith(("text/", "message/")) or named.endswith(("+xml", "/xml", "json", "/yaml", "/mbox", "/rtf"))
