"""
`backup` while a run goes on, and `restore` into an empty folder, on real private servers.
"""

import io
import json
import re
import signal
import subprocess
import tarfile
from collections.abc import Callable
from errno import EACCES, ENOSPC
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest

from oaflow.errors import EnvironmentProblem, NoRoomError
from oaflow.operations import backups, restore
from oaflow.postgres.layout import layout
from oaflow.postgres.server import Server
from oaflow.settings import Settings
from tests.acceptance.conftest import Command
from tests.acceptance.test_processes import chain, ended, noted
from tests.integration.handovers import counters, recount

Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Until = Callable[[Callable[[], Any]], Any]

JOBS = 60


def test_a_run_goes_on_where_its_backup_was_taken(
    private: Command, home: Path, again: Path, started: Started, until: Until
) -> None:
    go = private.folder / "go"
    name = chain(private, "notes_some", JOBS, {"log": str(private.folder / "noted"), "first": 10, "file": str(go)})
    kept = home / "archive" / "da/39/a3/da39a3ee5e6b4b0d3255bfef95601890afd80709"
    kept.mkdir(parents=True)
    (kept / "data").touch()
    (kept.parent / ".incoming").mkdir()
    (kept.parent / ".incoming" / "half").touch()
    running = started(private.start("run", name, "-d", "demo", "--workers", "1", "--json"))
    until(lambda: len(noted(private)) >= 5)

    secret = {
        "OAFLOW_WEB_PASSWORD": "canary-page",
        "OAFLOW_WEBHOOK_SECRET": "whsec_canary",
        "OAFLOW_POOL_URI": "postgresql://me:canary@127.0.0.1:1/nothing",
        "AWS_SECRET_ACCESS_KEY": "canary-key",
    }
    made = private("backup", "monday.tar", "--json", env={"OAFLOW_KEEP": "30"} | secret)

    assert made.code == 0, made.err
    assert running.poll() is None, "the run was over before the backup was taken"
    go.touch()
    assert (private.folder / "monday.tar").stat().st_mode & 0o777 == 0o600
    assert b"canary" not in (private.folder / "monday.tar").read_bytes()
    assert private("backup", "monday.tar").help == "oaflow backup NEW.tar"
    running.send_signal(signal.SIGINT)
    ended(running)

    there = {"OAFLOW_HOME": str(again)}
    back = private("restore", "monday.tar", env=there)

    assert back.code == 0, back.err
    assert "that a worker held at that time will run again" in back.err
    assert "it was taken with OAFLOW_KEEP=30" in back.err
    assert (again / "archive" / kept.relative_to(home / "archive") / "data").exists()
    assert not list(again.rglob(".incoming"))
    first = private("status", "--json", env=there).json
    assert 0 < first["stages"]["middle"]["done"] < JOBS

    finished = private("resume", first["run"], "--workers", "1", "--json", env=there)

    assert finished.code == 0, finished.err
    assert finished.json["state"] == "finished"
    assert finished.json["stages"]["end"]["done"] == JOBS
    assert private("receipt", "--json", env=there).json["balanced"] is True
    with Server(again), psycopg.connect(layout(again).uri, autocommit=True) as connection:
        done = "SELECT count(*), count(DISTINCT job) FROM oaflow.hops WHERE stage = 'middle' AND outcome = 'done'"
        assert connection.execute(done).fetchone() == (JOBS, JOBS)
        assert counters(connection, first["run"]) == recount(connection, first["run"])
        # Nobody crashed: a backup was taken.
        assert connection.execute("SELECT count(*) FROM oaflow.charges").fetchone() == (0,)
    assert "is not empty" in private("restore", "monday.tar", env=there).error


