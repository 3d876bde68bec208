"""
Mails and mailboxes: headers and text of a mail, its attachments as members; the mails of a mailbox as members.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from email import policy
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from io import BytesIO
from mimetypes import guess_extension
from pathlib import Path
from typing import Any

from oaflow.stages.archives import shown
from oaflow.stages.content import Content, Member, Unreadable
from oaflow.stages.desk import Desk, Meter, handed_out
from oaflow.stages.texts import cleaned, decoded

# Headers that are lists of people, and the FtM property of Email for each.
_PEOPLE = {"from": "from", "to": "to", "cc": "cc", "bcc": "bcc", "sender": "sender"}

# A mail is read as a whole; one above this is no mail.
LONGEST = 256 * 1024**2


def read_mail(path: Path, desk: Desk) -> Content:
    """
    A mail: its headers, its text, and what is attached.
    """
    if path.stat().st_size > LONGEST:
        raise Unreadable(f"too large for a mail: more than {LONGEST:,} bytes")
    with path.open("rb") as handle:
        # compat32 keeps what it does not understand; the newer policies raise at a header that they cannot parse.
        message = BytesParser(policy=policy.compat32).parse(handle)
    plain, hyper = _bodies(message)
    text = "\n\n".join(part for part in plain if part.strip())
    if not text.strip() and hyper:
        from oaflow.stages.documents import html_text

        text = "\n\n".join(html_text(part) for part in hyper)
    return Content("Email", text=text, properties=_properties(message), members=_attachments(message, desk, path))


def _properties(message: Message) -> dict[str, list[str]]:
    properties: dict[str, list[str]] = {}
    for header, name in _PEOPLE.items():
        people = getaddresses([_text(value) for value in message.get_all(header, [])])
        if shown_people := [_shown_person(person) for person in people if any(person)]:
            properties[name] = shown_people
    for header, name in (("subject", "subject"), ("message-id", "messageId"), ("in-reply-to", "inReplyTo")):
        if value := _text(message.get(header, "")).strip():
            properties[name] = [value.strip("<>") if name != "subject" else value]
    if value := _text(message.get("thread-topic", "")).strip():
        properties["threadTopic"] = [value]
    if date := _date(message):
        properties["date"] = [date]
    headers = [[name, _text(value)] for name, value in message.items()]
    properties["headers"] = [json.dumps(headers, ensure_ascii=False)]
    return properties


def _shown_person(person: tuple[str, str]) -> str:
    """
    `Name <address>`, readable: nothing in it is encoded.
    """
    name, address = person
    return f"{name} <{address}>" if name and address else name or address


def _date(message: Message) -> str | None:
    try:
        return parsedate_to_datetime(_text(message.get("date", ""))).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _text(value: Any) -> str:
    # Encoded words, and raw bytes, which the parser hands over as surrogates.
    from email.header import decode_header

    try:
        pieces = decode_header(value)
    except (MessageError, ValueError):
        pieces = [(str(value), None)]
    read = "".join(_piece(piece, charset) for piece, charset in pieces)
    return cleaned(" ".join(read.split()))


def _piece(piece: bytes | str, charset: str | None) -> str:
    if isinstance(piece, str):
        data = piece.encode("utf-8", "surrogateescape")
        return piece if data.isascii() else decoded(data)[0]
    return decoded(piece, None if charset in (None, "unknown-8bit") else charset)[0]


def _leaves(message: Message) -> Iterator[Message]:
    # As Message.walk, but an attached mail is one leaf: what is in it is its own business.
    # A list, not recursion: a mail can be nested deeper than Python's stack.
    waiting = [message]
    while waiting:
        part = waiting.pop()
        if (inner := _parts(part)) is not None and (part is message or part.get_content_maintype() != "message"):
            waiting.extend(reversed(inner))
        else:
            yield part


def _parts(message: Message) -> list[Message] | None:
    """
    What a message is put together of; None where it is a leaf.
    """
    # A leaf is not asked for its payload, which decodes it: that raises at a charset of an odd spelling.
    payload: Any = message.get_payload() if message.is_multipart() else None
    return None if payload is None else [inner for inner in payload if isinstance(inner, Message)]


def _is_body(part: Message) -> bool:
    return (
        part.get_content_type() in ("text/plain", "text/html")
        and part.get_content_disposition() != "attachment"
        and not part.get_filename()
    )


def _bodies(message: Message) -> tuple[list[str], list[str]]:
    plain: list[str] = []
    hyper: list[str] = []
    for part in _leaves(message):
        if _is_body(part):
            data = _bytes(part)
            target = hyper if part.get_content_type() == "text/html" else plain
            target.append(decoded(data, part.get_content_charset())[0])
    return plain, hyper


def _bytes(part: Message) -> bytes:
    if (inner := _parts(part)) is not None:
        return b"".join(map(_whole, inner))
    try:
        data = part.get_payload(decode=True)
    except (ValueError, MessageError, LookupError):
        return _whole(part)
    return data if isinstance(data, bytes) else b""


def _whole(message: Message) -> bytes:
    target = BytesIO()
    # What comes before a part that cannot be written is kept.
    with suppress(UnicodeError, MessageError, LookupError, AttributeError, TypeError):
        BytesGenerator(target, mangle_from_=False, policy=_AsTheyStand()).flatten(message)
    return target.getvalue()


class _AsTheyStand(policy.Compat32):
    """
    Headers as they were read: the library's own way raises at one that looks like two.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        return f"{name}: {value}\n".encode("utf-8", "surrogateescape")


