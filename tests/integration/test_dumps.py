"""
A database as one file, and back: also one that an earlier PostgreSQL has made.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from oaflow.errors import NoRoomError, UsageError
from oaflow.postgres import check, migrate, upgrading
from oaflow.postgres.account import server_account
from oaflow.postgres.address import Address
from oaflow.postgres.cluster import MAJOR, Cluster
from oaflow.postgres.dumps import dump, load, renew
from oaflow.postgres.layout import layout
from oaflow.postgres.problems import ServerProblem
from oaflow.postgres.programs import Programs
from oaflow.postgres.server import Server
from oaflow.postgres.upgrading import upgrade

# Where Debian puts the programs of each major version.
EARLIER = sorted(
    path
    for path in Path("/usr/lib/postgresql").glob("*/bin")
    if path.parent.name.isdigit() and int(path.parent.name) < int(MAJOR)
)

# A name that has to be quoted, in SQL and in an address.
OTHER = 'it\'s "öther" db'

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

    with pytest.raises(ServerProblem, match=f"made by PostgreSQL 17, but this oaflow brings {MAJOR}") as raised:
        Cluster(layout(home)).prepare()

    assert raised.value.help is not None
    assert raised.value.help == "oaflow db upgrade"


@pytest.fixture
def old_home(home: Path) -> Path:
    """
    A data folder whose server is of an earlier PostgreSQL, with a migrated database and one plan in it.
    """
    (home / "postgres").mkdir(parents=True)
    for folder in (home, home / "postgres"):
        folder.chmod(0o711)
    place = layout(home)
    account = server_account(place.data)
    place.data.mkdir(mode=0o700)
    if account.foreign:
        os.chown(place.data, account.uid, account.gid)
    made = Programs(EARLIER[-1], account).run(
        "initdb", ["-D", str(place.data), "-U", "oaflow", "--auth=peer", "-E", "UTF8", "--no-locale"]
    )
    assert made.returncode == 0, made.stdout
    cluster = Cluster(place, programs=EARLIER[-1])
    cluster.prepare()
    cluster.start()
    try:
        with psycopg.connect(place.uri.replace("/oaflow?", "/postgres?"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE oaflow")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(OTHER)))
            connection.execute("CREATE TABLE left_here AS SELECT 1 AS one")
        with psycopg.connect(make_conninfo(place.uri, dbname=OTHER)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 2 AS two")
        migrate(Address(place.uri, None, True), own=True)
        with psycopg.connect(place.uri, autocommit=True) as connection:
            connection.execute(PLAN)
    finally:
        cluster.stop()
    return home


def kept_by_others_in(home: Path) -> list[Any]:
    with Server(home) as server:
        rows: list[Any] = []
        for name, statement in (("postgres", "SELECT one FROM left_here"), (OTHER, "SELECT two FROM kept")):
            with psycopg.connect(make_conninfo(server.address.uri, dbname=name)) as connection:
                rows += connection.execute(statement).fetchall()
        return rows


def plans_in(home: Path) -> list[tuple[str]]:
    with Server(home) as server, psycopg.connect(server.address.uri) as connection:
        assert connection.info.server_version // 10000 == int(MAJOR)
        return connection.execute("SELECT digest FROM oaflow.plans").fetchall()


@pytest.mark.skipif(not EARLIER, reason="no earlier PostgreSQL is installed here")
def test_the_data_of_an_earlier_postgresql_are_brought_to_the_present_one_and_kept(
    old_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, before = layout(old_home), EARLIER[-1].parent.name
    with pytest.raises(ServerProblem, match=f"made by PostgreSQL {before}"):
        Server(old_home).open()
    with pytest.raises(UsageError, match="are not in"):
        upgrade(old_home, old_home)
    # What goes wrong on the way leaves all as it was, and what was left of it is in nobody's way.
    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "load", Mock(side_effect=ServerProblem("the disk is gone")))
        with pytest.raises(ServerProblem, match=r"^database .*: the disk is gone"):
            upgrade(old_home, EARLIER[-1])
    assert (place.data / "PG_VERSION").read_text().strip() == before
    assert sorted(path.name for path in place.upgrade.iterdir()) == ["access.conf", "names.conf", "run"]

    # What one that was killed has left takes room, and is gone before there has to be some.
    (place.upgrade / "database.dump").touch()
    there = shutil.disk_usage(old_home)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: there._replace(free=0))
        with pytest.raises(NoRoomError, match="no room for a second copy"):
            upgrade(old_home, EARLIER[-1])
    assert not place.upgrade.exists()

    # Killed where the old data have gone and the new ones are not there yet.
    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "_take_place", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upgrade(old_home, EARLIER[-1])
    with pytest.raises(ServerProblem, match="was interrupted"):
        Server(old_home).open()
    done = upgrade(old_home, None)

    assert (done.before, done.now, done.kept.name) == (before, MAJOR, f"data.{before}")
    assert plans_in(old_home) == [("d",)]
    # The old data may be deleted now: what others made on this server is here, too.
    assert kept_by_others_in(old_home) == [(1,), (2,)]
    assert (done.kept / "PG_VERSION").read_text().strip() == before
    assert not place.upgrade.exists()
    with pytest.raises(UsageError, match="there is nothing to do"):
        upgrade(old_home, None)
    with Server(old_home), pytest.raises(UsageError, match="is being used"):
        upgrade(old_home, None)


def test_where_there_are_no_data_there_is_nothing_to_upgrade(home: Path) -> None:
    with pytest.raises(UsageError, match="there are no data"):
        upgrade(home, None)