def test_what_is_no_whole_backup_is_not_restored_and_leaves_room_for_one_that_is(private: Command, again: Path) -> None:
    assert private("backup", ".").code == 0
    (whole,) = private.folder.glob("oaflow-*.tar")
    there = {"OAFLOW_HOME": str(again)}

    def restored(members: dict[str, bytes | None]) -> str:
        """
        The error about a backup with some of its files replaced, and others (None) left out.
        """
        with tarfile.open(whole) as tar, tarfile.open(private.folder / "other.tar", "w") as other:
            for member in tar.getmembers():
                given = members.get(member.name, b"")
                if given is not None:
                    file = tar.extractfile(member)
                    assert file is not None
                    data = given or file.read()
                    member.size = len(data)
                    other.addfile(member, io.BytesIO(data))
            for name in members.keys() - set(tar.getnames()):
                other.addfile(tarfile.TarInfo(name))
        result = private("restore", "other.tar", env=there)
        assert result.code == 3, result.out
        return result.error

    facts = {"format": 9, "oaflow": "7.0", "taken": 0, "settings": {}, "archive": True}
    assert "oaflow 7.0 wrote it" in restored({"backup.json": json.dumps(facts).encode()})
    assert "oaflow backup did not write it" in restored({"backup.json": None})
    assert not again.exists()
    assert restored({"end": None}).endswith("it ends too early")
    assert "it contains a file 'archive/../../x'" in restored({"end": None, "archive/../../x": None})
    assert "does not match the digest in its name" in restored({"end": None, "archive/aa/bb/cc/aabbcc/data": None})
    assert "'other.tar' cannot be restored: pg_restore: error:" in restored({"database.dump": b"no dump"})
    cut = private.folder / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:-20_000])
    assert "it is not a complete tar file" in private("restore", "cut.tar", env=there).error
    lines = private("doctor", "--json", env=there).out.splitlines()
    (problem,) = [line for line in lines if f"{again}: a restore into it was interrupted" in line]
    assert json.loads(problem)["help"] == "oaflow restore FILE"
    # What would be begun there now would be gone with the next restore.
    refused = private("status", env=there)
    assert (refused.code, refused.error) == (
        3,
        f"the data folder '{again}' is incomplete: a restore into it was interrupted",
    )

    assert private("restore", whole.name, env=there).code == 0


def test_a_disk_that_is_full_while_a_backup_is_restored_is_told(
    private: Command, again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert private("backup", "whole.tar").code == 0
    settings = Settings(home=again)
    with monkeypatch.context() as patch:
        patch.setattr(backups, "_extract", Mock(side_effect=OSError(ENOSPC, "No space left on device")))
        with pytest.raises(NoRoomError, match=re.escape(f"no room for what is restored into {again}: No space left")):
            restore(private.folder / "whole.tar", settings=settings)
        patch.setattr(backups, "_extract", Mock(side_effect=PermissionError(EACCES, "Permission denied", "/a/file")))
        with pytest.raises(EnvironmentProblem, match="cannot be restored: /a/file: Permission denied"):
            restore(private.folder / "whole.tar", settings=settings)

    assert restore(private.folder / "whole.tar", settings=settings).files == 0


@pytest.mark.parametrize("name", ["reports/one.txt", "reports"])
def test_what_cannot_be_read_is_missing_in_no_backup(private: Command, home: Path, name: str) -> None:
    unread = home / name
    unread.parent.mkdir(parents=True, exist_ok=True)
    unread.symlink_to(unread)  # as good as no right to read it, which root always has

    refused = private("backup", "monday.tar")

    assert (refused.code, refused.error) == (
        3,
        f"no backup is made: '{unread}' cannot be read: Too many levels of symbolic links",
    )
    assert refused.help == f"ls -ld {unread}"
    assert list(private.folder.iterdir()) == []


def test_of_a_database_server_no_backup_is_made(offline: Command) -> None:
    for command in (("backup", "x.tar"), ("restore", "x.tar")):
        result = offline(*command)
        assert (result.code, result.help) == (2, "pg_dump --format=custom --file=FILE DATABASE")
    assert not list(offline.folder.glob("*.tar"))
