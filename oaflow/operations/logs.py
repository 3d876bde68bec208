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

# How many documents one name may match.
_NAMED = 1000

# Seconds between two reads of a log that is followed.
_LOOK = 0.2

# How many bytes of a log are read for one page.
_PAGE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class LogFilter:
    """
    Which lines of a log to show: those of this stage, this job and these documents; None for any.
    """

    stage: str | None = None
    job: int | None = None
    documents: frozenset[str] | None = None

    def wants(self, line: Mapping[str, Any]) -> bool:
        """
        Whether a line matches.
        """
        return (
            self.stage in (None, line.get("stage"))
            and self.job in (None, line.get("job"))
            and (self.documents is None or not self.documents.isdisjoint(_documents(line)))
        )


def named(line: Mapping[str, Any]) -> str:
    """
    The prefix of a logged message: its level, and its logger. Empty for printed text.
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
    The log of a run, which may not exist, and the filter for its lines.

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
    The file on this machine with the output of the stages of a run.
    """
    return logs_folder(settings) / f"{run}.jsonl"


def log_filter(
    made: Connection[Any], run: str | None, *, stage: str | None, job: int | None, document: str | None
) -> tuple[Run, LogFilter]:
    """
    The run, and the filter for lines of its log.

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
    What the stages of a run printed: a number of last lines, or all; with `follow`, also new lines, even if the file is
    replaced or truncated, as log rotation does.

    Args:
        wanted: only these lines.
        is_read: tells, while no lines come, whether the reader is still there; otherwise this ends.
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

        # Without a filter, lines before the last ones need not be parsed.
        lines = each() if last is None or wanted != LogFilter() else deque(each(), last)
        found = filter(wanted.wants, _read(lines))
        yield from found if last is None else deque(found, last)
        # A line that is being written is shown once it is complete.
        rest = b"" if seen.endswith(b"\n") else seen
        while follow and is_read():
            # Checked before reading, so that what was written until then is read to its end.
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
    Whether a file that is being read was replaced, or truncated below what was read.
    """
    try:
        now = file.stat()
    except FileNotFoundError:
        return False
    return now.st_ino != fstat(handle.fileno()).st_ino or now.st_size < handle.tell()


@dataclass(frozen=True, slots=True)
class LogPage:
    """
    Lines of a log, oldest first, from `start` to `end`, which are offsets in its file; `start` is 0 at its beginning.
    """

    lines: list[dict[str, Any]]
    start: int
    end: int


def log_page(file: Path, wanted: LogFilter, before: int | None = None, limit: int = 200) -> LogPage:
    """
    The last lines of a log. It reads the same amount however large the log is.

    Args:
        wanted: only these lines.
        before: only those before this offset; None: those at the end.
        limit: how many at most.
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
        # It starts in the middle of a line; if there is no other, that line is skipped.
        cut = read.find(b"\n") + 1
        if cut in (0, len(read)):
            return LogPage([], first, end)
        first, read = first + cut, read[cut:]
    # A line that is being written has no end yet.
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
    The lines of a log after an offset, as far as one read goes.
    """
    try:
        with file.open("rb") as handle:
            if handle.seek(0, SEEK_END) < start:
                start = 0  # the file was replaced
            handle.seek(start)
            read = handle.read(_PAGE_BYTES)
    except FileNotFoundError:
        return LogPage([], 0, 0)
    whole = read.rfind(b"\n") + 1
    if not whole and len(read) == _PAGE_BYTES:
        return LogPage([], start, start + len(read))  # lines of this length are skipped
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
