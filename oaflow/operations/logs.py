"""
`oaflow logs`: what the stages of a run printed, filtered, followed, or page by page.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import SEEK_END, fstat
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from psycopg import Connection

from oaflow.ledger.runs import Run
from oaflow.ledger.traces import of_ids, of_name
from oaflow.operations.databases import connection, logs_folder
from oaflow.operations.states import run_with
from oaflow.settings import Settings

# How many documents one name may stand for.
_NAMED = 1000

# Seconds between two looks at a log that is followed.
_LOOK = 0.2

# How many bytes of a log are read for one page.
_PAGE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """
    Which lines of a log are wanted: those of this stage, this job and these documents; None is any.
    """

    stage: str | None = None
    job: int | None = None
    documents: frozenset[str] | None = None

    def wants(self, line: Mapping[str, Any]) -> bool:
        """
        Whether a line is one of them.
        """
        return (
            self.stage in (None, line.get("stage"))
            and self.job in (None, line.get("job"))
            and (self.documents is None or not self.documents.isdisjoint(_documents(line)))
        )


def named(line: Mapping[str, Any]) -> str:
    """
    What stands before a message that was logged: its level, and its logger. Nothing before what was printed.
    """
    return f"{str(line.get('level')).upper()} {line['logger']}: " if line.get("logger") else ""


def find_log(
    settings: Settings,
    run: str | None,
    *,
    stage: str | None = None,
    job: int | None = None,
    document: str | None = None,
) -> tuple[str, Path, LogFilter]:
    """
    The log of a run, which need not be there, and which lines of it are wanted.

    Args:
        document: by id, or by name as `trace` takes it.

    Raises:
        UsageError: there is no such run or stage, or no document of that name in it.
    """
    with connection(settings) as made:
        found, wanted = log_filter(made, run, stage=stage, job=job, document=document)
    return found.id, log_file(settings, found.id), wanted


def log_file(settings: Settings, run: str) -> Path:
    """
    Where on this machine is written what the stages of a run print.
    """
    return logs_folder(settings) / f"{run}.jsonl"


def log_filter(
    made: Connection[Any], run: str | None, *, stage: str | None, job: int | None, document: str | None
) -> tuple[Run, LogFilter]:
    """
    The run, and which lines of its log are wanted.

    Raises:
        UsageError: as `find_log` does.
    """
    found = run_with(made, run, stage)
    documents = None
    if document is not None:
        named = of_ids(made, [document], run=found.id) or of_name(made, document, run=found.id, limit=_NAMED)
        documents = frozenset(one.document for one in named) or frozenset([document])
    return found, LogFilter(stage, job, documents)


def log_lines(
    file: Path, last: int | None, *, follow: bool, wanted: LogFilter, is_read: Callable[[], bool] = lambda: True
) -> Iterator[dict[str, Any]]:
    """
    What the stages of a run printed: the last so many lines, or all; with `follow` also what comes, also in a file that
    has taken the place of this one or was emptied, as those who rotate logs do.

    Args:
        wanted: only these lines.
        is_read: while nothing comes, this is asked whether anybody still reads; where nobody does, it ends.
    """
    if not file.exists() and not follow:
        return
    while not file.exists():
        time.sleep(_LOOK)
        if not is_read():
            return
    handle = file.open("rb")
    try:
        seen = b""

        def each() -> Iterator[bytes]:
            nonlocal seen
            for seen in handle:
                if follow and not seen.endswith(b"\n"):
                    return
                yield seen

        # Where each line is wanted, those before the last ones need not be taken apart.
        lines = each() if last is None or wanted != LogFilter() else deque(each(), last)
        found = filter(wanted.wants, _read(lines))
        yield from found if last is None else deque(found, last)
        # What is being written just now is told when all of it is there.
        rest = b"" if seen.endswith(b"\n") else seen
        while follow and is_read():
            # Looked at before it is read: what was written until then is read to its end.
            other = _other_than(handle, file)
            rest += handle.read()
            whole, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield from filter(wanted.wants, _read(whole.split(b"\n")))
            elif other:
                handle.close()
                handle, rest = file.open("rb"), b""
            else:
                rest = whole + rest
                time.sleep(_LOOK)
    finally:
        handle.close()


def _other_than(handle: BinaryIO, file: Path) -> bool:
    """
    Whether another file has taken the place of one that is read, or it has become shorter than what was read of it.
    """
    try:
        now = file.stat()
    except FileNotFoundError:
        return False
    return now.st_ino != fstat(handle.fileno()).st_ino or now.st_size < handle.tell()


@dataclass(frozen=True, slots=True)
class LogPage:
    """
    Lines of a log, the oldest first, from `start` to `end`, which are places in its file; `start` is 0 where it begins.
    """

    lines: list[dict[str, Any]]
    start: int
    end: int


def log_page(file: Path, wanted: LogFilter, before: int | None = None, limit: int = 200) -> LogPage:
    """
    The last lines of a log, of what was read: however large it is, as much is read of it.

    Args:
        wanted: only these lines.
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
        found += filter(wanted.wants, _read([line]))
    return LogPage(found[::-1], first, end)


def log_after(file: Path, wanted: LogFilter, start: int) -> LogPage:
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
    return LogPage([line for line in lines if wanted.wants(line)], start, start + whole)


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
