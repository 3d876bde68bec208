"""
One folder for each rule: a pipeline, and all that `oaflow check` has to say about it; with a `live.json`, where what it
holds lives in the database.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from oaflow.compiler import check_file
from oaflow.compiler.deployment import Live, LiveLimit, LiveRun, LiveService, LiveWorker, check_live
from oaflow.compiler.rules import RULES
from oaflow.operations.programs import Source, load
from oaflow.plan import check_params
from oaflow.rendering import render

HERE = Path(__file__).parent
FOLDERS = sorted(path for path in HERE.iterdir() if path.name.startswith("OAF"))

# A megabyte is not worth a place in the repository.
BUILT = {"OAF006-large-file": b"# " + b"x" * 2**20}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_wrong_is_told_as_expected(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    here = tmp_path / "here"
    shutil.copytree(folder, here)
    if folder.name in BUILT:
        (here / "pipeline.yml").write_bytes(BUILT[folder.name])
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)

    if folder.name == "OAF901-bug":
        monkeypatch.setattr("oaflow.compiler.checking.check_names", lambda *_: {}["read"])
    checked = load(Source("pipeline.yml", Path("pipeline.yml")), imports=bool(list(here.glob("*.py"))))
    found = list(checked.diagnostics)
    if (here / "live.json").exists():
        assert checked.plan is not None
        found += check_live(checked.plan, living(here / "live.json"), check_params(checked.plan, {}), checked.spans())
    told = render(found, "text") + "\n"

    expected = folder / "expected.txt"
    if request.config.getoption("--bless", default=False):
        expected.write_text(told)
    assert told == expected.read_text()
    assert f"[{folder.name[:6]}]" in told


def living(path: Path) -> Live:
    """
    What lives in a database, from a file; the plans of its runs are pipelines beside it.
    """
    said = json.loads(path.read_text())
    runs: list[LiveRun] = []
    for run in said.get("runs", ()):
        plan = check_file(Path(run["pipeline"]), imports=False).plan
        assert plan is not None
        runs.append(LiveRun(run["id"], plan))
    return Live(
        [LiveWorker(**worker) for worker in said.get("workers", ())],
        [LiveLimit(**limit) for limit in said.get("limits", ())],
        [LiveService(**service) for service in said.get("services", ())],
        runs,
    )


@pytest.mark.parametrize("code", RULES)
def test_every_rule_has_a_folder(code: str) -> None:
    assert (HERE / f"{code}-{RULES[code].slug}" / "expected.txt").is_file()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_belongs_to_a_rule(folder: Path) -> None:
    rule = RULES[folder.name[:6]]

    assert folder.name == f"{rule.code}-{rule.slug}" or folder.name.startswith(f"{rule.code}-{rule.slug}-")
