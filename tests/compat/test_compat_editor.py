"""
`oaflow lsp` with the library that VS Code's own client speaks the protocol with. It comes with the language server for
YAML.
"""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = runpy.run_path(str(HERE / "environment.py"))["MODULES"]
LIBRARY = MODULES.folder("yamls") / "node_modules" / "vscode-languageserver-protocol" / "node.js"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here"),
    pytest.mark.skipif(not LIBRARY.exists(), reason="the library was not installed: make compat-env"),
]

STAGES = """\
from oaflow import DatasetJob, stage

@stage
def read(job: DatasetJob) -> DatasetJob: ...

@stage
def index(job: DatasetJob) -> None: ...
"""

LETTERS = """\
pipeline: letters
stages:
  read:
    task: letters.read
    next: indx
  index: {task: letters.index}
"""


def test_the_client_of_vs_code_is_told_shown_and_led(tmp_path: Path) -> None:
    (tmp_path / "letters.py").write_text(STAGES)
    (tmp_path / "letters.yml").write_text(LETTERS)
    program = Path(sys.executable).parent / "oaflow"

    done = subprocess.run(
        ["node", HERE / "sides" / "editor.cjs", LIBRARY, program, tmp_path / "letters.yml"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["mistakes"] == [["OAF201", {"line": 4, "character": 10}]]
    assert found["offered"] == ["read", "index"]
    assert found["shown"].startswith("**task**")
    (repair,) = found["repairs"]
    assert (repair["title"], repair["kind"]) == ("mend: 'indx' became 'index'", "quickfix")
    ((edit,),) = found["renamed"]["changes"].values()
    assert (edit["newText"], edit["range"]["start"]) == ("finder", {"line": 5, "character": 2})
    assert found["defined"]["uri"] == (tmp_path / "letters.py").as_uri()
    assert found["defined"]["range"]["start"]["line"] == 2
    assert [one["name"] for one in found["symbols"]] == ["read", "index"]
    assert found["code"] == 0
