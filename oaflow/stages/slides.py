"""
Presentations and drawings in the OpenDocument format, slide by slide: kreuzberg reads the text documents and the
spreadsheets of this family, not these.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, iterparse

from oaflow.stages.archives import UNREADABLE_IN_ZIP
from oaflow.stages.content import Content, Unreadable
from oaflow.stages.desk import Desk
from oaflow.stages.texts import cleaned

_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_META = "{http://purl.org/dc/elements/1.1/}"

# Expat stops at entities that grow without end; this stops what is merely long.
_LONGEST = 256 * 1024**2


def read_slides(path: Path, mime: str, desk: Desk) -> Content:
    """
    A presentation or drawing: a page for each slide, its notes at the end.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pages = [_lines(page) for page in _elements(archive, "content.xml", f"{_DRAW}page")]
            titles = [_said(each) for each in _elements(archive, "meta.xml", f"{_META}title")]
            authors = [_said(each) for each in _elements(archive, "meta.xml", f"{_META}creator")]
    except (*UNREADABLE_IN_ZIP, ParseError) as error:
        raise Unreadable(f"truncated or damaged: {error}") from error
    properties = {name: values for name, values in (("title", titles), ("author", authors)) if any(values)}
    return Content("Pages", pages=pages[: desk.limits.pages], properties=properties)


def _elements(archive: zipfile.ZipFile, part: str, tag: str) -> Iterator[Element]:
    if part not in archive.namelist():
        return
    if archive.getinfo(part).file_size > _LONGEST:
        raise Unreadable(f"a bomb: {part} unpacks to more than {_LONGEST:,} bytes")
    with archive.open(part) as handle:
        for _, element in iterparse(handle):
            if element.tag == tag:
                yield element
                element.clear()


def _lines(page: Element) -> str:
    lines = (_said(each) for each in page.iter() if each.tag in (f"{_TEXT}p", f"{_TEXT}h"))
    return cleaned("\n".join(line for line in lines if line.strip()))


def _said(element: Element) -> str:
    return "".join(element.itertext())
