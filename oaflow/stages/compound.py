"""
Compound files, the OLE format of older Office and of Outlook: what is packed in them as files of their own.

Reads with olefile; knows how Office packs an embedded file, and how Outlook keeps attachments ([MS-OLEDS], [MS-OXMSG]).
"""

import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import Header
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import HeaderParser
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from oaflow.stages.archives import DAMAGED
from oaflow.stages.content import Unreadable
from oaflow.stages.texts import cleaned, decoded

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_NATIVE, _PDF, _PACKAGE = "\x01Ole10Native", "CONTENTS", "Package"
_EQUATION = "Equation Native"

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)

# Numbers of MAPI properties.
_SUBJECT, _HEADERS, _BODY, _HTML = 0x0037, 0x007D, 0x1000, 0x1013
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_RECIPIENT_TYPE, _SMTP, _ADDRESS = 0x0C15, 0x39FE, 0x3003
_SENT, _DELIVERED = 0x0039, 0x0E06
_DATA, _LONG_NAME, _SHORT_NAME, _DISPLAY_NAME, _MIME = 0x3701, 0x3707, 0x3704, 0x3001, 0x370E

_TEXT, _ANSI, _BINARY, _OBJECT = "001F", "001E", "0102", "000D"
_INTEGER, _TIME = 0x0003, 0x0040

_MAIL_HEADER, _RECIPIENT_HEADER = 24, 8

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inner:
    """
    A file in a compound file.

    Attributes:
        key: what tells it from its siblings.
        name: where it has one.
        mime: its type, where it is said.
    """

    key: str
    name: str | None
    data: bytes
    mime: str | None = None


class Compound:
    """
    An open compound file.

    Args:
        size: of the file; a stream that says it is longer lies.
    """

    def __init__(self, ole: Any, size: int) -> None:
        self._ole, self._size = ole, size
        self.streams: list[Place] = [tuple(place) for place in ole.listdir(streams=True, storages=False)]

    def read(self, place: Place) -> bytes:
        """
        The bytes of a stream.
        """
        if self._ole.get_size(list(place)) > self._size:
            raise Unreadable("damaged: a stream is longer than the file")
        return self._ole.openstream(list(place)).read()

    def storages(self, under: Place, start: str) -> list[Place]:
        """
        The storages in a place whose names start so, in their order.
        """
        deep = len(under)
        below = (place for place in self.streams if len(place) > deep + 1 and place[:deep] == under)
        return sorted({place[: deep + 1] for place in below if place[deep].startswith(start)})


@contextmanager
def opened(path: Path) -> Generator[Compound]:
    """
    A compound file, closed after the block.

    Raises:
        Unreadable: it is none, or damaged; also for what is found while it is read.
    """
    import olefile

    try:
        with olefile.OleFileIO(str(path)) as ole:
            yield Compound(ole, path.stat().st_size)
    except (*DAMAGED, struct.error, TypeError) as error:
        raise Unreadable(f"damaged: {error or type(error).__name__}") from error


def is_drawn(file: Compound) -> bool:
    """
    Whether it is an object that has no content but what the page shows: an equation.
    """
    return (_EQUATION,) in file.streams


def packed(file: Compound) -> Iterator[Inner]:
    """
    The files that Office packed into objects.
    """
    for place in file.streams:
        key = "/".join(place[:-1])
        if place[-1] == _NATIVE:
            name, data = _native(file.read(place))
            yield Inner(key, name, data)
        elif place[-1] == _PACKAGE or (place[-1] == _PDF and file.read(place).startswith(b"%PDF")):
            yield Inner(key, None, file.read(place))


def _native(data: bytes) -> tuple[str | None, bytes]:
    # Size; 2; label, path; a number; the path of a copy, with its length; the file, with its length; then, from newer
    # programs, copy, label and path once more in UTF-16.
    if data[4:6] != b"\x02\x00":
        (size,) = struct.unpack_from("<I", data)
        return None, data[4 : 4 + size]
    label, at = _until_nul(data, 6)
    _, at = _until_nul(data, at)
    (length,) = struct.unpack_from("<I", data, at + 4)
    at += 8 + length
    (size,) = struct.unpack_from("<I", data, at)
    file, at = data[at + 4 : at + 4 + size], at + 4 + size
    if len(file) < size:
        raise Unreadable("truncated: the object ends within its file")
    name = _wide_label(data, at) or decoded(label)[0]
    return name.replace("\\", "/").rpartition("/")[2] or None, file


