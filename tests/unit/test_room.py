"""
Which disks are full.
"""

from pathlib import Path
from shutil import disk_usage
from types import SimpleNamespace

import pytest

from oaflow.runtime import room


def test_a_folder_that_cannot_be_looked_at_keeps_no_other_from_being_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    within = tmp_path / "file" / "archive"
    with pytest.raises(NotADirectoryError):
        disk_usage(within)

    def few(folder: Path) -> SimpleNamespace:
        disk_usage(folder)
        return SimpleNamespace(total=100 * room.GIB, free=room.GIB // 2)

    monkeypatch.setattr(room.shutil, "disk_usage", few)
    said = room.full([tmp_path / "gone", within, tmp_path])
    assert said == f"the disk of {tmp_path} is full: 512 MiB of 102400 MiB are free"
