"""
The archive of files, behind servicelayer. The one place that imports it.

A file is named by the SHA-1 of its bytes. What is handed out is never the archive's own file: a tool that writes to its
input, or deletes it, must not destroy the original.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast
from uuid import uuid4

from oaflow.errors import OaflowError

_BLOCK = 1024 * 1024

# A file that is read into memory, and so once and not twice.
_SMALL = 64 * 1024

# What a file is called in the archive. One name for all, so that two workers that keep the same bytes replace one file.
_NAME = "data"

# Files that are taken out at the same time. It is the waiting that is shared; the work is little.
_REMOVED_AT_ONCE = 8

# Where files are written before they are whole. A dot, because servicelayer's listing leaves such folders out.
_INCOMING = ".incoming"

_FULL = (ENOSPC, EDQUOT)


class MissingBlobError(OaflowError):
    """
    The archive can be reached and does not have the file.
    """

    def __init__(self, content_hash: str) -> None:
        self.content_hash = content_hash
        super().__init__(f"the archive has no file {content_hash}")


class ArchiveUnreachableError(OaflowError):
    """
    The archive cannot be asked; whether it has the file is not known.
    """

    def __init__(self, where: str, reason: str, help: str = "look at ARCHIVE_* and OAFLOW_HOME") -> None:
        self.where, self.reason = where, reason
        super().__init__(f"the archive {where} cannot be reached: {reason}", help=help)


@dataclass(frozen=True)
class ArchiveOptions:
    """
    Which archive: a folder, or what servicelayer calls s3, gs and anystore. Further `ARCHIVE_*` of theirs
    (endpoint, keys) are read by servicelayer itself.
    """

    kind: Literal["file", "s3", "gs", "anystore"] = "file"
    path: Path | None = None
    bucket: str | None = None
    publication_bucket: str | None = None
    uri: str | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """
        The archive as a message names it: without the keys that an address may have in it.
        """
        scheme, slashes, rest = (self.uri or "").partition("://")
        without = f"{scheme}{slashes}{rest.rpartition('@')[2].partition('?')[0]}"
        return str({"file": self.path, "anystore": without}.get(self.kind, f"{self.kind}://{self.bucket or ''}"))

    @property
    def missing(self) -> str | None:
        """
        The variable that says where the archive is, if it is not set.
        """
        if self.kind == "anystore":
            return None if self.uri else "ARCHIVE_URI"
        return None if self.bucket or self.kind == "file" else "ARCHIVE_BUCKET"

    def told(self, error: Exception) -> str:
        """
        What a library says of it; its own texts may have the address in them.
        """
        return f"{type(error).__name__}: {error}".replace(self.uri or "\0", self.where)


class Archive:
    """
    Files by content hash. Nothing is opened or imported before the first use.
    """

    def __init__(self, options: ArchiveOptions) -> None:
        self.options = options

    @contextmanager
    def open(self, content_hash: str, *, temp: Path | None = None) -> Generator[BinaryIO]:
        """
        The bytes of a file, open for reading. A local copy, where one was needed, is gone after the block.

        Raises:
            MissingBlobError: the archive does not have the file.
            ArchiveUnreachableError: the archive cannot be asked.
        """
        # A file of our own disk needs no folder for a copy: for a small document, making one takes longer than reading.
        place = nullcontext(temp) if self.options.kind == "file" else _folder(temp)
        with place as folder, self._fetched(content_hash, folder).open("rb") as handle:
            yield handle

    @contextmanager
    def localpath(self, content_hash: str, *, name: str | None = None, temp: Path | None = None) -> Generator[Path]:
        """
        The path of a copy of a file, which may be changed and deleted. It is gone after the block.

        Args:
            content_hash: SHA-1 of the bytes, in hex.
            name: what the copy is called, as far as a file system can: tools look at the extension.
            temp: folder for the copy; default: the system's.

        Raises:
            MissingBlobError: the archive does not have the file.
            ArchiveUnreachableError: the archive cannot be asked.
        """
        with _folder(temp) as folder:
            source = self._fetched(content_hash, folder)
            path = folder / _file_name(name)
            if source.is_relative_to(folder):
                source.rename(path)
            else:
                with self._reached():
                    shutil.copyfile(source, path)
            yield path

    def archive(self, path: Path) -> str:
        """
        Keep a file, and return the SHA-1 of the bytes that were kept. A file that already exists is not written.

        Raises:
            ArchiveUnreachableError: the archive cannot be written to.
            OSError: the file cannot be read, or the disk is full; the archive is as before.
        """
        if self.options.kind == "file":
            return self._keep(path)
        with _folder(None) as folder:
            # It may change while it is sent: the name is that of the bytes that are kept.
            copy = folder / _NAME
            with open(copy, "wb") as target:
                content_hash = _copy(path, target)
            with self._reached():
                self._servicelayer.archive_file(copy, content_hash=content_hash)
        return content_hash

    def reach(self) -> None:
        """
        Find out whether the archive can be asked, and a folder written to; one that is not there yet is no problem.

        Raises:
            ArchiveUnreachableError: it cannot.
        """
        if self.options.kind != "file":
            with suppress(MissingBlobError), self.open("0" * 40):
                pass
            return
        path = (self.options.path or Path()).absolute()
        there = next((place for place in (path, *path.parents) if place.exists()), path)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise ArchiveUnreachableError(self.options.where, f"{there}: no permission to write, or no folder")

    def remove(self, content_hashes: Collection[str]) -> None:
        """
        Take files out of the archive. One that is not there is no mistake.

        Raises:
            ArchiveUnreachableError: the archive cannot be written to. Some of the files may be gone.
        """
        if self.options.kind != "file":
            for content_hash in content_hashes:
                with self._reached():
                    self._servicelayer.delete_file(content_hash)
            return
        root = str(self._root())
        # A file and its folders are some four changes of folders, and each may wait for the disk, or for a file server:
        # several of these waits at once take as long as one.
        with ThreadPoolExecutor(_REMOVED_AT_ONCE, thread_name_prefix="archive") as threads, self._reached():
            for _ in threads.map(partial(_remove, root), content_hashes):
                pass

    def _keep(self, path: Path) -> str:
        # servicelayer writes in place: a full disk leaves half a file under the hash of the whole one, and a reader
        # meets a file that another worker is still writing. So: written aside, then renamed.
        content = _small(path)
        content_hash, size = _checksum(path) if content is None else (_digest(content), len(content))
        if self._has(content_hash, size):
            return content_hash
        root = self._root(make=True)
        with self._incoming(root) as incoming:
            with open(incoming, "wb") as target:
                if content is not None:
                    target.write(content)
                else:
                    # It may have changed since it was looked at: the name is that of the bytes that were kept.
                    content_hash = _copy(path, target)
            with self._reached():
                os.replace(incoming, os.path.join(_made(root, content_hash), _NAME))
        return content_hash

    @contextmanager
    def _incoming(self, root: Path) -> Generator[Path]:
        # Not mkstemp, which makes files that only their owner reads: the archive is shared between services.
        folder = root / _INCOMING
        with self._reached():
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
        path = folder / uuid4().hex
        try:
            yield path
        except BaseException:  # else it was moved to its place
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def _has(self, content_hash: str, size: int) -> bool:
        # A file of another size is what a machine that lost power left behind: it is written again.
        root = self.options.path
        if root is None:
            return False
        folder = os.path.join(root, *_prefix(content_hash))
        with self._reached():
            # By our own name first: listing a folder takes several times as long as looking at a file.
            with suppress(FileNotFoundError):
                if os.stat(os.path.join(folder, _NAME)).st_size == size:
                    return True
            if not os.path.isdir(folder):
                return False
            with os.scandir(folder) as files:
                return any(file.stat().st_size == size for file in files)

    def _fetched(self, content_hash: str, folder: Path | None) -> Path:
        if self.options.kind == "file":
            kept = self._root().joinpath(*_prefix(content_hash), _NAME)
            # Under our own name first: servicelayer, which knows others too, takes several times as long.
            with self._reached():
                if kept.is_file():
                    return kept
        with self._reached():
            path = cast(
                "str | Path | None", self._servicelayer.load_file(content_hash, file_name=_NAME, temp_path=folder)
            )
        if path is None:
            raise MissingBlobError(content_hash)
        return Path(path)

    def _root(self, *, make: bool = False) -> Path:
        # servicelayer takes a root that is not there (a share that is not mounted) for an empty archive.
        root = self.options.path
        if root is None:
            raise ArchiveUnreachableError("of files", "no folder is set")
        try:
            # Mostly it is there, and looking, once, is quicker than making.
            there = root.is_dir()
            if make and not there:
                root.mkdir(parents=True, exist_ok=True)
                there = root.is_dir()
        except OSError as error:
            raise ArchiveUnreachableError(self.options.where, error.strerror or str(error)) from error
        if not there:
            raise ArchiveUnreachableError(self.options.where, "there is no such folder")
        return root

    @cached_property
    def _servicelayer(self) -> Any:
        # Imported here, and told everything: its settings are read from the environment at import.
        from servicelayer.archive import init_archive

        options = self.options
        if missing := options.missing:
            raise ArchiveUnreachableError(options.where, f"{missing} is not set", f"export {missing}=...")
        with self._reached():
            return init_archive(
                archive_type=options.kind,
                path=str(options.path) if options.path else None,
                bucket=options.bucket,
                publication_bucket=options.publication_bucket or options.bucket,
                uri=options.uri,
            )

    @contextmanager
    def _reached(self) -> Generator[None]:
        try:
            yield
        except OaflowError:
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise
            raise ArchiveUnreachableError(self.options.where, error.strerror or str(error)) from error
        except ModuleNotFoundError as error:
            clients = {"s3": "oaflow[s3]", "gs": "openaleph-servicelayer[google]"}
            client = clients.get(self.options.kind, "openaleph-servicelayer[anystore]")
            raise ArchiveUnreachableError(
                self.options.where, f"{error.name} is not installed", f"pip install '{client}'"
            ) from error
        except Exception as error:
            # Each kind of archive has a client library of its own, and each of these its own exceptions.
            help = "look at ARCHIVE_* and AWS_*" if self.options.kind == "s3" else "look at ARCHIVE_*"
            raise ArchiveUnreachableError(self.options.where, self.options.told(error), help) from error


@contextmanager
def _folder(temp: Path | None) -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="file-", dir=temp, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _prefix(content_hash: str) -> tuple[str, str, str, str]:
    return content_hash[:2], content_hash[2:4], content_hash[4:6], content_hash


def _made(root: Path, content_hash: str) -> str:
    """
    The folder of a file, which is made where it is not there.
    """
    # From the top: mostly all but the first are new, and one that is asked for before its parent is a call in vain.
    folder = str(root)
    for name in _prefix(content_hash):
        folder = os.path.join(folder, name)
        with suppress(FileExistsError):
            os.mkdir(folder)
    return folder


def _remove(root: str, content_hash: str) -> None:
    """
    Take a file out of an archive, and the folders that lead there with the last that is in them.
    """
    folders = [root]
    for name in _prefix(content_hash):
        folders.append(os.path.join(folders[-1], name))
    folder = folders[-1]
    # By our own name first: listing a folder takes three calls more.
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, _NAME))
    if not _empty(folder):
        for name in os.listdir(folder):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
    # From the file upwards, until others lie there, too. What was interrupted may have left the upper ones only.
    for place in reversed(folders[1:]):
        if not _empty(place):
            break


def _empty(folder: str) -> bool:
    """
    Take a folder away where nothing is in it; whether it is gone.
    """
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _small(path: Path) -> bytes | None:
    """
    The bytes of a small file; None where it is larger.
    """
    # The memory for a block of a large one costs more than a small file, and so does a buffer; also below.
    with open(path, "rb", buffering=0) as handle:
        content = b""
        while block := handle.read(_SMALL + 1 - len(content)):
            content += block
    return content if len(content) <= _SMALL else None


def _copy(path: Path, target: BinaryIO) -> str:
    """
    Copy the bytes of a file, and return their SHA-1.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    with open(path, "rb", buffering=0) as source:
        while block := source.read(_BLOCK):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _checksum(path: Path) -> tuple[str, int]:
    """
    The SHA-1 of the bytes of a file, and how many these are.
    """
    digest, size = hashlib.sha1(usedforsecurity=False), 0
    with open(path, "rb", buffering=0) as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _file_name(name: str | None) -> str:
    """
    A name that every Linux file system takes: no folders, no NUL, at most 255 bytes, the extension kept.
    """
    cleaned = (name or "").replace("\0", "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    if cleaned in ("", ".", ".."):
        return _NAME
    stem, dot, extension = cleaned.rpartition(".")
    if not stem:
        stem, dot, extension = cleaned, "", ""
    tail = (dot + extension).encode(errors="replace")[:32]
    head = stem.encode(errors="replace")[: 200 - len(tail)]
    return (head + tail).decode(errors="ignore")
