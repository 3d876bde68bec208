"""
The documents in an Office file: what a reader opens with a double click, and what is attached to a mail of Outlook.

Pictures are part of the page, not documents of their own; so are equations.
"""

import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

from oaflow.stages import compound
from oaflow.stages.archives import DAMAGED, shown, zip_members
from oaflow.stages.content import Member, Unreadable
from oaflow.stages.desk import Desk, Meter, handed_out
from oaflow.stages.filetypes import extension_of, file_type

_FOLDERS = ("word/embeddings/", "ppt/embeddings/", "xl/embeddings/")

Inner = Callable[[compound.Compound], Iterator[compound.Inner]]


def objects(path: Path, desk: Desk) -> Iterator[Member] | None:
    """
    The documents embedded in an Office file, old or new; None where there are none.
    """
    try:
        if _is_compound(path):
            with compound.opened(path) as file:
                found = any(True for _ in compound.packed(file))
            return _members(path, desk, compound.packed, "object") if found else None
        with zipfile.ZipFile(path) as archive:
            found = any(map(_is_embedded, archive.namelist()))
        return _unwrapped(path, desk) if found else None
    except (Unreadable, *DAMAGED):
        # Its text was read: that nothing else can be is no news to those who have it.
        return None


def attached(path: Path, desk: Desk) -> Iterator[Member]:
    """
    What is attached to a mail in Outlook's own format.
    """
    return _members(path, desk, compound.attachments, "attachment")


def _is_compound(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(compound.MAGIC)) == compound.MAGIC


def _is_embedded(name: str) -> bool:
    return name.startswith(_FOLDERS) and not name.endswith("/")


def _unwrapped(path: Path, desk: Desk) -> Iterator[Member]:
    meter = Meter(desk, path.stat().st_size)
    for member in zip_members(path, meter, _is_embedded):
        member.name = PurePosixPath(member.name).name
        if member.path is None or not _is_compound(member.path):
            yield member
            continue
        try:
            with compound.opened(member.path) as file:
                if compound.is_drawn(file):
                    continue
                inner = list(compound.packed(file))
        except Unreadable as error:
            yield Member(member.key, member.name, error=error.reason)
            continue
        stem = PurePosixPath(member.name).stem
        for each in inner:
            meter.enter()
            yield from _object(each, f"{member.key}/{each.key}", stem, meter)
        if not inner:
            member.name = _called(member.path, stem, member.name)
            yield member


def _members(path: Path, desk: Desk, inner: Inner, stem: str) -> Iterator[Member]:
    meter = Meter(desk, path.stat().st_size)
    with compound.opened(path) as file:
        for number, each in enumerate(inner(file), 1):
            meter.enter()
            yield from _object(each, each.key, f"{stem}-{number}", meter)


def _object(inner: compound.Inner, key: str, stem: str, meter: Meter) -> Iterator[Member]:
    member = Member(key=key, name=stem, mime=inner.mime)
    meter.unpack(BytesIO(inner.data), member)
    member.name = shown(inner.name).rpartition("/")[2] if inner.name else _called(member.path, stem, stem)
    yield from handed_out(member)


def _called(path: Path | None, stem: str, otherwise: str) -> str:
    """
    A name for a file that has none but its number, with the ending of its type.
    """
    ending = extension_of(file_type(path, stem)) if path is not None else None
    return stem + ending if ending else otherwise
