import json
import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "api.py"
ROOT = API.parents[2]

# Lines that are there to be refused need not be nice otherwise.
NOT_MEANT = {"reportUnusedExpression", "reportUnusedCallResult"}


@pytest.fixture(scope="module")
def refused() -> dict[int, list[str]]:
    """
    What a strict type checker refuses, by line.
    """
    program = Path(sys.executable).with_name("basedpyright")
    if not program.exists():
        pytest.skip("basedpyright is not installed beside this Python")
    answer = subprocess.run(
        [program, "--outputjson", "--pythonpath", sys.executable, API], cwd=ROOT, capture_output=True, text=True
    )
    found: dict[int, list[str]] = {}
    for diagnostic in json.loads(answer.stdout)["generalDiagnostics"]:
        if diagnostic["severity"] == "error" and diagnostic.get("rule") not in NOT_MEANT:
            found.setdefault(diagnostic["range"]["start"]["line"] + 1, []).append(diagnostic["message"])
    return found


def test_a_strict_type_checker_accepts_what_is_right_and_refuses_what_is_misspelled(refused):
    lines = API.read_text().splitlines()
    meant = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}

    assert {number: refused[number] for number in set(refused) - meant} == {}
    assert [lines[number - 1] for number in sorted(meant - set(refused))] == []
