"""
`crawl`: from files and folders to one job for each file.
"""

import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oaflow.dsl import stage
from oaflow.errors import Reject
from oaflow.jobs import DatasetJob, Past, Sighting, Verdict, current, encoded_name, readable_name
from oaflow.settings import Settings
from oaflow.stages.filetypes import clean_type, named_type
from oaflow.stages.listing import Entry, Group, Logbook, Seen, forget, walk
from oaflow.stages.naming import document_id
from oaflow.stages.skipping import skipping
from oaflow.stages.texts import cleaned, kept_text

# The machine's trouble, not the file's: the attempt fails and is repeated.
_OURS = (ENOSPC, EDQUOT, EMFILE, ENFILE)

_DAY = 86_400


@stage(emit="stream", emits=["Document"])
def crawl(job: DatasetJob, *, source: list[str], skip: list[str] | None = None) -> Iterator[DatasetJob]:
    """
    Find the files of some folders, keep their bytes, and send each on.

    Args:
        source: files and folders; links are not followed.
        skip: names of files and folders within them that are left out, such as `*.tmp`; default: `LITTER`.
    """
    settings = Settings()
    missing = [place for place in source if not os.path.lexists(place)]
    if missing:
        raise Reject(f"there is no {missing[0]!r}", help="give the path of a file or folder on this machine")
    with _logbook(job, source, settings) as book, _past(job) as past:
        book.write(walk(source, settings.home, skipping(skip)))
        folders, memory = _Folders(job), _Memory(job, past)
        for group in book.groups(_look, memory.judge):
            above = [folders.above(entry) for entry, _ in group]
            # Folders before it is written down that they were seen: those that are known are not written again.
            folders.write([
                (entry, ids)
                for (entry, seen), ids in zip(group, above, strict=True)
                if entry.kind == "folder" and not (seen and seen.unchanged)
            ])  # fmt: skip
            memory.keep(group)
            for (entry, seen), ids in zip(group, above, strict=True):
                match entry.kind, seen:
                    case ("folder", _) | ("file", Seen(unchanged=True) | Seen(begun=True)):
                        continue
                    case "file", Seen(content_hash=str()):
                        identity = document_id(job.dataset, entry.path)
                        job.found(identity, _name(entry), why=seen.why)
                        yield job.with_entities([_document(entry, seen, identity, ids)])
                    case _:
                        reason = entry.reason or (seen and seen.reason) or "not a file"
                        job.skipped(document_id(job.dataset, entry.path), _name(entry), reason)
        memory.end(source)


def _name(entry: Entry) -> str:
    return readable_name(entry.path[entry.root :])


def _past(job: DatasetJob) -> AbstractContextManager[Past | None]:
    runs = current().runs
    return nullcontext() if job.batch is None or runs is None else runs.past(job.batch)


class _Memory:
    """
    Which files are sent on, by what earlier runs have done with them, and what is written down for later ones. Outside
    of a run nothing is known, and nothing written down.
    """

    def __init__(self, job: DatasetJob, past: Past | None) -> None:
        self._job, self._past = job, past
        self._shut: list[bytes] = []

    def judge(self, group: Group) -> Group:
        """
        The same entries; of folders, and of files that could be read, it is said whether they are unchanged, and of
        files that are not, why.
        """
        there = [(entry, seen or Seen()) for entry, seen in group if _is_there(entry, seen)]
        if self._past is None or not there:
            return group
        verdicts = self._past.judge([self._sighting(*each) for each in there])
        judged = {
            entry.path: replace(seen, unchanged=verdict.unchanged, why=verdict.why, begun=verdict.begun)
            for (entry, seen), verdict in zip(there, verdicts, strict=True)
        }
        return [(entry, judged.get(entry.path, seen)) for entry, seen in group]

    def keep(self, group: Group) -> None:
        """
        Write down what was seen, before any of it is sent on.
        """
        self._shut += [entry.path for entry, _ in group if entry.kind == "shut"]
        if self._past is None:
            return
        there = [each for each in group if _is_there(*each)]
        # A link in the place of a file is none that could not be read: that file is gone.
        unread = [each for each in group if not _is_there(*each) and each[0].kind != "skipped"]
        if there:
            verdicts = [Verdict(seen.unchanged, seen.why, seen.begun) if seen else Verdict() for _, seen in there]
            self._past.keep([self._sighting(*each) for each in there], verdicts)
        if unread:
            self._past.see([document_id(self._job.dataset, entry.path) for entry, _ in unread])

    def end(self, source: list[str]) -> None:
        """
        Write down that all of it was seen.
        """
        if self._past is not None:
            self._past.end([os.fsencode(os.path.realpath(place)).rstrip(b"/") for place in source], self._shut)

    def _sighting(self, entry: Entry, seen: Seen | None) -> Sighting:
        document, name = document_id(self._job.dataset, entry.path), cleaned(_name(entry))
        if seen is None or seen.content_hash is None:
            return Sighting(document, entry.path, name, None, None)
        return Sighting(document, entry.path, name, seen.content_hash, seen.size)


