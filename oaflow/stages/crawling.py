"""
`crawl`: from files and folders to one job for each file.
"""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from oaflow.dsl import stage
from oaflow.errors import Reject
from oaflow.jobs import DatasetJob, Past, Sighting, Verdict, current, encoded_name, readable_name
from oaflow.settings import Settings
from oaflow.stages.filetypes import named_type
from oaflow.stages.listing import Entry, Group, Logbook, Seen, forget, walk
from oaflow.stages.naming import document_id
from oaflow.stages.texts import cleaned

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

# The machine's trouble, not the file's: the attempt fails and is repeated.
_OURS = (ENOSPC, EDQUOT, EMFILE, ENFILE)

_DAY = 86_400


@stage(emit="stream", emits=["Document"])
def crawl(job: DatasetJob, *, source: list[str]) -> Iterator[DatasetJob]:
    """
    Find the files of some folders, keep their bytes, and send each on.

    Args:
        source: files and folders; links are not followed.
    """
    settings = Settings()
    missing = [place for place in source if not os.path.lexists(place)]
    if missing:
        raise Reject(f"there is no {missing[0]!r}", help="give the path of a file or folder on this machine")
    with _logbook(job, source, settings) as book, _past(job) as past:
        book.write(walk(source, settings.home))
        folders, memory = _Folders(job), _Memory(job, past)
        for group in book.groups(_look, memory.judge):
            memory.keep(group)
            for entry, seen in group:
                name = _name(entry)
                identity = document_id(job.dataset, entry.path)
                match entry.kind, seen:
                    case "folder", _:
                        folders.enter(entry)
                    case "file", Seen(unchanged=True) | Seen(begun=True):
                        continue
                    case "file", Seen(content_hash=str()):
                        job.found(identity, name, why=seen.why)
                        yield job.with_entities([folders.settle(_document(entry, seen, identity), entry)])
                    case _:
                        job.skipped(identity, name, entry.reason or (seen and seen.reason) or "not a file")
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
        The same entries; of the files that could be read it is said whether they are unchanged, and if not, why.
        """
        files = [(entry, seen) for entry, seen in group if seen is not None and seen.content_hash is not None]
        if self._past is None or not files:
            return group
        verdicts = self._past.judge([self._sighting(*file) for file in files])
        judged = {
            entry.path: replace(seen, unchanged=verdict.unchanged, why=verdict.why, begun=verdict.begun)
            for (entry, seen), verdict in zip(files, verdicts, strict=True)
        }
        return [(entry, judged.get(entry.path, seen)) for entry, seen in group]

    def keep(self, group: Group) -> None:
        """
        Write down what was seen, before any of it is sent on.
        """
        self._shut += [entry.path for entry, _ in group if entry.kind == "shut"]
        if self._past is None:
            return
        there = [each for each in group if each[0].kind == "folder" or (each[1] and each[1].content_hash)]
        unread = [each for each in group if each not in there]
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
        content_hash = None if seen is None else seen.content_hash
        return Sighting(document_id(self._job.dataset, entry.path), entry.path, cleaned(_name(entry)), content_hash)


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


def _document(entry: Entry, seen: Seen, identity: str) -> "EntityProxy":
    from followthemoney import model

    raw = os.path.basename(entry.path)
    name = cleaned(readable_name(raw))
    document = model.make_entity("Document")
    document.id = identity
    document.add("fileName", name)
    document.add("contentHash", seen.content_hash, cleaned=True)
    document.add("fileSize", str(seen.size), cleaned=True)
    document.add("modifiedAt", seen.modified)
    document.add("mimeType", named_type(name))
    if extension := Path(name).suffix[1:].lower():
        document.add("extension", extension)
    if os.fsencode(name) != raw:
        # The name as it is on the disk, every byte of it: what is shown is only how it reads.
        document.add("sourceUrl", f"file://{encoded_name(entry.path)}", cleaned=True)
    return document


class _Folders:
    """
    The folders on the way down to the file at hand; each is written to the store once, and counted nowhere.
    """

    def __init__(self, job: DatasetJob) -> None:
        self._job = job
        self._open: list[tuple[bytes, str]] = []

    def enter(self, entry: Entry) -> None:
        """
        Go into a folder, and write it down.
        """
        from followthemoney import model

        folder = model.make_entity("Folder")
        folder.id = document_id(self._job.dataset, entry.path)
        folder.add("fileName", cleaned(readable_name(os.path.basename(entry.path))) or "/")
        self.settle(folder, entry)
        with self._job.get_writer() as writer:
            # Of its own, so that it can be taken out where it is gone.
            writer.put(folder, fragment=folder.id)
        self._open.append((entry.path, folder.id))

    def settle(self, entity: "EntityProxy", entry: Entry) -> "EntityProxy":
        """
        Say of an entity in which folders it is.
        """
        while self._open and os.path.dirname(entry.path) != self._open[-1][0]:
            self._open.pop()
        if self._open:
            entity.add("parent", self._open[-1][1], cleaned=True)
            entity.add("ancestors", [identity for _, identity in self._open], cleaned=True)
        return entity
