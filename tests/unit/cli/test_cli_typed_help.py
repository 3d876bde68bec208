"""
What is to be typed next is typed as it stands: `rm -r /my data` takes out another folder.
"""

import shlex
from pathlib import Path
from unittest.mock import Mock

import pytest

from oaflow.cli import main
from oaflow.operations import upgrading
from oaflow.operations.backups import NotEmptyError
from oaflow.postgres.upgrading import Upgraded

ODD = Path("/home/anna's/my data")


def test_old_data_are_taken_out_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upgrading, "db_upgrade", Mock(return_value=Upgraded("15", "18", ODD, 1)))

    assert main.run(["db", "upgrade"]) == 0

    (said,) = [line for line in capsys.readouterr().err.splitlines() if "rm -r" in line]
    assert shlex.split(said.partition("everything works: ")[2]) == ["rm", "-r", str(ODD)]


def test_a_backup_is_restored_from_where_it_is() -> None:
    said = NotEmptyError(Path("/home"), "x", ODD / "b.tar").help

    assert shlex.split(said or "")[-1] == str(ODD / "b.tar")