def _attachments(message: Message, desk: Desk, path: Path) -> Iterator[Member]:
    meter = Meter(desk, path.stat().st_size)
    for number, part in enumerate(_leaves(message), 1):
        if _is_body(part) or (part is message and not part.get_filename() and _is_text(part)):
            continue
        data = _bytes(part)
        if not data and not part.get_filename():
            continue
        meter.enter()
        mime = part.get_content_type()
        name = shown(_filename(part, number, mime))
        member = Member(key=f"{number}/{name}", name=name.rpartition("/")[2], mime=mime)
        meter.unpack(BytesIO(data), member)
        yield from handed_out(member)


def _is_text(part: Message) -> bool:
    return part.get_content_maintype() == "text"


def _filename(part: Message, number: int, mime: str) -> str:
    if name := part.get_filename():
        return _text(name)
    if mime == "message/rfc822":
        inner = _parts(part)
        subject = _text(inner[0].get("subject", "")) if inner else ""
        return (subject.replace("/", " ")[:100].strip() or f"mail-{number}") + ".eml"
    return f"attachment-{number}{guess_extension(mime) or ''}"


def read_mailbox(path: Path, desk: Desk) -> Content:
    """
    A mailbox in the mbox format, as a package of mails.
    """
    return Content("Package", members=_mails(path, desk))


def _mails(path: Path, desk: Desk) -> Iterator[Member]:
    meter = Meter(desk, path.stat().st_size)
    for number, paper in enumerate(_split(path, desk), 1):
        meter.enter()
        yield from handed_out(Member(key=str(number), name=f"{number:05}.eml", path=paper, mime="message/rfc822"))


def _split(path: Path, desk: Desk) -> Iterator[Path]:
    # A mail starts at a line `From ` after an empty line; `>From ` stands for a `From ` in its text.
    paper, target = None, None
    try:
        with path.open("rb") as handle:
            after_empty = True
            for line in handle:
                if line.startswith(b"From ") and after_empty:
                    if target is not None and paper is not None:
                        target.close()
                        yield paper
                    paper = desk.paper()
                    target = paper.open("wb")
                elif target is not None:
                    target.write(line[1:] if line.lstrip(b">").startswith(b"From ") and line[:1] == b">" else line)
                after_empty = not line.strip()
        if target is not None and paper is not None:
            target.close()
            yield paper
    finally:
        if target is not None:
            target.close()
