"""
What readers get to work with: limits, a temporary folder, the time that is left; and unpacking a member within these.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Protocol

from oaflow.errors import NoRoomError, says_full
from oaflow.stages.content import Member, Unreadable
from oaflow.stages.limits import Limits

_CHUNK = 1024**2

# Below this a high ratio is a file of zeros, not an attack.
_HARMLESS = 32 * 1024**2


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(slots=True)
class Desk:
    """
    One document's share of time and disk.

    Attributes:
        place: where its folder is made, if it needs one; None for the system's.
        deadline: on the clock of `time.monotonic`.
        depth: how many containers the document came out of.
        ocr: whether text in images is wanted.
    """

    limits: Limits
    place: Path | None
    deadline: float
    depth: int = 0
    ocr: bool = True
    _numbers: Iterator[int] = field(default_factory=count)
    _folder: "TemporaryDirectory[str] | None" = None

    @property
    def temp(self) -> Path:
        """
        A folder that is gone afterwards.
        """
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="oaflow-", dir=self.place)
        return Path(self._folder.name)

    @property
    def seconds(self) -> float:
        """
        The time that is left.
        """
        return self.deadline - time.monotonic()

    def check_time(self, what: str) -> None:
        """
        Raise where the time is up.
        """
        if self.seconds <= 0:
            raise Unreadable(f"time: {what} took longer than {self.limits.read_time:g} s")

    def paper(self) -> Path:
        """
        The path of a new file. The name is a number: what the member is called never touches the disk.
        """
        return self.temp / f"{next(self._numbers)}.part"

    def clear(self) -> None:
        """
        Take away what was written.
        """
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


@contextmanager
def desk(limits: Limits, temp: Path | None, *, depth: int = 0, ocr: bool = True) -> Generator[Desk]:
    """
    A desk for one document, cleared after the block.

    Args:
        temp: the job's own folder, or None for the system's.
    """
    place = Desk(limits, temp, time.monotonic() + limits.read_time, depth=depth, ocr=ocr)
    try:
        yield place
    finally:
        place.clear()


class Meter:
    """
    Counts what one archive unpacks to, and stops a bomb while it goes off.

    Args:
        packed: the size of the archive.
    """

    def __init__(self, desk: Desk, packed: int) -> None:
        self._desk, self._packed, self._written, self._members = desk, max(packed, 1), 0, 0

    def expect(self, unpacked: int) -> None:
        """
        Raise where the archive itself says that it is a bomb. What it says may be a lie, so `unpack` counts too.
        """
        self._judge(unpacked)

    def enter(self) -> None:
        """
        Count one more member.
        """
        self._members += 1
        if self._members > self._desk.limits.archive_members:
            raise Unreadable(
                f"too many members: {self._desk.limits.archive_members} were unpacked, the rest not "
                "(OAFLOW_ARCHIVE_MEMBERS)"
            )
        self._desk.check_time("unpacking")

    def unpack(self, source: Readable, member: Member) -> int:
        """
        Copy what is read to a file of the member's, and return how many bytes that were. Of a member beyond the limit
        of a file nothing is kept, and its error says so; its siblings can still be read.

        Raises:
            Unreadable: the archive is a bomb, or the time is up.
            NoRoomError: the disk is full.
        """
        size, target = 0, self._desk.paper()
        try:
            with target.open("wb") as handle:
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    self._written += len(chunk)
                    self._judge(self._written)
                    self._desk.check_time("unpacking")
                    if size > self._desk.limits.file_bytes:
                        member.error = too_large(self._desk.limits)
                        break
                    handle.write(chunk)
        except BaseException as error:  # nothing is left of it, whatever ended it
            target.unlink(missing_ok=True)
            if says_full(error):
                raise NoRoomError("what a file unpacks to", str(error)) from error
            raise
        if member.error is None:
            member.path = target
        else:
            target.unlink()
        return size

    def _judge(self, unpacked: int) -> None:
        limits = self._desk.limits
        if unpacked > limits.archive_bytes:
            raise Unreadable(f"a bomb: unpacks to more than {limits.archive_bytes:,} bytes (OAFLOW_ARCHIVE_BYTES)")
        if unpacked > _HARMLESS and unpacked > limits.archive_ratio * self._packed:
            raise Unreadable(
                f"a bomb: unpacks to more than {limits.archive_ratio} times its size (OAFLOW_ARCHIVE_RATIO)"
            )


def handed_out(member: Member) -> Iterator[Member]:
    """
    The member. Its file, where it has one, is gone when the next member is asked for.
    """
    path = member.path
    try:
        yield member
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def too_large(limits: Limits) -> str:
    """
    The reason for a file that is not read because of its size.
    """
    return f"too large: more than {limits.file_bytes:,} bytes (OAFLOW_FILE_BYTES)"


def head(handle: IO[bytes], size: int) -> bytes:
    """
    The first bytes of an open file, which is put back to its start.
    """
    data = handle.read(size)
    handle.seek(0)
    return data
