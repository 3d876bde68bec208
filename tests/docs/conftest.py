"""
What those who follow the documentation have.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import typist as program

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def typist() -> Iterator[Path]:
    """
    The address of a process that runs commands quickly, as it has imported the program.
    """
    # The address of a socket has at most 107 letters, which pytest's own folders may have used up.
    with tempfile.TemporaryDirectory(prefix="typist-") as folder:
        address = Path(folder, "socket")
        serving = subprocess.Popen(
            [sys.executable, "-m", "tests.docs.typist", str(address)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"
        yield address
        serving.terminate()
        serving.wait(10)


@pytest.fixture
def environment(home: Path, tmp_path: Path, typist: Path) -> dict[str, str]:
    """
    What a reader has: `oaflow` and `python` as commands, and an empty home.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    asking = f"{python} -I -S {shlex.quote(program.__file__)} {typist}"
    for name, command in (("oaflow", asking), ("python", python), ("pytest", f"{python} -m pytest")):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "OAFLOW_HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
