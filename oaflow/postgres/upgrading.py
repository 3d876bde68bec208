"""
The private server's data brought to the PostgreSQL that this oaflow has: read by the server that made them, written
into a new directory beside them. They stay until that is whole, and under another name after it.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from oaflow.errors import NoRoomError, UsageError
from oaflow.postgres import locks
from oaflow.postgres.account import server_account
from oaflow.postgres.address import Address
from oaflow.postgres.cluster import MAJOR, Cluster
from oaflow.postgres.dumps import MAINTENANCE, databases, dump, load, renew
from oaflow.postgres.layout import Layout, layout
from oaflow.postgres.problems import USE_YOUR_OWN, ServerProblem
from oaflow.postgres.programs import Programs

# Where Debian and those that come of it have the programs of each PostgreSQL.
_DEBIAN = "/usr/lib/postgresql/{}/bin"

_DUMPS = "dumps"


class NothingToUpgradeError(UsageError):
    """
    There are no data, or they are of the PostgreSQL that this oaflow has.
    """


class NoOldProgramsError(UsageError):
    """
    Nobody has said where the programs are that can read the old data.
    """

    def __init__(self, found: str, looked: str) -> None:
        self.found = found
        super().__init__(
            f"the data are of PostgreSQL {found}, but its programs are not in {looked}",
            help=f"oaflow db upgrade --programs FOLDER   # where postgres and pg_ctl of PostgreSQL {found} are",
        )


@dataclass(frozen=True, slots=True)
class Upgraded:
    """
    Data that were brought to another PostgreSQL; the old ones are in `kept`, `size` bytes.
    """

    before: str
    now: str
    kept: Path
    size: int


def upgrade(home: Path, programs: Path | None) -> Upgraded:
    """
    Brings the data of a home to the PostgreSQL of this oaflow. What was interrupted is finished, or begun anew.

    Args:
        programs: where those of the PostgreSQL that made the data are; None: where Debian has them.

    Raises:
        UsageError: there is nothing to do, the programs are missing, or somebody is using the server.
        ServerProblem: a server did not start, or the data could not be moved; the old ones are as they were.
    """
    old, new = layout(home), Layout(layout(home).upgrade)
    if not old.root.is_dir():
        raise NothingToUpgradeError(f"there are no data in {old.root}", help="oaflow run PIPELINE -d DATASET")
    with locks.gate(old.root):
        if not locks.unused(old.root):
            raise UsageError(
                f"the server of {home} is being used", help="stop the workers and commands that use it: oaflow doctor"
            )
        if not old.data.exists() and old.upgraded.exists():
            before = old.upgraded.read_text()  # all was there, and only its name was not
            kept = old.root / f"data.{before}"
        else:
            before = _version(old)
            _refuse_newer(before)
            kept = old.root / f"data.{before}"
            if kept.exists():
                raise UsageError(
                    f"{kept} already exists, from an earlier upgrade", help=f"mv {shlex.quote(str(kept))} SOMEWHERE"
                )
            _move(old, new, before, programs)
            old.data.rename(kept)
        _take_place(new, old)
        shutil.rmtree(new.root, ignore_errors=True)
        return Upgraded(before, MAJOR, kept, _size(kept))


def _take_place(new: Layout, old: Layout) -> None:
    new.data.rename(old.data)


def _version(old: Layout) -> str:
    try:
        return (old.data / "PG_VERSION").read_text().strip()
    except OSError:
        raise NothingToUpgradeError(f"there are no data in {old.root}", help="oaflow run PIPELINE -d DATASET") from None


def _refuse_newer(found: str) -> None:
    if found == MAJOR:
        raise NothingToUpgradeError(f"the data are already of PostgreSQL {MAJOR}: there is nothing to do")
    if not found.isdigit() or int(found) > int(MAJOR):
        raise ServerProblem(
            f"the data are of PostgreSQL {found}, but this oaflow brings {MAJOR}", help="install a later oaflow"
        )


def _move(old: Layout, new: Layout, before: str, programs: Path | None) -> None:
    """
    Makes a new data directory with all that is in the old one.
    """
    folder = _programs_of(before, old, programs)
    target = Cluster(new)
    if new.root.exists():  # of an upgrade that was killed: it takes room, too
        old.upgraded.unlink(missing_ok=True)
        target.stop()
        shutil.rmtree(new.root)
    if shutil.disk_usage(old.root).free < 2 * _size(old.data):
        raise NoRoomError(f"a second copy of {old.data}", "it needs the same space again, and some more while it runs")
    try:
        _copy(Cluster(old, programs=folder), target)
    except BaseException:
        # Who goes on with the old PostgreSQL needs the room. The log of the new server stays: the error may name it.
        shutil.rmtree(new.data, ignore_errors=True)
        shutil.rmtree(new.root / _DUMPS, ignore_errors=True)
        raise
    old.upgraded.write_text(before)


def _copy(source: Cluster, target: Cluster) -> None:
    """
    Has all databases of one server in another, which is made for it: also those that others made there. Both are
    stopped afterwards.
    """
    root = target.layout.root
    root.mkdir(mode=0o711)
    root.chmod(0o711)  # whatever the umask: the account of the server has to pass
    dumps = root / _DUMPS
    dumps.mkdir(mode=0o700)
    try:
        source.prepare()
        source.start()
        names = databases(Address(source.layout.uri, None, True))
        for number, name in enumerate(names):
            dump(_named(source, name), dumps / str(number))
    finally:
        source.stop()
    try:
        target.prepare()
        target.start()
        for number, name in enumerate(names):
            address = _named(target, name)
            if name != MAINTENANCE:  # that one is there, and empty
                renew(address)
            try:
                load(address, dumps / str(number))
            except ServerProblem as problem:
                raise ServerProblem(f"database {name!r}: {problem}", help=problem.help or USE_YOUR_OWN) from None
    finally:
        target.stop()
    shutil.rmtree(dumps)


def _named(cluster: Cluster, name: str) -> Address:
    return Address(make_conninfo(cluster.layout.uri, dbname=name), None, True)


def _programs_of(found: str, old: Layout, programs: Path | None) -> Path:
    places = [programs] if programs is not None else [Path(_DEBIAN.format(found))]
    for place in [place.absolute() for place in places]:
        if (place / "postgres").exists() and (place / "pg_ctl").exists():
            said = Programs(place, server_account(old.data)).run("postgres", ["--version"]).stdout
            if re.search(rf"\b{found}(\.|\b)", said):
                return place
            raise UsageError(
                f"in {place} is {said.strip() or 'no PostgreSQL that can run'}, but the data are of {found}",
                help="oaflow db upgrade --programs FOLDER",
            )
    raise NoOldProgramsError(found, " or ".join(map(str, places)))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
