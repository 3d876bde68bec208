"""
Text and metadata of office documents, PDF, HTML and images: kreuzberg, and what is known about its answers.

kreuzberg is imported inside the functions: its first call starts threads, which a forkserver must not have.
"""

import html
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oaflow.errors import NoRoomError, says_full
from oaflow.stages.archives import ENCRYPTED
from oaflow.stages.content import Content, Unreadable
from oaflow.stages.desk import Desk
from oaflow.stages.embedded import attached, objects
from oaflow.stages.ocr import NO_LANGUAGES, give_back, languages, muted
from oaflow.stages.texts import cleaned, decoded

if TYPE_CHECKING:
    from kreuzberg import ExtractionConfig, ExtractionResult

# Resolution for scanned pages: below it small print is lost, above it only time is.
_DPI = 200

_SECRET = re.compile(r"password|encrypt|decrypt|passphrase", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?)?")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]{1,300}?)(?<=\S)\1(?![\w*])")
_RTF_BYTE = re.compile(r"\\'([0-9a-fA-F]{2})")
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)

# kreuzberg's name of a fact, and the FtM property of Document for it.
_FACTS = {
    "title": "title",
    "authors": "author",
    "keywords": "keywords",
    "language": "language",
    "publisher": "publisher",
}
# What programs write as an author or a title where nobody wrote one.
_NOBODY = frozenset(
    (
        "anonymous",
        "(anonymous)",
        "untitled",
        "(untitled)",
        "unspecified",
        "(unspecified)",
        "unknown",
        "openpyxl",
        "python-docx",
    )
)
_DATES = {"created_at": "authoredAt", "modified_at": "modifiedAt"}


def _config(desk: Desk, *, ocr: str | None = None, pages: bool = False) -> "ExtractionConfig":
    from kreuzberg import ConcurrencyConfig, ContentFilterConfig, ExtractionConfig, OcrConfig, PageConfig

    return ExtractionConfig(
        # The cache would be a folder in the current directory, and the archive knows every file already.
        use_cache=False,
        ocr=OcrConfig(backend="tesseract", language=ocr) if ocr else None,
        pages=PageConfig(extract_pages=True) if pages else None,
        # Cores are shared out by executors: more threads in each would only fight.
        concurrency=ConcurrencyConfig(max_threads=1),
        # A header or footer may be the only place of a name: everything that is printed is text.
        content_filter=ContentFilterConfig(include_headers=True, include_footers=True, strip_repeating_text=False),
        extraction_timeout_secs=max(1, int(desk.seconds)),
    )


def _extract(source: Path | bytes, mime: str, config: "ExtractionConfig") -> "ExtractionResult":
    from kreuzberg import ExtractionTimeoutError, KreuzbergError, extract_bytes_sync, extract_file_sync

    try:
        if isinstance(source, bytes):
            return extract_bytes_sync(source, mime, config)
        return extract_file_sync(source, mime, config)
    except ExtractionTimeoutError as error:
        raise Unreadable("time: reading took longer than OAFLOW_READ_TIME allows") from error
    except (KreuzbergError, OSError, ValueError, RuntimeError) as error:
        # The Rust side's words for ENOSPC, which reaches Python in errors of several kinds.
        if says_full(error) or "No space left on device" in str(error):
            raise NoRoomError("what a document is read with", str(error)) from error
        raise Unreadable(_reason(error)) from error
    except BaseException as error:
        # A panic of the Rust side arrives as a BaseException of its own. It is about this file, not about the program.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable(f"damaged: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    message = cleaned(" ".join(str(error).split()))[:300]
    # The library names its own class again at the start of the sentence.
    message = re.sub(r"^\w+Error: ", "", message)
    if re.fullmatch(r"[\w.+-]+/[\w.+-]+", message):
        return f"no reader for {message}"
    if _SECRET.search(message):
        return ENCRYPTED
    return f"truncated or damaged: {message}" if "unsupported" not in message.lower() else message


