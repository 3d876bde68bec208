"""
`backup` and `restore`: write the data folder to one file, and restore an empty data folder from it.

A backup is a tar file: its metadata (`backup.json`), the database as of one moment, and then the files. The order
matters: a file is in the archive before anything in the database refers to it, so all files of that moment are
    included;
files that came later are superfluous and harmless.
"""

import hashlib
import io
import json
import os
import shlex
import tarfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

from oaflow import __version__
from oaflow.errors import EnvironmentProblem, NoRoomError, UsageError, says_full
from oaflow.ledger.workers import set_down
from oaflow.operations.databases import Database
from oaflow.postgres import Server, migrate, open_database
from oaflow.postgres.dumps import dump, load, renew
from oaflow.postgres.layout import UNFINISHED
from oaflow.postgres.problems import ServerProblem
from oaflow.printed import operating as printed
from oaflow.settings import Settings, or_environment

FORMAT = 1

_FACTS, _DATABASE, _END = "backup.json", "database.dump", "end"

# What else below OAFLOW_HOME is backed up besides database and archive: reports and logs, for example.
_BESIDE = ("crawls", "reports", "logs")

# Settings that locate something: on another machine, or in another folder, they would be wrong.
_PLACES = frozenset({"home", "db_uri", "pool_uri", "entities_uri", "archive_path", "archive_uri"})

# Settings that are never written to a file.
_SECRETS = frozenset({"webhook_secret"})

# A file in the data folder with the time of its last backup, in seconds since 1970. It is not in the backup.
LAST = "backup.last"

_BLOCK = 2**20


class NotEmbeddedError(UsageError):
    """
    The database is on a server that oaflow does not own, so it cannot be copied.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(
            f"the database is on a server of its own ({source}): back it up there, and the archive too",
            help="pg_dump --format=custom --file=FILE DATABASE",
        )


class TargetExistsError(UsageError):
    """
    There is already something where a backup should be written.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        super().__init__(f"{str(target)!r} already exists, and is not overwritten", help="oaflow backup NEW.tar")


class NotEmptyError(UsageError):
    """
    The data folder that should be restored is not empty.
    """

    def __init__(self, home: Path, found: str, backup: Path) -> None:
        self.home, self.found = home, found
        super().__init__(
            f"the data folder {str(home)!r} is not empty (it has {found!r}), and is not overwritten",
            help=f"OAFLOW_HOME=NEW_FOLDER oaflow restore {shlex.quote(str(backup))}",
        )


class DamagedBackupError(EnvironmentProblem):
    """
    A file is not a backup, or is incomplete.
    """

    def __init__(self, backup: Path, reason: str) -> None:
        self.backup, self.reason = backup, reason
        super().__init__(f"{str(backup)!r} cannot be restored: {reason}")


@dataclass(frozen=True, slots=True)
class Facts:
    """
    The metadata of a backup.

    Attributes:
        taken: seconds since 1970.
        settings: the settings at that time, except addresses.
        archive: whether it contains the files of the archive; not if they are in a bucket.
    """

    format: int
    oaflow: str
    taken: float
    settings: dict[str, Any]
    archive: bool


@dataclass(frozen=True, slots=True)
class Backup:
    """
    A backup that was written, or restored.

    Attributes:
        database: size of the database in the file, in bytes.
        files: how many other files there are; `size` is their size in bytes.
        absent: what the backup does not contain, in sentences.
        came_back: jobs that were running when the backup was made, and wait again after `restore`; 0 after `backup`.
    """

    file: Path
    facts: Facts
    database: int
    files: int
    size: int
    absent: tuple[str, ...] = ()
    came_back: int = 0

    def as_json(self) -> printed.Backup:
        """
        The public form.
        """
        return {
            "file": str(self.file),
            "facts": {
                "format": self.facts.format,
                "oaflow": self.facts.oaflow,
                "taken": self.facts.taken,
                "settings": dict(self.facts.settings),
                "archive": self.facts.archive,
            },
            "database": self.database,
            "files": self.files,
            "size": self.size,
            "absent": list(self.absent),
            "came_back": self.came_back,
        }