def _until_nul(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.index(b"\x00", at)
    return data[at:end], end + 1


def _wide_label(data: bytes, at: int) -> str:
    label = b""
    for _ in range(2):
        if at + 4 > len(data):
            return ""
        (count,) = struct.unpack_from("<I", data, at)
        label, at = data[at + 4 : at + 4 + 2 * count], at + 4 + 2 * count
    return cleaned(label.decode("utf-16-le", "replace"))


def attachments(file: Compound, message: Place = ()) -> Iterator[Inner]:
    """
    What is attached to a mail of Outlook. An attached mail is written as an Internet mail: its bytes are no file.

    Args:
        message: where in the file the mail is.
    """
    for place in file.storages(message, "__attach_version1.0_#"):
        key = place[-1].rpartition("#")[2]
        names = (_string(file, place, number) for number in (_LONG_NAME, _SHORT_NAME, _DISPLAY_NAME))
        name = next(filter(None, names), None)
        if (stream := _property(place, _DATA, _BINARY)) in file.streams:
            yield Inner(key, name, file.read(stream), _string(file, place, _MIME) or None)
        elif any(other[:-1] == (inner := _property(place, _DATA, _OBJECT)) for other in file.streams):
            mail = _mail(file, inner)
            title = (_string(file, inner, _SUBJECT) or name or f"mail-{key}").replace("/", " ")[:100].strip()
            yield Inner(key, f"{title}.eml", mail.as_bytes(), "message/rfc822")


def _property(place: Place, number: int, kind: str) -> Place:
    return (*place, f"__substg1.0_{number:04X}{kind}")


def _string(file: Compound, place: Place, number: int) -> str:
    if (stream := _property(place, number, _TEXT)) in file.streams:
        return cleaned(file.read(stream).decode("utf-16-le", "replace"))
    if (stream := _property(place, number, _ANSI)) in file.streams:
        return decoded(file.read(stream))[0]
    return ""


def _mail(file: Compound, place: Place) -> Message:
    mail = MIMEMultipart()
    for name, value in _headers(file, place).items():
        if value:
            mail[name] = Header(" ".join(value.split()), "utf-8", maxlinelen=10_000).encode()
    if body := _string(file, place, _BODY):
        mail.attach(MIMEText(body, "plain", "utf-8"))
    elif (stream := _property(place, _HTML, _BINARY)) in file.streams:
        mail.attach(MIMEText(decoded(file.read(stream))[0], "html", "utf-8"))
    for each in attachments(file, place):
        mail.attach(_attached(each))
    return mail


def _attached(inner: Inner) -> Message:
    is_mail = inner.mime == "message/rfc822"
    part: Message = MIMEMessage(message_from_bytes(inner.data)) if is_mail else MIMEApplication(inner.data)
    part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", inner.name or "unnamed"))
    return part


def _headers(file: Compound, place: Place) -> dict[str, str]:
    known = HeaderParser().parsestr(_string(file, place, _HEADERS))
    sender = _person(file, place, _SENDER, (_SENDER_SMTP, _SENDER_ADDRESS))
    people: dict[int, list[str]] = {}
    for recipient in file.storages(place, "__recip_version1.0_#"):
        kind = _numbers(file, recipient, _RECIPIENT_HEADER).get(_RECIPIENT_TYPE, 1)
        people.setdefault(kind & 0xF, []).append(_person(file, recipient, _DISPLAY_NAME, (_SMTP, _ADDRESS)))
    own = {
        "From": sender,
        "To": ", ".join(people.get(1, [])),
        "Cc": ", ".join(people.get(2, [])),
        "Bcc": ", ".join(people.get(3, [])),
        "Subject": _string(file, place, _SUBJECT),
        "Date": _date(file, place),
        "Message-ID": "",
    }
    return {name: str(known.get(name) or value) for name, value in own.items()}


def _person(file: Compound, place: Place, name: int, addresses: tuple[int, ...]) -> str:
    # Inside Exchange an address is a path in its directory, which is nobody's mail address.
    address = next((said for each in addresses if "@" in (said := _string(file, place, each))), "")
    shown = _string(file, place, name).replace('"', "").strip()
    return f'"{shown}" <{address}>' if shown and shown != address else address


def _date(file: Compound, place: Place) -> str:
    numbers = _numbers(file, place, _MAIL_HEADER)
    ticks = numbers.get(_SENT) or numbers.get(_DELIVERED) or 0
    try:
        return format_datetime(_EPOCH + timedelta(microseconds=ticks // 10)) if ticks else ""
    except OverflowError:
        return ""


def _numbers(file: Compound, place: Place, header: int) -> dict[int, int]:
    """
    Properties that are numbers or times.

    Args:
        header: bytes before the first; then come 16 for each: type, number, flags, value.
    """
    stream = (*place, "__properties_version1.0")
    data = file.read(stream) if stream in file.streams else b""
    entries = (struct.unpack_from("<HHIQ", data, at) for at in range(header, len(data) - 15, 16))
    return {number: value for kind, number, _, value in entries if kind in (_INTEGER, _TIME)}
