"""
Archives into their members: zip, tar in all its coats, and single compressed files.

A member's name is shown and hashed, never used as a path: `../../etc/passwd` cannot leave the folder it is not in.
"""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

from oaflow.stages.content import Content, Member, Unreadable
from oaflow.stages.desk import Desk, Meter, handed_out, head

_OPENERS = {"application/gzip": gzip.open, "application/x-bzip2": bz2.open, "application/x-xz": lzma.open}

# What the readers of the standard library raise for bytes that are not what they should be.
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    IndexError,
    OverflowError,
    RecursionError,
)

# What zipfile raises besides: a member is packed in a way that it does not know (NotImplementedError), or asks for a
# password (RuntimeError).
UNREADABLE_IN_ZIP = (*DAMAGED, NotImplementedError, RuntimeError)

ENCRYPTED = "encrypted: a password is needed"

_DRIVE = re.compile(r"^[A-Za-z]:")
_TAR_NAME = re.compile(r"\.(?:tar(?:\.\w+)?|t[gbx]z2?)$", re.IGNORECASE)


def shown(name: str) -> str:
    """
    A member's path as it is shown: no root, no drive, nothing that climbs.
    """
    parts = _DRIVE.sub("", name.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "unnamed"


def unpack(path: Path, name: str, mime: str, desk: Desk) -> Content:
    """
    An archive as a package of its members, which are unpacked one by one while they are asked for.
    """
    if mime in _OPENERS:
        members = _compressed(path, name, mime, desk)
    elif mime == "application/x-tar":
        members = _tar(path, desk)
    else:
        members = zip_members(path, Meter(desk, path.stat().st_size), lambda _: True)
    return Content("Package", members=numbered(members))


def numbered(members: Iterator[Member]) -> Iterator[Member]:
    """
    The same members. Two of one name are two documents: the second one's key says that it is the second.
    """
    seen: dict[str, int] = {}
    for member in members:
        times = seen[member.key] = seen.get(member.key, 0) + 1
        if times > 1:
            member.key = f"{member.key}\x00{times}"
        yield member


def zip_members(path: Path, meter: Meter, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """
    Members of a ZIP, unpacked one by one while they are asked for.

    Args:
        wanted: whether a member's name, as the archive has it, is.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGED, NotImplementedError) as error:  # zipfile's word for a ZIP of a version that it does not know
        raise Unreadable(f"truncated or damaged: {_said(error)}") from error
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir() and wanted(info.filename)]
        meter.expect(sum(info.file_size for info in members))
        for info in members:
            meter.enter()
            yield from _zipped(archive, info, meter)


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: Meter) -> Iterator[Member]:
    member = Member(key=info.filename, name=shown(_zip_name(info)))
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        member.skipped = "a symbolic link inside an archive"
    elif info.flag_bits & 0x1:
        member.error = ENCRYPTED
    else:
        try:
            with archive.open(info) as source:
                meter.unpack(source, member)
        except NotImplementedError as error:  # zipfile's word for a compression that it does not know
            member.error = f"packed in a way that cannot be read: {_said(error)}"
        except (*DAMAGED, RuntimeError) as error:
            member.error = f"damaged: {_said(error)}"
    yield from handed_out(member)


def _zip_name(info: zipfile.ZipInfo) -> str:
    # Without the flag for UTF-8 the standard library reads cp437. Many programs write UTF-8 and forget the flag.
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _tar(path: Path, desk: Desk) -> Iterator[Member]:
    with path.open("rb") as handle:
        yield from _tarred(handle, Meter(desk, path.stat().st_size))


def _tarred(handle: IO[bytes], meter: Meter) -> Iterator[Member]:
    try:
        # A pipe, as the members come: nothing is sought, so a compressed archive is unpacked once.
        archive = tarfile.open(fileobj=handle, mode="r|", errors="surrogateescape")  # noqa: SIM115 - closed below
    except DAMAGED as error:
        raise Unreadable(f"truncated or damaged: {_said(error)}") from error
    with archive:
        while (info := _next(archive)) is not None:
            # A stream keeps every header it has seen: 10 million of them would be gigabytes.
            cast(Any, archive).members = []
            if info.isdir():
                continue
            meter.enter()
            yield from _tar_member(archive, info, meter)


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return archive.next()
    except DAMAGED as error:
        raise Unreadable(f"truncated or damaged: {_said(error)}") from error


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, meter: Meter) -> Iterator[Member]:
    from oaflow.jobs import encoded_name, readable_name

    member = Member(key=encoded_name(info.name), name=shown(readable_name(info.name)))
    if not info.isfile():
        member.skipped = "a link inside an archive" if info.issym() or info.islnk() else "a device inside an archive"
        yield member
        return
    try:
        source = archive.extractfile(info)
        assert source is not None  # it is a file
        size = meter.unpack(source, member)
    except DAMAGED as error:
        raise Unreadable(f"truncated or damaged: {_said(error)}") from error
    if member.path is not None and size < info.size:
        member.path.unlink()
        raise Unreadable(f"truncated: the archive ends within {member.name!r}")
    yield from handed_out(member)


def _compressed(path: Path, name: str, mime: str, desk: Desk) -> Iterator[Member]:
    meter = Meter(desk, path.stat().st_size)
    with ExitStack() as stack:
        try:
            handle = cast("IO[bytes]", stack.enter_context(_OPENERS[mime](path, "rb")))
            start = head(handle, 512)
        except DAMAGED as error:
            raise Unreadable(f"truncated or damaged: {_said(error)}") from error
        if start[257:262] == b"ustar" or (_TAR_NAME.search(name) and len(start) == 512):
            yield from _tarred(handle, meter)
            return
        inner = shown(Path(name).stem if Path(name).suffix else name)
        member = Member(key="", name=inner)
        meter.enter()
        try:
            meter.unpack(handle, member)
        except DAMAGED as error:
            raise Unreadable(f"truncated or damaged: {_said(error)}") from error
        if member.error is not None:  # it has no siblings: the file as a whole cannot be read
            raise Unreadable(member.error)
        yield from handed_out(member)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