def read_pdf(path: Path, mime: str, desk: Desk) -> Content:
    """
    A PDF, page by page; pages without text are read by OCR, where there is any.
    """
    result = _extract(path, mime, _config(desk, pages=True))
    pages = [cleaned(page["content"]) for page in result.pages or []]
    content = Content("Pages", pages=pages, properties=facts(result.metadata))
    if len(pages) > desk.limits.pages:
        content.pages = pages[: desk.limits.pages]
        content.error = f"too many pages: the first {desk.limits.pages} of {len(pages)} were read (OAFLOW_PAGES)"
    if not pages:
        content.text = cleaned(result.content)
    blank = [number for number, text in enumerate(content.pages) if not text.strip()]
    if blank and desk.ocr:
        _read_scans(path, blank, content, desk)
        give_back()
    return content


def _read_scans(path: Path, blank: list[int], content: Content, desk: Desk) -> None:
    from kreuzberg import KreuzbergError, render_pdf_page

    tongues = languages(desk.limits.ocr_languages)
    if tongues is None:
        content.note = NO_LANGUAGES
        return
    # Page by page: asked for the whole document, kreuzberg gives the text of scans without its pages.
    for number in blank:
        if desk.seconds <= 0:
            content.error = f"time: scanned pages from {number + 1} on were not read (OAFLOW_READ_TIME)"
            return
        try:
            picture = render_pdf_page(str(path), number, dpi=_DPI)
            with muted():
                content.pages[number] = cleaned(_extract(picture, "image/png", _config(desk, ocr=tongues)).content)
        except (Unreadable, KreuzbergError, OSError, RuntimeError, ValueError) as error:
            content.error = f"page {number + 1} could not be read: {_reason(error)}"


def read_image(path: Path, mime: str, desk: Desk) -> Content:
    """
    An image: its metadata, and the text in it where OCR can be done.
    """
    tongues = languages(desk.limits.ocr_languages) if desk.ocr else None
    content = Content("Image", text="")
    if tongues is None:
        content.note = NO_LANGUAGES if desk.ocr else None
        return content
    with muted():
        result = _extract(path, mime, _config(desk, ocr=tongues))
    give_back()
    content.text, content.properties = cleaned(result.content), facts(result.metadata)
    return content


def read_office(path: Path, mime: str, desk: Desk) -> Content:
    """
    A text document, a presentation or a book: whole, since its file does not say where pages end.
    """
    result = _extract(path, mime, _config(desk))
    if "iwork" in mime and not result.content.strip():
        # Those of 2009 and before, and the newest, come out empty.
        raise Unreadable(f"no reader for this version of {mime}")
    members = objects(path, desk)
    text = _with_inner(result) if members is None else cleaned(result.content)
    return Content("Pages", text=text, properties=facts(result.metadata), members=members)


def read_workbook(path: Path, mime: str, desk: Desk) -> Content:
    """
    A spreadsheet: its sheets one after the other, a line for each row.
    """
    if "iwork" in mime:
        return Content("Workbook", text=read_office(path, mime, desk).text)
    result = _extract(path, mime, _config(desk))
    members = objects(path, desk)
    text = _sheets(result) or (_with_inner(result) if members is None else cleaned(result.content))
    return Content("Workbook", text=text, properties=facts(result.metadata), members=members)


def _sheets(result: "ExtractionResult") -> str:
    # The library's own text joins cells by blanks, so that two names become one.
    known: Mapping[str, Any] = dict(result.metadata)
    names: list[str] = list(known.get("sheet_names") or [])
    pieces: list[str] = []
    for table in result.tables:
        title = names[table.page_number - 1] if 0 < table.page_number <= len(names) else ""
        rows = ("\t".join(cell.strip() for cell in row).strip("\t") for row in table.cells)
        pieces.append("\n".join([title, *(row for row in rows if row)]))
    text = cleaned("\n\n".join(pieces))
    # Notes and drawings are in its text only: of the two, none may lose much.
    return text if len(text) >= 0.8 * len(result.content) else ""


