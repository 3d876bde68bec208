"""
The errors about a database, each with the facts of its case. All of them end a command with exit code 3.

    EnvironmentProblem
    |- ServerProblem           the private server cannot be made, started or stopped
    |  `- HalfRestored
    `- DatabaseProblem         a database that answers wrongly, or not at all
       |- Unreachable
       |- WrongPassword
       |- NoSuchDatabase
       |- PostgresTooOld
       |- ProcrastinateTooOld
       |- NotMigrated
       |- SchemaOlder
       |- SchemaNewer
       |- MigrationChanged
       `- NotAllowed
"""

from pathlib import Path
from typing import TYPE_CHECKING

from oaflow.errors import EnvironmentProblem

if TYPE_CHECKING:
    from oaflow.postgres.address import Address

USE_YOUR_OWN = "set OAFLOW_DB_URI=postgresql://USER:PASSWORD@HOST/DATABASE to use a server of your own"


class ServerProblem(EnvironmentProblem):
    """
    The private server cannot be made, started or stopped.
    """

    def __init__(self, message: str, *, help: str = USE_YOUR_OWN) -> None:
        super().__init__(message, help=help)


class HalfRestored(ServerProblem):
    """
    A restore into the data folder goes on, or was interrupted. What is done there would be lost with its repetition.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"the data folder {str(home)!r} is incomplete: a restore into it was interrupted",
            help="oaflow restore FILE   # again, to finish it",
        )


class DatabaseProblem(EnvironmentProblem):
    """
    A database that answers wrongly, or not at all.

    Attributes:
        address: which database, and who named it.
    """

    def __init__(self, address: "Address", what: str, *, help: str) -> None:
        self.address = address
        super().__init__(f"{address}: {what}", help=help)


class Unreachable(DatabaseProblem):
    """
    Nothing answers there.
    """

    def __init__(self, address: "Address", reason: str) -> None:
        self.reason = reason
        super().__init__(address, f"no answer ({reason})", help=f"check that it runs, and check {address.origin}")


class WrongPassword(DatabaseProblem):
    """
    It answers, and does not let this user in.
    """

    def __init__(self, address: "Address", user: str, reason: str) -> None:
        self.user, self.reason = user, reason
        super().__init__(
            address,
            f"it rejects the user {user!r} ({reason})",
            help=f"correct user or password in {address.origin}",
        )


class NoSuchDatabase(DatabaseProblem):
    """
    The server is there, the database is not.
    """

    def __init__(self, address: "Address") -> None:
        super().__init__(
            address, "the server has no such database", help=f"{address.createdb}, or correct {address.origin}"
        )


class PostgresTooOld(DatabaseProblem):
    """
    A server of a version that lacks what oaflow's statements need.
    """

    def __init__(self, address: "Address", version: str, needed: str) -> None:
        self.version, self.needed = version, needed
        super().__init__(
            address, f"PostgreSQL {version} is too old: oaflow needs {needed} or newer", help="upgrade that server"
        )


class ProcrastinateTooOld(DatabaseProblem):
    """
    procrastinate's schema is of a release that this program cannot work with.
    """

    def __init__(self, address: "Address", missing: tuple[str, ...]) -> None:
        self.missing = missing
        super().__init__(
            address,
            f"procrastinate's schema is too old: it lacks {', '.join(missing)}",
            help="apply procrastinate's migrations up to 3.4 (see its documentation), then: oaflow db migrate",
        )


class NotMigrated(DatabaseProblem):
    """
    A database without oaflow's schema.
    """

    def __init__(self, address: "Address") -> None:
        super().__init__(
            address, "it does not have oaflow's schema yet", help="oaflow db migrate (--dry-run shows what it would do)"
        )


class SchemaOlder(DatabaseProblem):
    """
    oaflow's schema there is older than this program.
    """

    def __init__(self, address: "Address", pending: tuple[str, ...]) -> None:
        self.pending = pending
        super().__init__(
            address,
            f"oaflow's schema is older than this program: it lacks {', '.join(pending)}",
            help="oaflow db migrate (--dry-run shows what it would do)",
        )


class SchemaNewer(DatabaseProblem):
    """
    oaflow's schema there was made by a newer program than this.
    """

    def __init__(self, address: "Address", unknown: tuple[str, ...]) -> None:
        self.unknown = unknown
        super().__init__(
            address,
            f"oaflow's schema is newer than this program, which does not know {', '.join(unknown)}",
            help="upgrade oaflow here",
        )


class MigrationChanged(DatabaseProblem):
    """
    A migration was applied there with another content than this program has under its name.
    """

    def __init__(self, address: "Address", changed: tuple[str, ...]) -> None:
        self.changed = changed
        super().__init__(
            address,
            f"it was migrated by another build of oaflow, whose {', '.join(changed)} differs",
            help="use the program that made it, or a new database",
        )


class InUse(DatabaseProblem):
    """
    Somebody holds what a migration changes.
    """

    def __init__(self, address: "Address", step: str) -> None:
        self.step = step
        super().__init__(
            address,
            f"the tables that migration {step} changes were in use all the time",
            help="SELECT pid, query FROM pg_stat_activity WHERE state = 'idle in transaction' shows who may hold them",
        )


class NotAllowed(DatabaseProblem):
    """
    The user may not make the schema.
    """

    def __init__(self, address: "Address", reason: str) -> None:
        self.reason = reason
        super().__init__(
            address,
            f"the user {address.user!r} may not create oaflow's schema ({reason})",
            help=f"run oaflow db migrate as the owner of database {address.database!r}",
        )
