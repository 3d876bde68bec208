"""
`crawl`: from files and folders to one job for each file.
"""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from oaflow.dsl import stage
from oaflow.errors import Reject
from oaflow.jobs import DatasetJob, current, encoded_name, readable_name
from oaflow.settings import Settings
from oaflow.stages.filetypes import named_type
from oaflow.stages.listing import Entry, Logbook, Seen, forget, walk
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
    with _logbook(job, source, settings) as book:
        book.write(walk(source, settings.home))
        folders = _Folders(job)
        for entry, seen in book.files(_look):
            name = readable_name(entry.path[entry.root :])
            identity = document_id(job.dataset, entry.path)
            match entry.kind, seen:
                case "folder", _:
                    folders.enter(entry)
                case "file", Seen(content_hash=str()):
                    job.found(identity, name)
                    yield job.with_entities([folders.settle(_document(entry, seen, identity), entry)])
                case _:
                    job.skipped(identity, name, entry.reason or (seen and seen.reason) or "not a file")


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
            writer.add(folder)
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
