"""
What can be asked about runs: status, failures, receipt, logs.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import Any

import orjson
from psycopg import Connection

from oaflow.errors import UsageError
from oaflow.ledger.failures import Cluster, Failure, clusters, every_failure
from oaflow.ledger.receipts import LINES, DocumentLine, Receipt, documents, receipt
from oaflow.ledger.runs import Run
from oaflow.ledger.traces import of_ids, of_name
from oaflow.ledger.unmatched import Unmatched, unmatched
from oaflow.operations.databases import connection, database, logs_folder
from oaflow.operations.states import (
    Details,
    bound_plan,
    check_cause,
    check_stage,
    details_of,
    index_stages,
    wanted_run,
)
from oaflow.plan.params import close_to
from oaflow.settings import Settings

# What can be listed of a receipt, beside its lines.
LISTABLE = (*LINES, "unreadable", "open", "all")

# Documents that a name may stand for.
_NAMED = 1000

# How often a log that is followed is looked at, in seconds.
_LOG_LOOK = 0.2


def status(settings: Settings, run: str | None) -> Details:
    """
    How a run stands; without an id the latest.
    """
    with database(settings) as opened, opened.connect() as made:
        return details_of(made, wanted_run(made, run), settings.dead_after, private=opened.embedded)


@dataclass(frozen=True, slots=True)
class Failed:
    """
    What failed in a run. It is read when it is asked for, while the block that it was opened for goes on.
    """

    run: Run
    _connection: Connection[Any]
    _stage: str | None
    _cause: str | None

    def jobs(self) -> Iterator[Failure]:
        """
        Each job, the oldest first; a page of them is in memory.
        """
        return every_failure(self._connection, self.run.id, stage=self._stage, cause=self._cause)

    def causes(self) -> list[Cluster]:
        """
        The causes, the most frequent first.
        """
        return clusters(self._connection, self.run.id, stage=self._stage, cause=self._cause)


@contextmanager
def failed(
    settings: Settings, run: str | None, *, stage: str | None = None, cause: str | None = None
) -> Generator[Failed]:
    """
    What failed in a run, for the time of a block.

    Args:
        stage: only what failed there.
        cause: only what has this fingerprint.

    Raises:
        UsageError: there is no such run or stage, or nothing failed for this cause.
    """
    with connection(settings) as made:
        found = wanted_run(made, run)
        if stage is not None:
            check_stage(found, bound_plan(made, found), stage)
        if cause is not None:
            check_cause(made, found, cause)
        yield Failed(found, made, stage, cause)


def receipt_of(settings: Settings, run: str | None) -> tuple[Run, Receipt, list[Unmatched]]:
    """
    The account of the documents of a run, and what no edge took.
    """
    with connection(settings) as made:
        found = wanted_run(made, run)
        account = receipt(made, found.id, index_stages(bound_plan(made, found)))
        return found, account, unmatched(made, found.id)


def receipt_list(settings: Settings, run: str | None, line: str) -> tuple[Run, list[DocumentLine]]:
    """
    The documents of one line of the account.

    Raises:
        UsageError: there is no such line.
    """
    if line not in LISTABLE:
        raise UsageError(
            f"a receipt has no line {line!r}", help=close_to(line, LISTABLE) or f"its lines are: {', '.join(LISTABLE)}"
        )
    with connection(settings) as made:
        found = wanted_run(made, run)
        stages = index_stages(bound_plan(made, found))
        return found, documents(made, found.id, stages, line=None if line == "all" else line)


@dataclass(frozen=True, slots=True)
class Printed:
    """
    Which lines of a log are wanted: of what each of these names; None is any.
    """

    stage: str | None = None
    job: int | None = None
    documents: frozenset[str] | None = None

    def wants(self, line: Mapping[str, Any]) -> bool:
        """
        Whether a line is of it.
        """
        return (
            self.stage in (None, line.get("stage"))
            and self.job in (None, line.get("job"))
            and (self.documents is None or not self.documents.isdisjoint(_documents(line)))
        )


def log_of(
    settings: Settings,
    run: str | None,
    *,
    stage: str | None = None,
    job: int | None = None,
    document: str | None = None,
) -> tuple[str, Path, Printed]:
    """
    The log of a run, which need not be there, and which lines of it are wanted.

    Args:
        document: by id, or by name as `trace` takes it.

    Raises:
        UsageError: there is no such run or stage, or no document of that name in it.
    """
    with connection(settings) as made:
        found, printed = printed_of(made, run, stage=stage, job=job, document=document)
    return found.id, log_file(settings, found.id), printed


def log_file(settings: Settings, run: str) -> Path:
    """
    Where on this machine is written what the stages of a run print.
    """
    return logs_folder(settings) / f"{run}.jsonl"


def printed_of(
    made: Connection[Any], run: str | None, *, stage: str | None, job: int | None, document: str | None
) -> tuple[Run, Printed]:
    """
    The run, and which lines of its log are wanted.

    Raises:
        UsageError: as `log_of` does.
    """
    found = wanted_run(made, run)
    if stage is not None:
        check_stage(found, bound_plan(made, found), stage)
    documents = None
    if document is not None:
        named = of_ids(made, [document], run=found.id) or of_name(made, document, run=found.id, limit=_NAMED)
        documents = frozenset(one.document for one in named) or frozenset([document])
    return found, Printed(stage, job, documents)


def log_lines(
    file: Path, last: int | None = None, *, follow: bool = False, printed: Printed | None = None
) -> Iterator[dict[str, Any]]:
    """
    What the stages of a run printed: the last so many lines, or all; with `follow` also what comes, without an end.

    Args:
        printed: only such lines.
    """
    wanted = (printed or Printed()).wants
    if not file.exists() and not follow:
        return
    while not file.exists():
        time.sleep(_LOG_LOOK)
    with file.open("rb") as handle:
        yield from deque(filter(wanted, _read(handle)), last) if printed else _read(deque(handle, last))
        rest = b""
        while follow:
            rest += handle.read()
            whole, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield from filter(wanted, _read(whole.split(b"\n")))
            else:
                rest = whole + rest
                time.sleep(_LOG_LOOK)


# Bytes of a log that are read for a page.
_PAGE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class LogPage:
    """
    Lines of a log, the oldest first, from `start` to `end`, which are places in its file; `start` is 0 where it begins.
    """

    lines: list[dict[str, Any]]
    start: int
    end: int


def log_page(file: Path, printed: Printed, before: int | None = None, limit: int = 200) -> LogPage:
    """
    The last lines of a log, of what was read: however large it is, as much is read of it.

    Args:
        printed: only such lines.
        before: only those before this place; None: those at the end.
        limit: so many at most.
    """
    try:
        with file.open("rb") as handle:
            size = handle.seek(0, SEEK_END)
            end = size if before is None else min(before, size)
            first = max(0, end - _PAGE_BYTES)
            handle.seek(first)
            read = handle.read(end - first)
    except FileNotFoundError:
        return LogPage([], 0, 0)
    if first:
        # It begins in the middle of a line; where that is all there is, it is passed over.
        cut = read.find(b"\n") + 1
        if cut in (0, len(read)):
            return LogPage([], first, end)
        first, read = first + cut, read[cut:]
    # What is written just now has no end yet.
    end = first + read.rfind(b"\n") + 1
    found: list[dict[str, Any]] = []
    at = end
    for line in reversed(read[: end - first].splitlines(keepends=True)):
        if len(found) == limit:
            return LogPage(found[::-1], at, end)
        at -= len(line)
        found += filter(printed.wants, _read([line]))
    return LogPage(found[::-1], first, end)


def log_after(file: Path, printed: Printed, start: int) -> LogPage:
    """
    The lines of a log after a place, as far as they are read at once.
    """
    try:
        with file.open("rb") as handle:
            if handle.seek(0, SEEK_END) < start:
                start = 0  # another file has taken its place
            handle.seek(start)
            read = handle.read(_PAGE_BYTES)
    except FileNotFoundError:
        return LogPage([], 0, 0)
    whole = read.rfind(b"\n") + 1
    if not whole and len(read) == _PAGE_BYTES:
        return LogPage([], start, start + len(read))  # a line of such a length is passed over
    lines = _read(read[:whole].splitlines())
    return LogPage([line for line in lines if printed.wants(line)], start, start + whole)


def _documents(line: Mapping[str, Any]) -> Sequence[str]:
    return line.get("documents") or [line["document"]] if "document" in line else []


def _read(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # a line that a full disk cut
        if isinstance(found, dict):
            yield found
