"""
Which disks are full.
"""

import asyncio
import threading
from pathlib import Path
from shutil import disk_usage
from types import SimpleNamespace
from typing import Any, cast

import pytest

from oaflow.runtime import room, upkeep
from oaflow.settings import Settings


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


def test_a_disk_that_does_not_answer_holds_up_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, looked = threading.Event(), list[bool]()
    sent: list[str] = []

    async def send(what: str, *_: object) -> None:
        sent.append(what)

    def hangs(_: object) -> None:
        looked.append(goes_on.wait(10))

    monkeypatch.setattr(upkeep, "full", hangs)

    async def body() -> None:
        watch = asyncio.create_task(
            upkeep.Upkeep(cast(Any, SimpleNamespace(send=send)), Settings(home=tmp_path), lambda: None).watch_room()
        )
        await asyncio.sleep(0)  # it looks
        goes_on.set()
        while not sent:
            await asyncio.sleep(0.01)
        watch.cancel()

    asyncio.run(body())
    assert (looked, sent) == ([True], ["unpause"])
