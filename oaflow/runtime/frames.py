"""
Messages over a socket between a worker, its forkserver and its executors: a length, then plain data.

They use marshal, because both ends are the same interpreter, it takes half the time of pickle, and it cannot hold
objects: an executor runs foreign code, so nothing that it sends may ever be called.
"""

import marshal
import struct
from collections.abc import Iterator
from typing import Any

from oaflow.ledger.rows import Successor
from oaflow.runtime.messages import Assignment, Handover

_HEAD = struct.Struct("<I")

_SUCCESSORS = Handover._fields.index("successors")  # the only field that contains tuples


def frame(message: Any) -> bytes:
    """
    A message of plain data (tuples, lists, text, bytes, numbers, None) as bytes.
    """
    body = marshal.dumps(message)
    return _HEAD.pack(len(body)) + body


class Frames:
    """
    Splits a stream of bytes into messages, whatever pieces it arrives in.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """
        Take in bytes and return the complete messages. A message that a killed process had half written is never
        returned.
        """
        self._buffer += data
        begin, end = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            messages: list[Any] = []
            while end - begin >= _HEAD.size:
                (size,) = _HEAD.unpack_from(view, begin)
                if end - begin - _HEAD.size < size:
                    break
                begin += _HEAD.size
                messages.append(marshal.loads(view[begin : begin + size]))
                begin += size
        del self._buffer[:begin]
        yield from messages


def plain_assignment(a: Assignment) -> tuple[Any, ...]:
    """
    An assignment as plain data.
    """
    return tuple(a)


def read_assignment(data: tuple[Any, ...]) -> Assignment:
    """
    The inverse of `plain_assignment`.
    """
    return Assignment._make(data)


def plain_handover(h: Handover) -> tuple[Any, ...]:
    """
    A hand-over as plain data.
    """
    return (*h[:_SUCCESSORS], tuple([tuple(following) for following in h.successors]), *h[_SUCCESSORS + 1 :])


def read_handover(data: tuple[Any, ...]) -> Handover:
    """
    The inverse of `plain_handover`.
    """
    return Handover._make(
        (
            *data[:_SUCCESSORS],
            tuple([Successor._make(following) for following in data[_SUCCESSORS]]),
            *data[_SUCCESSORS + 1 :],
        )
    )
