"""
As much of Postgres' protocol (version 3) as is needed to know which statement passes. Pure.

A session's messages come in requests: all that a client sends until it waits for an answer. An answer ends when the
server reports that it is ready, and then what was sent in autocommit has taken effect.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

# What a client sends first in place of a startup message: whether it may encrypt.
ENCRYPT = (80877103, 80877104)

_PARSE, _BIND, _EXECUTE, _QUERY, _SYNC, _FLUSH = b"P", b"B", b"E", b"Q", b"S", b"H"
_OF_A_REQUEST = frozenset((_PARSE, _BIND, b"D", _EXECUTE, b"C"))


class Message(NamedTuple):
    """
    One message, as it is on the wire but for its length.
    """

    kind: bytes
    body: bytes

    def encoded(self) -> bytes:
        """
        Its bytes.
        """
        return self.kind + (len(self.body) + 4).to_bytes(4) + self.body


class Request(NamedTuple):
    """
    What a client sent, up to where it waits. `text` is that of the statements that it has executed, and `values` the
    bytes that they are executed with.
    """

    encoded: bytes
    text: str
    values: bytes


async def messages(source: asyncio.StreamReader) -> AsyncIterator[Message]:
    """
    The messages of one side, after its startup message, until it hangs up.
    """
    while True:
        try:
            head = await source.readexactly(5)
            yield Message(head[:1], await source.readexactly(int.from_bytes(head[1:]) - 4))
        except (asyncio.IncompleteReadError, ConnectionError):
            return


async def startup(source: asyncio.StreamReader) -> tuple[int, bytes]:
    """
    What a client sends before anything else: the code in it, and its bytes.
    """
    length = await source.readexactly(4)
    body = await source.readexactly(int.from_bytes(length) - 4)
    return int.from_bytes(body[:4]), length + body


class Requests:
    """
    Puts the messages of a client together. It remembers what was prepared: later only the name of that is sent.
    """

    def __init__(self) -> None:
        self._prepared: dict[bytes, bytes] = {}
        self._begin()

    def _begin(self) -> None:
        self._encoded, self._values, self._texts = b"", b"", list[bytes]()
        self._bound, self._executed = b"", False

    def add(self, message: Message) -> Request | None:
        """
        Take a message; answers the request that it ends.
        """
        self._encoded += message.encoded()
        match message.kind:
            case b"P":
                name, text = message.body.split(b"\0")[:2]
                self._prepared[name] = text
            case b"B":
                self._bound = self._prepared.get(message.body.split(b"\0")[1], b"")
                self._values += message.body
            case b"E":
                self._texts.append(self._bound)
            case b"Q":
                self._texts.append(message.body.rstrip(b"\0"))
            case _:
                pass
        if message.kind in _OF_A_REQUEST:
            return None
        text = b"\n".join(self._texts).decode(errors="replace")
        request = Request(self._encoded, text, self._values)
        self._begin()
        return request
