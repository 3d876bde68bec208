"""
`winmail.dat`: what Outlook packs the text and the attachments of a mail into (TNEF).
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from oaflow.stages.archives import numbered, shown
from oaflow.stages.content import Content, Member, Unreadable
from oaflow.stages.desk import Desk, Meter, handed_out
from oaflow.stages.mails import LONGEST

T = TypeVar("T")


def read_winmail(path: Path, mime: str, desk: Desk) -> Content:
    """
    The text of the mail, in the richest form that is there, and what is attached, as members.
    """
    from tnefparse import TNEF

    if path.stat().st_size > LONGEST:
        raise Unreadable(f"too large for {mime}: more than {LONGEST:,} bytes")
    return Content("Package", members=numbered(_members(path.read_bytes(), TNEF, desk)))


def _members(data: bytes, parse: Any, desk: Desk) -> Iterator[Member]:
    meter = Meter(desk, len(data))
    found = _read(lambda: parse(data, do_checksum=False))
    for name, form in (("message.html", "htmlbody"), ("message.rtf", "rtfbody"), ("message.txt", "body")):
        if text := _read(lambda form=form: getattr(found, form)):
            yield from _member(name, text, meter)
            break
    for attachment in found.attachments:
        yield from _member(*_read(lambda each=attachment: (each.long_filename(), each.data)), meter)
    if _is_cut(data):  # the library takes what is there for the whole
        raise Unreadable("truncated: the file ends within its last part")


def _is_cut(data: bytes) -> bool:
    # Behind the signature and a key: parts, each with a level, a number, its length, and a checksum behind it.
    at = 6
    while at + 9 <= len(data) and data[at] in (1, 2):
        at += 9 + int.from_bytes(data[at + 5 : at + 9], "little") + 2
    return at > len(data) or data[at : at + 1] in (b"\x01", b"\x02")


def _member(name: str, data: bytes | str, meter: Meter) -> Iterator[Member]:
    meter.enter()
    name = shown(name.rstrip("\x00"))
    member = Member(key=name, name=name)
    meter.unpack(BytesIO(data.encode("utf-8", "replace") if isinstance(data, str) else data), member)
    yield from handed_out(member)


def _read(step: Callable[[], T]) -> T:
    # The library checks nothing before it takes it apart: damaged bytes may raise anything.
    try:
        return step()
    except Exception as error:
        raise Unreadable(f"truncated or damaged: {error or type(error).__name__}") from error
