"""
A database as one file, and back: also one that an earlier PostgreSQL has made.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from oaflow.postgres import check, migrate
from oaflow.postgres.account import server_account
from oaflow.postgres.address import Address
from oaflow.postgres.cluster import MAJOR, Cluster
from oaflow.postgres.dumps import dump, load, renew
from oaflow.postgres.layout import layout
from oaflow.postgres.problems import ServerProblem
from oaflow.postgres.server import Server

# Where Debian puts the programs of each major version.
EARLIER = sorted(
    path
    for path in Path("/usr/lib/postgresql").glob("*/bin")
    if path.parent.name.isdigit() and int(path.parent.name) < int(MAJOR)
)

PLAN = "INSERT INTO oaflow.plans (digest, format, pipeline, definition) VALUES ('d', 1, 'p', '{}')"


@pytest.fixture
def earlier(shared_folder: Path) -> Iterator[str]:
    """
    A server of an earlier PostgreSQL, with a migrated database and one plan in it.
    """
    account = server_account(shared_folder)
    folder = shared_folder / "earlier"
    folder.mkdir(mode=0o755)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(EARLIER[-1] / program), *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL, **account.becoming
        )

    if account.foreign:
        os.chown(folder, account.uid, account.gid)
    run("initdb", "-D", str(data), "-U", "oaflow", "--auth=trust", "-E", "UTF8", "--no-locale")
    run(
        "pg_ctl",
        "start",
        "-D",
        str(data),
        "-w",
        "-l",
        str(folder / "log"),
        "-o",
        f"-k {folder} -c listen_addresses= -c fsync=off",
    )
    try:
        address = f"postgresql://oaflow@/postgres?host={folder}"
        migrate(address, own=True)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(PLAN)
        yield address
    finally:
        run("pg_ctl", "stop", "-D", str(data), "-m", "immediate")


@pytest.mark.skipif(not EARLIER, reason="no earlier PostgreSQL is installed here")
def test_what_an_earlier_postgresql_has_kept_is_at_home_in_the_present_one(earlier: str, home: Path) -> None:
    with psycopg.connect(earlier) as connection:
        assert connection.info.server_version // 10000 < int(MAJOR)
    dump(Address(earlier, None, False), home / "file")

    with Server(home) as server:
        renew(server.address)
        load(server.address, home / "file")
        migrate(server.address, own=True)
        check(server.address)
        with psycopg.connect(server.address.uri) as connection:
            assert connection.execute("SELECT digest FROM oaflow.plans").fetchall() == [("d",)]
        # All or nothing: there is a database already.
        with pytest.raises(ServerProblem, match="already exists"):
            load(server.address, home / "file")


def test_who_has_data_of_another_version_is_told_the_way(home: Path) -> None:
    layout(home).data.mkdir(parents=True)
    (layout(home).data / "PG_VERSION").write_text("17\n")

    with pytest.raises(ServerProblem, match=f"made by PostgreSQL 17, and this oaflow brings {MAJOR}") as raised:
        Cluster(layout(home)).prepare()

    assert raised.value.help is not None
    assert "oaflow backup FILE; then" in raised.value.help
