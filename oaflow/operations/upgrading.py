"""
`oaflow db upgrade`: the embedded database on the PostgreSQL that this oaflow brings.
"""

from pathlib import Path

from oaflow.errors import UsageError
from oaflow.postgres import open_database
from oaflow.postgres.upgrading import Upgraded, upgrade
from oaflow.settings import Settings


def db_upgrade(settings: Settings, programs: Path | None) -> Upgraded:
    """
    Brings the embedded database to the PostgreSQL of this program, and looks whether it works there.

    Args:
        programs: where those of the PostgreSQL that made the data are; None: where Debian has them.

    Raises:
        UsageError: there is nothing to do, the server is not oaflow's or is being used, or the programs are missing.
        EnvironmentProblem: it could not be done; the old data are as they were.
    """
    if settings.db_uri is not None:
        raise UsageError(
            f"the database is on a server of its own ({settings.db_source or 'OAFLOW_DB_URI'}):"
            " upgrade PostgreSQL there, with its other databases"
        )
    done = upgrade(settings.home, programs)
    with open_database(settings):
        return done
