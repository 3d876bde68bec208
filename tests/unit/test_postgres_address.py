"""
Where the database is, and who said so.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oaflow.errors import EnvironmentProblem
from oaflow.postgres import account, locate
from oaflow.postgres.address import Address, named
from oaflow.postgres.disks import file_system, refuse_network_disk
from oaflow.postgres.layout import Layout, layout
from oaflow.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in ("OAFLOW_DB_URI", "PROCRASTINATE_DB_URI", "OPENALEPH_DB_URI", "ALEPH_DATABASE_URI", "OAFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_without_an_address_it_is_the_private_server_of_the_home():
    address = locate(Settings(home=Path("/srv/oaflow")))

    assert address.embedded
    assert address.host == "/srv/oaflow/postgres/run"
    assert str(address) == "database 'oaflow' of the private server in /srv/oaflow/postgres/run"


def test_what_is_printed_of_settings_and_addresses_has_no_password_in_it():
    uri = "postgresql://me:canary@db.example/aleph"
    settings = Settings(db_uri=uri, pool_uri=uri, entities_uri=uri, archive_uri=uri)

    assert "canary" not in repr(settings)
    assert "canary" not in f"{locate(settings)!r}{locate(settings)}"


@pytest.mark.parametrize("name", ["OAFLOW_DB_URI", "PROCRASTINATE_DB_URI", "OPENALEPH_DB_URI", "ALEPH_DATABASE_URI"])
def test_an_address_says_who_named_it_and_never_the_password(monkeypatch, name):
    monkeypatch.setenv(name, "postgresql://me:secret@db.example/aleph")

    address = locate(Settings())

    assert not address.embedded
    assert str(address) == f"database 'aleph' on db.example (from {name})"


def test_oaflows_own_variable_comes_first(monkeypatch):
    monkeypatch.setenv("ALEPH_DATABASE_URI", "postgresql://there/a")
    monkeypatch.setenv("OAFLOW_DB_URI", "postgresql://here/b")

    assert locate(Settings()).host == "here"


def test_an_address_written_for_sqlalchemy_is_read_too():
    assert locate(Settings(db_uri="postgresql+psycopg2://u@h/d")).uri == "postgresql://u@h/d"


def test_an_address_that_cannot_be_read_is_told_how_to_write_one(monkeypatch):
    monkeypatch.setenv("OAFLOW_DB_URI", "mysql://here")

    with pytest.raises(EnvironmentProblem, match="OAFLOW_DB_URI cannot be read") as problem:
        locate(Settings())
    assert problem.value.help is not None
    assert problem.value.help.startswith("postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and in the password %25 for %")


@example("?@", "db_uri")
@example("/?", "db_uri")
@given(st.text("CANRY/@%:?#[] &=", min_size=1, max_size=8), st.sampled_from(["db_uri", "pool_uri", "entities_uri"]))
def test_no_part_of_a_password_is_shown_however_it_is_written(inside, setting):
    uri = f"postgresql://me:XCANARYX{inside}XCANARYX@db.example:5432/aleph"
    try:
        address = locate(Settings(**{setting: uri}))
    except EnvironmentProblem as problem:
        said = f"{problem} {problem.help} {problem.__cause__}"
    else:
        said = f"{address} {address.host} {address.database} {address.user}"

    assert "CANARY" not in said


@pytest.mark.parametrize("name", ["OAFLOW_POOL_URI", "OAFLOW_ENTITIES_URI", "FTM_FRAGMENTS_URI", "FTM_STORE_URI"])
def test_an_address_that_is_not_of_postgres_is_named_by_its_variable_and_not_shown(monkeypatch, name):
    monkeypatch.setenv(name, "mysql://me:canary@127.0.0.1/x")  # libpq's message has all of it

    with pytest.raises(EnvironmentProblem, match=f"the database address in {name} cannot be read") as problem:
        locate(Settings())
    assert "canary" not in f"{problem.value} {problem.value.help}"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=120))
def test_a_socket_always_fits_and_its_address_is_read_back(name):
    folders = Layout(Path("/home") / name.replace("/", "-"))

    assert len(bytes(folders.socket / ".s.PGSQL.5432")) <= 103
    assert Address(folders.uri, None, True).host == str(folders.socket)


def test_two_homes_have_two_short_places():
    assert layout(Path("/" + "a" * 200)).socket != layout(Path("/" + "b" * 200)).socket


def test_a_connection_says_who_it_is_in_what_postgres_shows():
    assert "application_name" in named("postgresql://h/d", "oaflow worker 1")
    assert len(named("", "é" * 100).partition("=")[2].encode()) <= 65


def test_a_user_without_a_name_is_told_to_use_a_server_of_their_own(monkeypatch):
    def nameless(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(account.pwd, "getpwuid", nameless)

    with pytest.raises(EnvironmentProblem, match="no name on this system") as problem:
        account.server_account(Path("/nowhere"))
    assert "OAFLOW_DB_URI" in str(problem.value.help)


MOUNTS = [("/", "ext4"), ("/home", "nfs4"), ("/home/me/local", "xfs"), ("/mnt/a", "cifs"), ("/mnt/a", "tmpfs")]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var", "ext4"), ("/home/me", "nfs4"), ("/home/me/local/x", "xfs"), ("/homes", "ext4"), ("/mnt/a/b", "tmpfs")],
)
def test_a_path_is_on_the_deepest_mount_above_it(path, kind):
    assert file_system(Path(path), MOUNTS) == kind


def test_a_network_disk_is_refused_with_a_way_out(monkeypatch):
    class Part:
        mountpoint, fstype = "/", "nfs4"

    monkeypatch.setattr("psutil.disk_partitions", lambda all: [Part()])

    with pytest.raises(EnvironmentProblem, match="network file system") as problem:
        refuse_network_disk(Path("/srv"))
    assert "OAFLOW_DB_URI" in str(problem.value.help)


def test_the_front_door_loads_no_driver():
    code = "import sys, oaflow.postgres; assert not {'psycopg', 'procrastinate', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
