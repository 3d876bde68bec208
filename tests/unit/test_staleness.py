"""
Whether the code of stages has changed since it was loaded, and who is told how often.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from oaflow.ledger.wire import Refused
from oaflow.runtime import staleness
from oaflow.runtime.functions import load
from oaflow.runtime.staleness import Code, Look, Staleness, sentence
from oaflow.runtime.versions import Files, files_of, look_at


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "stages.py", tmp_path / "near.py"]
    for file in found:
        file.write_text("x = 1\n")
    return found


def seen(*files: Path) -> Files:
    return {str(file): look_at(file)[0] for file in files}


def test_a_file_is_read_only_where_its_time_or_size_are_others_and_then_once(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def reads(file: Path) -> Any:
        read.append(file)
        return look_at(file)

    monkeypatch.setattr(staleness, "look_at", reads)
    loaded, look = {"t.a": Code(seen(*files)), "t.b": Code(seen(files[0]))}, Look()

    assert look.changed(loaded) == {}
    assert read == []
    os.utime(files[1], (1, 1))  # touched: another time, and the same in it
    assert look.changed(loaded) == look.changed(loaded) == {}
    assert read == [files[1]]
    files[1].write_text("x = 22\n")
    assert look.changed(loaded) == look.changed(loaded) == {"t.a": str(files[1])}
    assert read == [files[1]] * 2
    files[1].write_text("x = 1\n")
    assert look.changed(loaded) == {}
    files[0].unlink()
    assert look.changed(loaded) == {"t.a": str(files[0]), "t.b": str(files[0])}


def test_a_file_that_cannot_be_looked_at_has_not_changed(files: list[Path]) -> None:
    loaded = {"t.a": Code({str(files[0] / "below"): look_at(files[0])[0]})}  # ENOTDIR

    assert Look().changed(loaded) == {}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"t.a": "/s.py"}, "/s.py has changed since this worker loaded it: task t.a goes on with the old code"),
        (
            {"t.b": "/s.py", "t.a": "/n.py"},
            "/n.py and /s.py have changed since this worker loaded them: tasks t.a and t.b go on with the old code",
        ),
        (
            {f"t.{name}": "/s.py" for name in "abcdef"},
            "/s.py has changed since this worker loaded it: tasks t.a, t.b, t.c and 3 more go on with the old code",
        ),
        (
            {"t.mixed": "/s.py"},
            "/s.py has changed since this worker loaded it: of task t.mixed, processes that have loaded the old code"
            " run it, and those that start later the new",
        ),
    ],
)
def test_the_sentence_names_what_has_changed_and_who_runs_what(
    changed: dict[str, str], said: str, files: list[Path]
) -> None:
    then = look_at(files[0])[0]
    loaded = {task: Code({file: then}, mixed=task == "t.mixed") for task, file in changed.items()}

    assert sentence(changed, loaded) == said
    # What a function imports when it is called may be of either age.
    late = {task: Code({file: then._replace(late=True)}) for task, file in changed.items()}
    assert "those that start later the new" in sentence(changed, late)


class Wire:
    """
    A database that keeps what is said, or refuses it.
    """

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.refuses = False
        self.worker = 1

    async def send(self, name: str, _: Any, *said: Any) -> None:
        if self.refuses:
            raise Refused(name)
        self.said.append(said)


def test_each_task_is_told_once_until_it_is_as_it_was_and_to_the_database_under_each_id(
    files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    wire, told = Wire(), list[tuple[str, str]]()
    loaded = {"t.a": Code(seen(files[0]))}
    mine = Staleness(
        wire,  # type: ignore[arg-type]
        loaded=lambda: loaded,
        restart="kill 77",
        tell=lambda text, help: told.append((text, help)),
    )

    def looks(times: int = 2) -> None:
        for _ in range(times):
            asyncio.run(mine.look())

    looks()
    assert (wire.said, told) == ([], [])
    files[0].write_text("x = 22\n")
    wire.refuses = True
    looks(1)
    wire.refuses = False
    with caplog.at_level(logging.WARNING):
        looks()
    one = (1, {"t.a": str(files[0])}, "kill 77")
    assert (wire.said, len(told), told[0][1]) == ([one], 1, "kill 77")
    assert [record.message for record in caplog.records] == [f"{told[0][0]}; restart it: kill 77"]
    wire.worker = 2  # declared dead, and registered anew
    looks()
    assert (wire.said[1:], len(told)) == ([(2, *one[1:])], 1)
    files[0].write_text("x = 1\n")
    looks()
    assert (wire.said[2:], len(told)) == ([(2, {}, "kill 77")], 1)
    files[0].write_text("x = 333\n")
    looks()
    assert (len(wire.said), len(told)) == (4, 2)


def test_what_a_stage_imports_when_it_is_called_is_known_to_be_loaded_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "stale_near.py").write_text("")
    (tmp_path / "stale_later.py").write_text("")
    (tmp_path / "stale_stages.py").write_text(
        "import stale_near\nfrom oaflow import Job, stage\n\n"
        "@stage\ndef work(job: Job) -> None:\n    import stale_later\n"
    )

    found = files_of(load("stale_stages.work").function)

    assert {Path(file).stem: seen.late for file, seen in found.items()} == {
        "stale_stages": False,
        "stale_near": False,
        "stale_later": True,
    }
