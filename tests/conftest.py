"""
What tests stand on: a real PostgreSQL, shared by all of a test run, and a database of its own for each test.
"""

import fcntl
import gc
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from oaflow.postgres import migrate
from oaflow.postgres.server import Server
from tests.warm import Warm

# What tests write need not outlive a power cut; and as many connections as all workers of pytest-xdist want.
_SERVER_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}

_FOREIGN_PREFIXES = ("OAFLOW_", "PROCRASTINATE_", "FTM_", "ARCHIVE_", "PG")
_FOREIGN_NAMES = ("OPENALEPH_DB_URI", "ALEPH_DATABASE_URI", "DEBUG")

# A database is some 300 files, and six hundred come and go in a test run: each 0.2 s of CPU on ext4, which
# looks for inodes that were not used a moment ago, and 0.03 s in memory.
_MEMORY = Path("/dev/shm")
_DISK = Path("/tmp")
_ROOM = 4 * 2**30
_PREFIX = "oaflow-tests-"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        # Not below pytest's own folder: as root that is closed to others, and the server is not root.
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_place()))
        folder.chmod(0o711)
        config.stash[_FOLDER] = folder
        config.stash[_LIVES] = _lives(folder)
        _take_out_what_was_left(folder.parent)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and _FOLDER in config.stash:
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """
    Each of the processes makes 5,000 tests, which stay: what is collected later need not look through them.
    """
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Begin the slow tests first, each process with its share: one that began as the last would be waited for alone.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    # `--dist worksteal` gives each process as many of the list, in its order; then they take from each other.
    each = -(-len(items) // processes)
    items.clear()
    for number in range(processes):
        mine = slow[number::processes]
        several = max(each - len(mine), 0)
        items += [*mine, *rest[:several]]
        del rest[:several]
    items += rest


def _place() -> Path:
    """
    Memory, where there is much of it and programs may be run there: a container has 64 MB, and may not.
    """
    if not _MEMORY.is_dir():
        return _DISK
    found = os.statvfs(_MEMORY)
    return _DISK if found.f_flag & os.ST_NOEXEC or found.f_bavail * found.f_frsize < _ROOM else _MEMORY


def _lives(folder: Path) -> int:
    """
    Says that the folder is in use, as long as this process lives.
    """
    made = folder / "made"
    lock = os.open(made, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.rename(folder / "lives")  # nobody sees it without its lock
    return lock


def _take_out_what_was_left(place: Path) -> None:
    """
    What test runs have left that were killed, which in memory is no small thing.
    """
    for lives in place.glob(f"{_PREFIX}*/lives"):
        with lives.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(lives.parent, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["oaflow_folder"] = str(node.config.stash[_FOLDER])


_FOLDER = pytest.StashKey[Path]()
_LIVES = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest) -> Path:
    """
    A folder of this test run, the same in all its processes, that the account of the server can enter.
    """
    given = getattr(request.config, "workerinput", {}).get("oaflow_folder")
    return Path(given) if given else request.config.stash[_FOLDER]


@pytest.fixture(scope="session")
def warm(shared_folder: Path) -> Iterator[Warm]:
    """
    What runs commands without importing the program for each.
    """
    warm = Warm(shared_folder / "warm")
    yield warm
    warm.leave()


@pytest.fixture(scope="session")
def postgres_uri(shared_folder: Path) -> Iterator[str]:
    """
    A server for the whole test run. The first process that needs it starts it, the last stops it.
    """
    with Server(shared_folder / "shared", settings=_SERVER_SETTINGS) as server:
        yield server.address.uri


@pytest.fixture(scope="session")
def template(postgres_uri: str) -> str:
    """
    The name of a migrated, empty database to make others from.
    """
    name = "oaflow_template"
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")  # one process makes it, the others wait
        found = connection.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None or not found[0]:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            migrate(make_conninfo(postgres_uri, dbname=name), own=True)
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name)))
    return name


def _fresh(postgres_uri: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(
            # The files as they are: written to the log page by page, it takes three times as long.
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    yield make_conninfo(postgres_uri, dbname=name)
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(postgres_uri: str, template: str) -> Iterator[str]:
    """
    The address of a migrated database that no other test sees.
    """
    yield from _fresh(postgres_uri, template)


@pytest.fixture
def empty_database(postgres_uri: str) -> Iterator[str]:
    """
    The address of a database with nothing in it.
    """
    yield from _fresh(postgres_uri, "template0")


@pytest.fixture
def home(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    An empty OAFLOW_HOME, in an environment where nothing else is set.
    """
    for name in list(os.environ):
        if name.startswith(_FOREIGN_PREFIXES) or name in _FOREIGN_NAMES:
            monkeypatch.delenv(name)
    folder = shared_folder / f"home-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o711)
    monkeypatch.setenv("OAFLOW_HOME", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def former_home(shared_folder: Path) -> Path:
    """
    A home that commands have used before; nobody uses it while it is copied.
    """
    kept = shared_folder / "former"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            making = kept.with_suffix(".new")
            with Server(making) as server:
                migrate(server.address, own=True)
            making.rename(kept)
    return kept


@pytest.fixture
def used_home(home: Path, former_home: Path) -> Path:
    """
    An OAFLOW_HOME where the private server has run, and its database is migrated and empty: to make one takes 0.7 s of
    CPU, and a copy 0.1.
    """
    subprocess.run(["cp", "-a", former_home / "postgres", home], check=True)
    return home
