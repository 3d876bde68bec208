"""
Presentations in Office's format, slide by slide: kreuzberg gives their text whole, and its offsets of slides are off.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

from oaflow.stages.archives import UNREADABLE_IN_ZIP
from oaflow.stages.content import Content, Unreadable
from oaflow.stages.desk import Desk
from oaflow.stages.documents import read_office
from oaflow.stages.texts import cleaned

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_REFERENCE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"

_START = "ppt/presentation.xml"

# What belongs to a slide and stands in parts of its own, in the order in which it is read.
_BESIDE = ("diagramData", "chart", "notesSlide", "comments")

_LONGEST = 64 * 1024**2


def read_presentation(path: Path, mime: str, desk: Desk) -> Content:
    """
    A presentation: a page for each slide, with its notes and comments.
    """
    content = read_office(path, mime, desk)
    try:
        with zipfile.ZipFile(path) as archive:
            pages = [cleaned("\n".join(_slide(archive, part, desk))) for part in _slides(archive)]
    except (Unreadable, *UNREADABLE_IN_ZIP, ParseError, KeyError):
        return content
    # Of the two readings, none may lose much.
    if sum(map(len, pages)) < 0.8 * len(content.text or ""):
        return content
    content.text, content.pages = None, pages[: desk.limits.pages]
    if len(pages) > desk.limits.pages:
        content.error = f"too many pages: the first {desk.limits.pages} of {len(pages)} were read (OAFLOW_PAGES)"
    return content


def _slides(archive: zipfile.ZipFile) -> Iterator[str]:
    # The numbers in the names of the files are of when a slide was made, not of where it stands.
    targets = {identity: target for identity, _, target in _relations(archive, _START)}
    for slide in _parsed(archive, _START).iter(f"{_P}sldId"):
        yield targets[slide.attrib[_REFERENCE]]


def _slide(archive: zipfile.ZipFile, part: str, desk: Desk) -> Iterator[str]:
    desk.check_time("reading slides")
    yield from _lines(_parsed(archive, part))
    relations = sorted(_relations(archive, part))
    for kind in _BESIDE:
        for _, found, target in relations:
            if found == kind:
                yield from _lines(_parsed(archive, target))


def _relations(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str, str]]:
    """
    To which other parts a part leads: the name of the relation, its kind, the part.
    """
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return
    for relation in _parsed(archive, relations):
        if relation.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, relation.attrib["Target"]))[1:]
            yield relation.attrib["Id"], relation.attrib["Type"].rpartition("/")[2], target


def _parsed(archive: zipfile.ZipFile, part: str) -> Element:
    if archive.getinfo(part).file_size > _LONGEST:
        raise ValueError(f"{part} unpacks to more than {_LONGEST:,} bytes")
    return fromstring(archive.read(part))


def _lines(root: Element) -> Iterator[str]:
    _prune(root)
    rows = list(root.iter(f"{_A}tr"))
    in_rows = {id(paragraph) for row in rows for paragraph in row.iter(f"{_A}p")}
    for each in root.iter():
        line = ""
        if each.tag == f"{_A}tr":
            line = "\t".join(" ".join(map(_said, cell.iter(f"{_A}p"))) for cell in each.iter(f"{_A}tc"))
        elif (each.tag == f"{_A}p" and id(each) not in in_rows) or each.tag in (f"{_P}text", f"{_C}v"):
            line = _said(each)
        if line.strip():
            yield line.strip()


def _said(element: Element) -> str:
    return "".join("\n" if each.tag == f"{_A}br" else each.text or "" for each in element.iter())


def _prune(root: Element) -> None:
    # What is said a second time for older programs, and the number of the slide.
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == _FALLBACK or (child.tag == f"{_A}fld" and child.get("type") == "slidenum"):
                parent.remove(child)
