"""
The balanced account of a run's documents: each counted once, each line listable.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from psycopg import Connection
from psycopg.rows import class_row, tuple_row

from oaflow.jobs import Tally
from oaflow.ledger.statements import sql
from oaflow.printed.documents import Line, ReceiptDocument
from oaflow.printed.documents import Receipt as ReceiptJson

# A document is counted in the first line that applies, in this order.
LINES: tuple[Line, ...] = get_args(Line)


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """
    A document and the line that counts it; `line` is None if it is still in progress, or was lost track of. `why` is
    why it ran, if others of its source were known before. `way` is the full path to it, if it is inside another
    document.
    """

    document: str
    name: str
    kind: str
    line: Line | None
    reason: str | None
    why: str | None = None
    way: str | None = None

    def as_json(self) -> ReceiptDocument:
        """
        The public form.
        """
        return {
            "document": self.document,
            "name": self.name,
            "line": self.line or "open",
            "unreadable": self.kind == "unreadable",
            "reason": self.reason,
            "why": self.why,
            "way": self.way,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What became of the documents of a run.

    Attributes:
        found: how many documents were found.
        counts: how many of them each line counts.
        unreadable: how many of the indexed could not be read.
        cancelled: how many of the dropped were in progress when the run was cancelled.
        open: how many jobs have not ended.
        again: if an earlier run crawled the same source, how many documents ran again, by reason.
    """

    run: str
    found: int
    counts: Mapping[Line, int]
    unreadable: int
    cancelled: int
    open: int
    again: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def balanced(self) -> bool:
        """
        Whether every document that was found is accounted for, and no job is open.
        """
        return self.open == 0 and sum(self.counts.values()) == self.found

    def as_json(self) -> ReceiptJson:
        """
        The public form: one object, with its fields in a fixed order.
        """
        return {
            "run": self.run,
            "found": self.found,
            "indexed": self.counts["indexed"],
            "unreadable": self.unreadable,
            "unchanged": self.counts["unchanged"],
            "ended": self.counts["ended"],
            "diverted": self.counts["diverted"],
            "failed": self.counts["failed"],
            "skipped": self.counts["skipped"],
            "dropped": self.counts["dropped"],
            "unmatched": self.counts["unmatched"],
            "vanished": self.counts["vanished"],
            "again": dict(self.again),
            "balanced": self.balanced,
        }


def receipt(connection: Connection[Any], run: str, index_stages: Iterable[str]) -> Receipt:
    """
    The receipt of a run.

    Args:
        index_stages: names of the stages after which a document counts as indexed.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        # One snapshot for both, so that a run in flight does not look out of balance.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = cursor.execute(sql("receipt"), {"run": run, "index": sorted(index_stages)}).fetchall()
        still = cursor.execute(sql("open_jobs"), {"run": run}).fetchone()
        again = dict(cursor.execute(sql("again"), {"run": run}).fetchall())
    counts: dict[Line, int] = dict.fromkeys(LINES, 0)
    found = unreadable = cancelled = 0
    for line, documents, unread, stopped in rows:
        found += documents
        cancelled += stopped
        if line is not None:
            counts[line] = documents
        if line == "indexed":
            unreadable = unread
    return Receipt(run, found, counts, unreadable, cancelled, still[0] if still else 0, again)


def documents(
    connection: Connection[Any],
    run: str,
    index_stages: Iterable[str],
    *,
    line: str | None = None,
    limit: int | None = None,
) -> list[DocumentLine]:
    """
    The documents of one line of the receipt, by name.

    Args:
        line: one of `LINES`; `unreadable` for those among the indexed; `open` for those in no line; None for all.
    """
    with connection.cursor(row_factory=class_row(DocumentLine)) as cursor:
        return cursor.execute(
            sql("receipt_documents"),
            {"run": run, "index": sorted(index_stages), "line": line, "limit": limit},
        ).fetchall()


def every_document(
    connection: Connection[Any], run: str, index_stages: Iterable[str], *, line: str | None = None
) -> Generator[DocumentLine]:
    """
    The same without a limit, read lazily, because there may be a million.
    """
    with connection.cursor(row_factory=class_row(DocumentLine)) as cursor:
        yield from cursor.stream(
            sql("receipt_documents"), {"run": run, "index": sorted(index_stages), "line": line, "limit": None}
        )


def tallies(connection: Connection[Any], run: str, index_stages: Iterable[str], *, names: int = 5) -> list[Tally]:
    """
    What became of the documents of a run, by line and reason, most frequent first.

    Args:
        names: how many of each are named.
    """
    with connection.cursor(row_factory=class_row(Tally)) as cursor:
        values = {"run": run, "index": sorted(index_stages), "names": names}
        return cursor.execute(sql("account"), values).fetchall()
