"""
Lists the files of a source in a fixed order, and keeps the list, so that a repeated crawl sees the same.

A crawl that is repeated after a crash must emit the same jobs in the same order, also where the folder has changed in
between. So the sorted listing is written down before the first job, and beside it, line by line, what became of each
file. The rerun takes what is written and reads only what is not.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson

# "shut" is a folder, or what may be one, that cannot be looked into.
Kind = Literal["folder", "file", "skipped", "shut"]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One thing in a source.

    Attributes:
        path: absolute, as bytes: a name need not be text.
        root: the length of the part of `path` that is the source's own folder.
    """

    kind: Kind
    path: bytes
    root: int
    reason: str | None = None


def walk(
    sources: Iterable[str], home: Path | None = None, skip: Callable[[str], str | None] = lambda _: None
) -> Iterator[Entry]:
    """
    All entries of some files and folders: sorted by the bytes of their names, folders before what is in them.

    Links are not followed: what they lead to is either in the source, and found there, or not part of it.

    Args:
        sources: files and folders.
        home: oaflow's own folder, which is left out where it lies in a source.
        skip: why a name within a source is left out, or None. A folder of that name is left out with all that is in it.
    """
    seen: set[bytes] = set()
    own = None if home is None else os.fsencode(os.path.realpath(home))
    for source in sources:
        path = os.fsencode(os.path.realpath(source))
        # A source within another is seen once.
        if any(path == other or path.startswith(other.rstrip(b"/") + b"/") for other in seen):
            continue
        seen.add(path)
        yield from _walk(path, own, skip)


def _walk(source: bytes, own: bytes | None, skip: Callable[[str], str | None]) -> Iterator[Entry]:
    root = len(os.path.dirname(source).rstrip(b"/")) + 1
    # A list, not recursion: folders can be nested deeper than Python's stack.
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path == own:
            yield Entry("skipped", path, root, "oaflow's own data (OAFLOW_HOME)")
            continue
        # What was named itself is meant.
        if path != source and (reason := skip(os.fsdecode(os.path.basename(path)))) is not None:
            yield Entry("skipped", path, root, reason)
            continue
        entry = _look(path, root)
        if entry.kind != "folder":
            yield entry
            continue
        try:
            names = sorted(os.listdir(path), reverse=True)
        except OSError as error:
            yield Entry("shut", path, root, f"a folder that cannot be read: {error.strerror}")
            continue
        yield entry
        waiting.extend(os.path.join(path, name) for name in names)


def _look(path: bytes, root: int) -> Entry:
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return Entry("shut", path, root, f"cannot be looked at: {error.strerror}")
    if stat.S_ISDIR(mode):
        return Entry("folder", path, root)
    if stat.S_ISREG(mode):
        return Entry("file", path, root)
    return Entry("skipped", path, root, _unusual(path, mode, root))