def backup(target: str | os.PathLike[str], *, settings: Settings | None = None) -> Backup:
    """
    Writes the database, the archive of files and the reports of the data folder to one file. Runs may go on meanwhile.
    It backs up the private server only, not a database that `OAFLOW_DB_URI` names.

    Args:
        target: a new file, or a folder, in which a file is made that has the time in its name.

    Raises:
        UsageError: the file exists already, or the data are not in the data folder.
        EnvironmentProblem: it cannot be written.
    """
    known, target = or_environment(settings), Path(target)
    if known.db_uri is not None:
        raise NotEmbeddedError(known.db_source or "OAFLOW_DB_URI")
    taken = time.time()
    if target.is_dir():
        target /= time.strftime("oaflow-%Y%m%d-%H%M%S.tar", time.gmtime(taken))
    if os.path.lexists(target):
        raise TargetExistsError(target)
    archived = known.archive_type == "file"
    facts = Facts(FORMAT, __version__, taken, _settings_of(known), archived)
    with open_database(known) as address, _written(target) as (tar, dumped):
        _add_text(tar, _FACTS, json.dumps(asdict(facts), indent=1) + "\n", taken)
        dump(address, dumped)
        tar.add(dumped, _DATABASE, recursive=False)
        size = dumped.stat().st_size
        dumped.unlink()
        files = [_add(tar, path, name) for path, name in _files(known, archived)]
        _add_text(tar, _END, "", taken)
    with suppress(OSError):  # the backup is complete, even if its time cannot be recorded
        (known.home / LAST).write_text(f"{taken:.0f}\n")
    return Backup(
        target, facts, size, sum(one is not None for one in files), sum(one or 0 for one in files), _absent(known)
    )


def last_backup(home: Path) -> float | None:
    """
    When the last backup of a data folder was taken, in seconds since 1970; None if there was none.
    """
    try:
        return float((home / LAST).read_text())
    except (OSError, ValueError):
        return None


def restore(source: str | os.PathLike[str], *, settings: Settings | None = None) -> Backup:
    """
    Restores an empty data folder from a backup. Jobs that were running at the time of the backup wait again; no run is
    started.

    Args:
        source: a file that `backup` wrote.

    Raises:
        UsageError: the data folder is not empty, or there is no such file.
        EnvironmentProblem: the backup is damaged, or was made by a newer oaflow.
    """
    known, source = or_environment(settings), Path(source)
    if known.db_uri is not None:
        raise NotEmbeddedError(known.db_source or "OAFLOW_DB_URI")
    try:
        with source.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as tar:
            return _restored(known, source, tar)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {str(source)!r}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{str(source)!r} is a folder, not a backup", help="oaflow restore FILE") from error
    except tarfile.TarError as error:
        raise DamagedBackupError(source, f"it is not a complete tar file ({error})") from error
    except OSError as error:
        if says_full(error):
            raise NoRoomError(f"what is restored into {known.home}", str(error.strerror)) from error
        place = error.filename or source
        raise EnvironmentProblem(f"{str(source)!r} cannot be restored: {place}: {error.strerror or error}") from error


def _restored(settings: Settings, source: Path, tar: tarfile.TarFile) -> Backup:
    home = settings.home.absolute()
    members = iter(tar)
    facts = _facts(source, tar, next(members, None))
    _refuse_filled(settings, source)
    with Server(home) as server:  # makes the folders, with the permissions that the server needs
        unfinished = home / UNFINISHED
        unfinished.touch()
        number = size = 0
        dumped = home / _DATABASE
        found: tarfile.TarInfo | None = None
        for found in members:
            if found.name == _DATABASE:
                _extract(source, tar, found, dumped)
            elif found.name != _END:
                _extract(source, tar, found, _place(settings, source, found.name))
                number, size = number + 1, size + found.size
        if found is None or found.name != _END:
            raise DamagedBackupError(source, "it ends too early")
        database = dumped.stat().st_size
        renew(server.address)
        try:
            load(server.address, dumped)
        except ServerProblem as error:
            raise DamagedBackupError(source, str(error)) from error
        dumped.unlink()
        migrate(server.address, own=True, events=settings.events)
        with Database(server.address, settings).connect() as made:
            came_back = set_down(made)
        unfinished.unlink()
    return Backup(source, facts, database, number, size, came_back=came_back)


def _settings_of(settings: Settings) -> dict[str, Any]:
    chosen = settings.model_dump(mode="json", exclude_unset=True)
    return {f"OAFLOW_{name.upper()}": value for name, value in chosen.items() if name not in _PLACES | _SECRETS}


def differing_settings(settings: Settings, then: dict[str, Any]) -> list[str]:
    """
    The settings that differ from those of a backup, as `NAME=VALUE` of that time.
    """
    now = _settings_of(settings)
    return [f"{name}={value}" for name, value in sorted(then.items()) if now.get(name) != value]


