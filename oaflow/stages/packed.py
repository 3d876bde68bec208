"""
Archives that Python's own library cannot read (RAR, 7Z, CAB, ISO images and more) into their members, with libarchive.
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from oaflow.stages.archives import ENCRYPTED, numbered, shown
from oaflow.stages.content import Content, Member, Unreadable
from oaflow.stages.desk import Desk, Meter, handed_out

PACKED = frozenset(
    (
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/vnd.ms-cab-compressed",
        "application/x-iso9660-image",
        "application/x-cpio",
        "application/x-lzh-compressed",
    )
)

# Larger than a page of memory: each block is a call into the library.
_BLOCK = 64 * 1024


@cache
def library() -> ModuleType | None:
    """
    The binding of libarchive; None where the system does not have the library.
    """
    try:
        import libarchive
    except (ImportError, AttributeError, OSError):  # it looks for the library, and for its functions, at import
        return None
    return libarchive


def unpack_packed(path: Path, mime: str, desk: Desk) -> Content:
    """
    An archive as a package of its members, which are unpacked one by one while they are asked for.

    Raises:
        Unreadable: the system does not have libarchive.
    """
    if (libarchive := library()) is None:
        raise Unreadable(f"no reader for {mime}: libarchive is not installed (Debian: apt install libarchive13)")
    return Content("Package", members=numbered(_members(libarchive, path, desk)))


def _members(libarchive: Any, path: Path, desk: Desk) -> Iterator[Member]:
    meter = Meter(desk, path.stat().st_size)
    try:
        # By its descriptor: a path would be encoded as the locale of the process has it.
        with path.open("rb") as handle, libarchive.fd_reader(handle.fileno()) as archive:
            for entry in archive:
                if not entry.isdir:
                    meter.enter()
                    yield from _member(libarchive, entry, meter)
    except libarchive.ArchiveError as error:
        raise Unreadable(_reason(error)) from error


def _member(libarchive: Any, entry: Any, meter: Meter) -> Iterator[Member]:
    from oaflow.jobs import encoded_name, readable_name

    # Bytes where they are no text in the encoding that the archive promises.
    name = os.fsdecode(entry.pathname or "")
    member = Member(key=encoded_name(name), name=shown(readable_name(name)))
    if not entry.isfile or entry.islnk:
        member.skipped = "a link inside an archive" if entry.issym or entry.islnk else "a device inside an archive"
        yield member
        return
    try:
        meter.unpack(_Data(entry), member)
    except libarchive.ArchiveError as error:
        member.error = _reason(error)
    yield from handed_out(member)


class _Data:
    """
    The bytes of a member, as a file is read.
    """

    def __init__(self, entry: Any) -> None:
        self._blocks: Iterator[bytes] = entry.get_blocks(block_size=_BLOCK)

    def read(self, size: int = -1, /) -> bytes:
        return next(self._blocks, b"")


def _reason(error: Any) -> str:
    said = str(error.msg)
    if "ncrypt" in said or "Crypto" in said:
        return ENCRYPTED
    if "upport" in said:
        return f"packed in a way that cannot be read: {said}"
    return f"truncated or damaged: {said}"
