"""
The folders and files of the private server. Creates none of them.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PORT = 5432

# In a data folder, as long as a restore has not made the whole of it.
UNFINISHED = "restore.unfinished"

# sun_path is 108 bytes on Linux and 104 on macOS, with its closing NUL; the shorter holds for both.
_LONGEST_SOCKET = 103

# To libpq a comma parts two hosts, and an address is text, which a name in Latin-1 is not.
_PLAIN = re.compile(r"[\w/.@+=~ -]+")


@dataclass(frozen=True)
class Layout:
    """
    What the private server keeps below `OAFLOW_HOME/postgres`, and nowhere else.

    `data` and `run` belong to the account that the server runs as, the rest to the user of oaflow.
    """

    root: Path

    @property
    def data(self) -> Path:
        """
        The data directory of PostgreSQL itself.
        """
        return self.root / "data"

    @property
    def upgrade(self) -> Path:
        """
        Where data are brought to a newer PostgreSQL: the folder of a second server, for that time.
        """
        return self.root / "upgrade"

    @property
    def upgraded(self) -> Path:
        """
        Says that all of the data are there, and have only to take their place.
        """
        return self.upgrade / "whole"

    @property
    def run(self) -> Path:
        """
        What a running server writes: socket and log.
        """
        return self.root / "run"

    @property
    def log(self) -> Path:
        """
        The server's log.
        """
        return self.run / "server.log"

    @property
    def programs(self) -> Path:
        """
        A copy of the server's programs, where its account cannot reach the installed ones.
        """
        return self.root / "programs"

    @property
    def socket(self) -> Path:
        """
        The folder of the socket: `run`, or a short private one where that path cannot be a socket's.
        """
        path = self.run / f".s.PGSQL.{PORT}"
        if len(bytes(path)) <= _LONGEST_SOCKET and _PLAIN.fullmatch(str(path)):
            return self.run
        # Named by the path, so that every command finds it; who owns it is looked at before it is used.
        return Path("/tmp") / f"oaflow-{hashlib.sha256(bytes(self.root)).hexdigest()[:16]}"

    @property
    def uri(self) -> str:
        """
        How to reach the database on this server.
        """
        # With `options` and the encoding, so that PGOPTIONS and PGCLIENTENCODING, set for another server, stay out.
        place = quote(str(self.socket), safe="")
        return f"postgresql://oaflow@/oaflow?host={place}&port={PORT}&options=&client_encoding=UTF8"


def layout(home: Path) -> Layout:
    """
    The folders of the private server of a home.
    """
    return Layout(home.absolute() / "postgres")
