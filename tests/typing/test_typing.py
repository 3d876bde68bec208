"""
What authors write, as a strict type checker sees it: small files, which are checked and never run.

Each line that must be refused ends in `# refused`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted((HERE / "files").glob("*.py"))

# Lines that are there to be refused need not be nice otherwise.
NOT_MEANT = {"reportUnusedExpression", "reportUnusedCallResult"}


@pytest.fixture(scope="module")
def refused() -> dict[str, dict[int, list[str]]]:
    """
    What a strict type checker refuses, by file and line. It is started once for all.
    """
    program = Path(sys.executable).with_name("basedpyright")
    if not program.exists():
        pytest.skip("basedpyright is not installed beside this Python")
    command = [program, "--outputjson", "--pythonpath", sys.executable, *FILES]
    answer = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True)
    found: dict[str, dict[int, list[str]]] = {path.name: {} for path in FILES}
    for diagnostic in json.loads(answer.stdout)["generalDiagnostics"]:
        if diagnostic["severity"] == "error" and diagnostic.get("rule") not in NOT_MEANT:
            lines = found[Path(diagnostic["file"]).name]
            lines.setdefault(diagnostic["range"]["start"]["line"] + 1, []).append(diagnostic["message"])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_strict_type_checker_accepts_what_is_right_and_refuses_what_is_not_there(path, refused):
    lines = path.read_text().splitlines()
    meant = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}
    found = refused[path.name]

    assert {number: found[number] for number in set(found) - meant} == {}
    assert [lines[number - 1] for number in sorted(meant - set(found))] == []