def read_message(path: Path, mime: str, desk: Desk) -> Content:
    """
    A mail in Outlook's own format, and what is attached.
    """
    result = _extract(path, mime, _config(desk))
    known: Mapping[str, Any] = dict(result.metadata)
    properties = facts({name: value for name, value in known.items() if name not in ("created_at", "authors")})
    for name, wanted in (("from", "from_email"), ("to", "to_emails"), ("cc", "cc_emails"), ("bcc", "bcc_emails")):
        _add(properties, name, known.get(wanted))
    _add(properties, "subject", known.get("subject"))
    _add(properties, "messageId", str(known.get("message_id") or "").strip("<>"))
    if match := _DATE.match(str(known.get("created_at") or "")):
        properties["date"] = [match[0]]
    return Content("Email", text=cleaned(result.content), properties=properties, members=attached(path, desk))


def read_listed(path: Path, mime: str, desk: Desk) -> Content:
    """
    An archive that can be read but not unpacked: the text of its members stands in one document.
    """
    result = _extract(path, mime, _config(desk))
    return Content(
        "Package",
        text=_with_inner(result),
        properties=facts(result.metadata),
        note="the members of this archive are searchable here, not as documents of their own",
    )


def read_markup(path: Path, mime: str, desk: Desk) -> Content:
    """
    A web page.
    """
    data = path.read_bytes()
    declared = _CHARSET.search(data[:4_096])
    text, encoding = decoded(data, declared[1].decode("ascii", "replace") if declared else None)
    result = _extract(text.encode(), "text/html", _config(desk))
    properties = facts(result.metadata) | {"encoding": [encoding]}
    return Content("HyperText", text=_unmarked(result.content), properties=properties)


def html_text(markup: str) -> str:
    """
    What a reader sees of some HTML; the markup itself where it cannot be parsed.
    """
    from kreuzberg import ExtractionConfig

    try:
        return _unmarked(_extract(markup.encode(), "text/html", ExtractionConfig(use_cache=False)).content)
    except Unreadable:
        return markup


def _unmarked(text: str) -> str:
    # Its plain text of HTML keeps Markdown's marks for bold and italic. Links stay: where they lead is worth knowing.
    return cleaned(_EMPHASIS.sub(r"\2", text))


def _with_inner(result: "ExtractionResult") -> str:
    pieces = [result.content]
    for inner in result.children or []:
        text = getattr(inner.get("result"), "content", "")
        if text.strip():
            pieces.append(f"{inner.get('path', '')}\n{text}")
    return cleaned("\n\n".join(pieces))


def facts(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """
    What a file says about itself, as properties of an FtM Document.
    """
    properties: dict[str, list[str]] = {}
    for name, wanted in _FACTS.items():
        _add(properties, wanted, metadata.get(name))
    for wanted in ("author", "title"):
        if values := [value for value in properties.pop(wanted, []) if value.lower() not in _NOBODY]:
            properties[wanted] = values
    for name, wanted in _DATES.items():
        if match := _DATE.match(str(metadata.get(name) or "")):
            properties[wanted] = [match[0]]
    subject = metadata.get("subject")
    _add(properties, "summary", subject if isinstance(subject, str) else None)
    _add(properties, "generator", metadata.get("producer") or metadata.get("application") or metadata.get("generator"))
    return properties


def _add(properties: dict[str, list[str]], name: str, value: Any) -> None:
    values: Iterable[Any] = value if isinstance(value, list | tuple) else (value,)
    read = [_plain(str(each)) for each in values if each not in (None, "")]
    if read := [each for each in read if each]:
        properties[name] = read


def _plain(value: str) -> str:
    # Titles come as they stand in the file: with HTML's entities, with RTF's bytes.
    value = _RTF_BYTE.sub(lambda match: bytes.fromhex(match[1]).decode("windows-1252", "replace"), html.unescape(value))
    return cleaned(" ".join(value.split()))


@cache
def understood(mime: str) -> bool:
    """
    Whether kreuzberg says that it can read a type.
    """
    from kreuzberg import KreuzbergError, validate_mime_type

    try:
        return bool(validate_mime_type(mime))
    except (KreuzbergError, ValueError, RuntimeError):  # RuntimeError: what 4.10 raises for a type it does not know
        return False
