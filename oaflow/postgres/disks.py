"""
Refuses disks that a database must not be on, or that have no room for one.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import psutil

from oaflow.postgres.problems import ServerProblem

# Locks, sockets and fsync do not hold their promises there.
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "webdav", "9p", "afs", "fuse.sshfs", "fuse.glusterfs"}
)

# Of PostgreSQL's log, in bytes.
_SEGMENT = 16 * 2**20


def refuse_network_disk(path: Path) -> None:
    """
    Raises:
        ServerProblem: the path is on a network file system.
    """
    kind = file_system(path, ((part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)))
    if kind in _NETWORK:
        raise ServerProblem(f"{path} is on a network file system ({kind}), where a database is not safe")


def has_room(path: Path) -> bool:
    """
    Whether a server could start there: it wants room for a segment of its log.
    """
    return shutil.disk_usage(path).free >= _SEGMENT


def file_system(path: Path, mounts: Iterable[tuple[str, str]]) -> str | None:
    """
    The kind of file system that a path is on: that of the deepest mount above it, the last where two are equal.
    """
    place = path.resolve()
    best: tuple[int, str] | None = None
    for point, kind in mounts:
        mount = Path(point)
        if place.is_relative_to(mount) and (best is None or len(mount.parts) >= best[0]):
            best = (len(mount.parts), kind)
    return best[1] if best else None