def _unusual(path: bytes, mode: int, root: int) -> str:
    if stat.S_ISLNK(mode):
        target = os.path.realpath(path)
        # What it leads to inside the source is found under its own name.
        inside = target.startswith(path[:root]) and os.path.exists(target)
        return "a symbolic link within the source" if inside else "a symbolic link out of the source"
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What became of a file: its bytes as they were archived, or why it was left out; whether it is unchanged since an
    earlier run, and if not, why it runs again, and whether it has begun to, at later stages.
    """

    content_hash: str | None = None
    size: int = 0
    modified: str | None = None
    reason: str | None = None
    unchanged: bool = False
    why: str | None = None
    begun: bool = False


# Entries that are looked at together, as far as that takes no longer than this. What is known of a group, and what was
# seen in it, are a statement each: with groups of 100 a third of a crawl over known files was waiting for these.
_GROUP = 1000
_GROUP_SECONDS = 0.2

# Each entry; of a file with what became of it, of a folder with whether it is known.
Group = list[tuple[Entry, Seen | None]]


class Logbook:
    """
    The listing of one crawl, and what became of its files, in two files that are read and written line by line.

    Args:
        folder: where the two files are; made here.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._listing, self._done = folder / "listing.jsonl", folder / "done.jsonl"

    def write(self, entries: Iterable[Entry]) -> None:
        """
        Keep a listing, where there is none yet: whole, or not at all.
        """
        if self._listing.exists():
            return
        part = self._listing.with_suffix(".part")
        with part.open("wb") as handle:
            for entry in entries:
                handle.write(_line([entry.kind, os.fsdecode(entry.path), entry.root, entry.reason]))
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(self._listing)

    def entries(self) -> Iterator[Entry]:
        """
        The listing, as it was kept.
        """
        with self._listing.open("rb") as handle:
            for line in handle:
                kind, path, root, reason = _read(line)
                yield Entry(kind, os.fsencode(path), root, reason)

    def groups(self, look: Callable[[Entry], Seen], judge: Callable[[Group], Group]) -> Iterator[Group]:
        """
        The entries, some at a time; files with what became of them: what is written down, else what `look` and then
        `judge` say now, written down before it is handed out.
        """
        known, entries = self._known(), self.entries()
        group: Group = []
        coming = next(known, None)
        while coming is not None and (entry := next(entries, None)) is not None:
            seen = None
            if entry.kind == "file":
                seen, coming = coming, next(known, None)
            group.append((entry, seen))
            if len(group) == _GROUP:
                yield group
                group = []
        yield group
        with self._done.open("ab") as handle:
            for fresh in _looked_at(entries, look):
                judged = judge(fresh)
                handle.writelines(
                    _line(_row(seen)) for entry, seen in judged if entry.kind == "file" and seen is not None
                )
                handle.flush()
                yield judged

    def _known(self) -> Iterator[Seen]:
        try:
            handle = self._done.open("rb+")
        except FileNotFoundError:
            return iter(())
        with handle:
            _cut_torn_line(handle)
        return self._read_known(self._done.stat().st_size)

    def _read_known(self, size: int) -> Iterator[Seen]:
        # Up to the length at the start: what this attempt writes behind it is not read again.
        with self._done.open("rb") as handle:
            while handle.tell() < size:
                yield Seen(*_read(handle.readline()))


def _looked_at(entries: Iterator[Entry], look: Callable[[Entry], Seen]) -> Iterator[Group]:
    group: Group = []
    until = time.monotonic() + _GROUP_SECONDS
    for entry in entries:
        group.append((entry, look(entry) if entry.kind == "file" else None))
        if len(group) == _GROUP or time.monotonic() > until:
            yield group
            group = []
            until = time.monotonic() + _GROUP_SECONDS
    yield group


def _row(seen: Seen) -> list[object]:
    return [seen.content_hash, seen.size, seen.modified, seen.reason, seen.unchanged, seen.why, seen.begun]


def _cut_torn_line(handle: IO[bytes]) -> None:
    size = handle.seek(0, os.SEEK_END)
    start = max(0, size - 65_536)
    handle.seek(start)
    end = handle.read().rfind(b"\n")
    handle.truncate(start + end + 1)


def _line(values: list[object]) -> bytes:
    # A name that is not text holds lone surrogates, which orjson refuses: such a name is kept as hex.
    try:
        return orjson.dumps(values) + b"\n"
    except orjson.JSONEncodeError:
        return (
            orjson.dumps([{"hex": os.fsencode(each).hex()} if isinstance(each, str) else each for each in values])
            + b"\n"
        )


def _read(line: bytes) -> list[Any]:
    return [os.fsdecode(bytes.fromhex(each["hex"])) if isinstance(each, dict) else each for each in orjson.loads(line)]


def forget(folder: Path, older_than: float) -> None:
    """
    Remove the logbooks of crawls that were last written before a time.
    """
    with suppress(OSError):
        for book in folder.iterdir():
            with suppress(OSError):
                if book.stat().st_mtime < older_than:
                    for path in book.iterdir():
                        path.unlink()
                    book.rmdir()
