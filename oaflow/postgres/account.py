"""
Who the server runs as. Postgres refuses to be root, so for root it is `nobody`, or whoever owns the data already.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oaflow.postgres.problems import ServerProblem


@dataclass(frozen=True)
class SystemAccount:
    """
    An account of the system.

    Attributes:
        foreign: whether it is another than that of this process.
    """

    uid: int
    gid: int
    name: str
    foreign: bool

    @property
    def becoming(self) -> dict[str, Any]:
        """
        What `subprocess` needs to start a child under it.
        """
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.foreign else {}


def own_name() -> str:
    """
    The name of the user of this process, as the server will know it.

    Raises:
        ServerProblem: the system has no name for it.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ServerProblem(
            f"the user id {os.geteuid()} has no name on this system (no line in /etc/passwd), and PostgreSQL needs one"
        ) from None


def server_account(data: Path) -> SystemAccount:
    """
    The account that the server on this data directory runs as.

    Raises:
        ServerProblem: there is none that could.
    """
    name = own_name()
    if os.geteuid() != 0:
        return SystemAccount(os.geteuid(), os.getegid(), name, False)
    try:
        entry = pwd.getpwuid(data.stat().st_uid)
    except (OSError, KeyError):
        entry = None
    if entry is None or entry.pw_uid == 0:
        try:
            entry = pwd.getpwnam("nobody")
        except KeyError:
            raise ServerProblem(
                "PostgreSQL refuses to run as root, and this system has no account 'nobody' to run it"
            ) from None
    return SystemAccount(entry.pw_uid, entry.pw_gid, entry.pw_name, True)
