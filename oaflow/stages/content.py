"""
What a reader returns for a file: text, metadata and members. Data only: no followthemoney, no store.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EMPTY = "empty: the file has no bytes"


class Unreadable(Exception):
    """
    A file, or the rest of it, that cannot be read; the message is the reason, for people.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class Member:
    """
    A file inside another: of an archive, or attached to a mail.

    Attributes:
        key: what tells it from its siblings, the same in every reading.
        name: its path inside, as people read it.
        path: where its bytes are for the moment, or None where it has none that can be read.
        mime: its type, where the container says it.
        error: why it cannot be read.
        skipped: why it is no document at all (a link, a device).
    """

    key: str
    name: str
    path: Path | None = None
    mime: str | None = None
    error: str | None = None
    skipped: str | None = None


@dataclass(slots=True)
class Content:
    """
    What a file holds.

    Attributes:
        schema: the FtM schema that fits it.
        text: its whole text, or None where `pages` has it.
        pages: the text of each page, in order; only where the file itself has pages.
        properties: further FtM properties.
        members: the files in it. Reading on may raise `Unreadable`: then what came before it counts.
        error: why it, or a part of it, could not be read.
        note: what a reader should know that is no error.
    """

    schema: str
    text: str | None = None
    pages: list[str] = field(default_factory=list[str])
    properties: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    members: Iterator[Member] | None = None
    error: str | None = None
    note: str | None = None
