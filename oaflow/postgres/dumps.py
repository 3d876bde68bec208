"""
The private server's database as one file, and back: by `pg_dump` and `pg_restore` of that very server.
"""

import os
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from oaflow.postgres.account import SystemAccount, own_name
from oaflow.postgres.address import Address, named
from oaflow.postgres.problems import ServerProblem
from oaflow.postgres.programs import Programs, installed, programs_in

# Short time before small files: most of what is large in a backup are documents, which are not compressed at all.
_COMPRESSION = "--compress=gzip:1"

# The database that each server has from the beginning.
MAINTENANCE = "postgres"


def databases(address: Address) -> list[str]:
    """
    The databases of a server, in order, those left out that others are made of.
    """
    query = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
    maintenance = make_conninfo(named(address.uri, "oaflow db upgrade"), dbname=MAINTENANCE)
    with psycopg.connect(maintenance, connect_timeout=10) as connection:
        return [name for (name,) in connection.execute(query)]


def dump(address: Address, target: Path) -> None:
    """
    Writes all that is in a database at one moment to a file. Others go on meanwhile.

    Raises:
        ServerProblem: it cannot be read, or the file not be written.
    """
    _run("pg_dump", "--format=custom", _COMPRESSION, f"--file={target.absolute()}", f"--dbname={address.uri}")


def renew(address: Address) -> None:
    """
    Makes the database anew, empty.
    """
    name = sql.Identifier(address.database)
    maintenance = make_conninfo(named(address.uri, "oaflow restore"), dbname=MAINTENANCE)
    with psycopg.connect(maintenance, autocommit=True, connect_timeout=10) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def load(address: Address, source: Path) -> None:
    """
    Fills an empty database from such a file: with all of it, or with nothing.

    Raises:
        ServerProblem: the file is damaged, or the database not empty.
    """
    _run(
        *("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner"),
        *(f"--dbname={address.uri}", str(source.absolute())),
    )


def _run(name: str, *arguments: str) -> None:
    # As who types the command, whom the server lets in and who reads and writes the file; the server need not.
    me = SystemAccount(os.geteuid(), os.getegid(), own_name(), foreign=False)
    done = Programs(programs_in(installed()), me).run(name, arguments)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        grave = [line for line in lines if "error:" in line] or lines or ["it gave no reason"]
        raise ServerProblem(grave[0], help="oaflow doctor")