def _absent(settings: Settings) -> tuple[str, ...]:
    sentences: list[str] = []
    if settings.archive_type != "file":
        sentences.append(f"the files of the archive ({settings.archive_type}) are not in it")
    if settings.entities_uri is not None:
        sentences.append("the entities are in a database of their own, which is not in it")
    return tuple(sentences)


def _archive(settings: Settings) -> Path:
    return (settings.archive_path or settings.home / "archive").absolute()


def _files(settings: Settings, archived: bool) -> Iterator[tuple[Path, str]]:
    """
    All files besides the database, with their names in the backup.
    """
    folders = {"archive": _archive(settings)} if archived else {}
    folders |= {name: settings.home.absolute() / name for name in _BESIDE}
    for name, folder in folders.items():
        for place, below, files in os.walk(folder, onerror=_unread):
            # A name that starts with a dot marks an incomplete file.
            below[:] = sorted(one for one in below if not one.startswith("."))
            for file in sorted(files):
                path = Path(place, file)
                if name != "logs" or path.suffix == ".jsonl":  # the others belong to processes, and to this machine
                    yield path, f"{name}/{path.relative_to(folder)}"


@contextmanager
def _written(target: Path) -> Generator[tuple[tarfile.TarFile, Path]]:
    """
    A tar file that appears only when complete, and a path beside it for the database.
    """
    part, dumped = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.dump")
    try:
        # Readable only for its owner, because it contains all documents.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            dumped.touch(mode=0o600)
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield tar, dumped
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.lexists(target):
            raise TargetExistsError(target)
        part.rename(target)
    except OSError as error:
        if says_full(error):
            raise NoRoomError(f"the backup {target}", str(error.strerror)) from error
        raise EnvironmentProblem(f"{str(target)!r} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
        dumped.unlink(missing_ok=True)


def _add_text(tar: tarfile.TarFile, name: str, text: str, modified: float) -> None:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), int(modified), 0o600
    tar.addfile(member, io.BytesIO(data))


def _add(tar: tarfile.TarFile, path: Path, name: str) -> int | None:
    """
    Add a file at its current length; leave it out if it no longer exists.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        return _unread(error)
    with file:
        member = tar.gettarinfo(arcname=name, fileobj=file)
        if not member.isreg():
            return None
        tar.addfile(member, file)
        return member.size


def _unread(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # was deleted meanwhile, or never existed
        path = os.fsdecode(error.filename)
        raise EnvironmentProblem(
            f"no backup is made: {path!r} cannot be read: {error.strerror}", help=f"ls -ld {shlex.quote(path)}"
        ) from error


def _facts(source: Path, tar: tarfile.TarFile, first: tarfile.TarInfo | None) -> Facts:
    if first is None or first.name != _FACTS:
        raise DamagedBackupError(source, f"it does not begin with {_FACTS}, so oaflow backup did not write it")
    try:
        said = json.loads(cast(IO[bytes], tar.extractfile(first)).read())
        if said["format"] > FORMAT:
            raise DamagedBackupError(source, f"oaflow {said['oaflow']} wrote it, but this is {__version__}")
        return Facts(**said)
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedBackupError(source, f"{_FACTS} cannot be read") from error


def _refuse_filled(settings: Settings, source: Path) -> None:
    home, archive = settings.home.absolute(), _archive(settings)
    if (home / UNFINISHED).exists():  # a killed restore started with an empty folder: everything in it is its own
        return
    for folder in (home, archive):
        found = sorted(os.listdir(folder)) if folder.is_dir() else []
        if found:
            raise NotEmptyError(folder, found[0], source)


def _place(settings: Settings, source: Path, name: str) -> Path:
    """
    The target of a file in a backup, which is always inside the data folder.
    """
    first, *rest = name.split("/")
    if first not in ("archive", *_BESIDE) or not rest or any(part in ("", ".", "..") for part in rest):
        raise DamagedBackupError(source, f"it contains a file {name!r} that does not belong in a backup")
    folder = _archive(settings) if first == "archive" else settings.home.absolute() / first
    return folder.joinpath(*rest)


def _extract(source: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if not member.isreg():
        raise DamagedBackupError(source, f"{member.name!r} in it is not a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha1(usedforsecurity=False)
    with cast(IO[bytes], tar.extractfile(member)) as file, target.open("wb") as output:
        while block := file.read(_BLOCK):
            digest.update(block)
            output.write(block)
    # In the archive, the folder of a file is named after its content hash.
    if member.name.startswith("archive/") and target.parent.name != digest.hexdigest():
        raise DamagedBackupError(source, f"the content of {member.name!r} does not match the digest in its name")