def _is_there(entry: Entry, seen: Seen | None) -> bool:
    return entry.kind == "folder" or (seen is not None and seen.content_hash is not None)


@contextmanager
def _logbook(job: DatasetJob, source: list[str], settings: Settings) -> Generator[Logbook]:
    """
    The logbook of this job: the same one for each of its attempts. Outside of a run there are no attempts, and it is
    gone afterwards.
    """
    if job.batch is None:
        with TemporaryDirectory(prefix="oaflow-crawl-", dir=current().temp) as folder:
            yield Logbook(Path(folder))
        return
    shelf = settings.home / "crawls"
    forget(shelf, time.time() - settings.keep * _DAY)
    key = "\x00".join([job.dataset, current().origin, *source])
    yield Logbook(shelf / f"{job.batch}-{sha1(key.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}")


def _look(entry: Entry) -> Seen:
    """
    Keep the bytes of a file. It is read here and only here, so that one that vanishes later is not lost.
    """
    path = Path(os.fsdecode(entry.path))
    try:
        before = path.stat()
        content_hash = current("file archive").files.archive(path)
    except OSError as error:
        if error.errno in _OURS:
            raise
        return Seen(reason=f"cannot be read: {error.strerror or error}")
    modified = datetime.fromtimestamp(before.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return Seen(content_hash, before.st_size, modified)


def _document(entry: Entry, seen: Seen, identity: str, above: Sequence[str]) -> dict[str, Any]:
    raw = os.path.basename(entry.path)
    name = cleaned(readable_name(raw))
    mime, extension = named_type(name), Path(name).suffix[1:].lower()
    values = {
        "fileName": kept_text(name),
        "contentHash": seen.content_hash,
        "fileSize": str(seen.size),
        "modifiedAt": seen.modified,
        "mimeType": clean_type(mime) if mime else None,
        "extension": kept_text(extension),
        # The name as it is on the disk, every byte of it: what is shown is only how it reads.
        "sourceUrl": None if os.fsencode(name) == raw else f"file://{encoded_name(entry.path)}",
    }
    return _entity("Document", identity, values, above)


def _entity(schema: str, identity: str, values: Mapping[str, str | None], above: Sequence[str]) -> dict[str, Any]:
    """
    An entity in some folders, of which the outermost stands first.

    Not made with followthemoney: the process that crawls would load it, half a second, before the forkserver has.
    """
    properties = {name: [value] for name, value in values.items() if value}
    if above:
        properties |= {"parent": [above[-1]], "ancestors": list(above)}
    return {"id": identity, "schema": schema, "properties": properties}


class _Folders:
    """
    The folders on the way down to the entry at hand; each is written to the store, and counted nowhere.
    """

    def __init__(self, job: DatasetJob) -> None:
        self._job = job
        self._open: list[tuple[bytes, str]] = []

    def above(self, entry: Entry) -> list[str]:
        """
        The ids of the folders that an entry is in, the outermost first. To be asked of each entry, in their order.
        """
        while self._open and os.path.dirname(entry.path) != self._open[-1][0]:
            self._open.pop()
        found = [identity for _, identity in self._open]
        if entry.kind == "folder":
            self._open.append((entry.path, document_id(self._job.dataset, entry.path)))
        return found

    def write(self, folders: Sequence[tuple[Entry, Sequence[str]]]) -> None:
        """
        Write folders down, each with those that it is in.
        """
        if not folders:
            return
        with self._job.get_writer() as writer:
            for entry, above in folders:
                identity = document_id(self._job.dataset, entry.path)
                name = cleaned(readable_name(os.path.basename(entry.path))) or "/"
                # Of its own, so that it can be taken out where it is gone.
                writer.put(_entity("Folder", identity, {"fileName": kept_text(name)}, above), fragment=identity)
