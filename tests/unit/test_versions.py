"""
Which code a stage is.
"""

import sys
from pathlib import Path

import pytest

from oaflow.runtime import versions
from oaflow.runtime.functions import load
from oaflow.runtime.versions import sources

STAGE = """
import json
from oaflow import Job, stage
from . import near
from .deep.er import what

@stage
def work(job: Job) -> None:
    import late
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "mine/__init__.py": "",
        "mine/stages.py": STAGE,
        "mine/near.py": "from mine.further import x",
        "mine/further.py": "from mine import stages\nx = 1",  # a circle
        "mine/deep/__init__.py": "",
        "mine/deep/er.py": "what = 1",
        "mine/unused.py": "",
        "late.py": "",
        "alone.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_module_is_made_of_what_it_imports_beside_it(folder: Path) -> None:
    found = sources(folder / "mine" / "stages.py", folder, "mine")

    own = {"mine", "mine.stages", "mine.near", "mine.further", "mine.deep", "mine.deep.er"}
    assert set(found) == own | {"late"}
    # What was installed has a release, and what is not of it stands beside it by chance.
    (folder / "other-1.0.dist-info").mkdir()
    assert set(sources(folder / "mine" / "stages.py", folder, "mine")) == own


@pytest.mark.parametrize(("file", "other"), [("near", True), ("deep/er", True), ("further", True), ("unused", False)])
def test_a_change_beside_a_stage_is_another_code_where_it_imports_that(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, other: bool
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    (folder / "late.py").touch()

    def version() -> str:
        for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
            del sys.modules[name]
        return load("mine.stages.work").version

    before = version()
    assert version() == before
    with (folder / "mine" / f"{file}.py").open("a") as handle:
        handle.write("\ny = 2\n")

    assert (version() != before) is other


def test_all_stages_of_a_module_are_the_code_that_it_was_imported_as(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    (folder / "couple.py").write_text(
        "from oaflow import Job, stage\n\n"
        "@stage\ndef one(job: Job) -> None: ...\n\n"
        "@stage\ndef other(job: Job) -> None: ...\n"
    )
    before = load("couple.one").version
    (folder / "couple.py").write_text("")

    assert load("couple.other").version == before
    del sys.modules["couple"]


def test_what_many_stages_of_a_module_are_made_of_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    stages = "".join(f"\n@stage\ndef work{number}(job: Job) -> None: ...\n" for number in range(20))
    (folder / "twenty.py").write_text(f"import alone\nfrom oaflow import Job, stage\n{stages}")
    read: list[str] = []
    look_at = versions.look_at
    monkeypatch.setattr(versions, "look_at", lambda file: read.append(file.name) or look_at(file))

    assert len({load(f"twenty.work{number}").version for number in range(20)}) == 1
    assert sorted(read) == ["alone.py", "twenty.py"]
