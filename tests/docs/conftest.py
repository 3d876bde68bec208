"""
What those who follow the documentation have.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oaflow.postgres.server import Server
from tests import typist
from tests.warm import Warm

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(home: Path, tmp_path: Path, warm: Warm) -> dict[str, str]:
    """
    What a reader has: `oaflow` and `python` as commands, and an empty home.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    others, documents = (shlex.quote(str(one.address)) for one in (warm, warm.documents))
    sockets = f'case "$1 $2" in "run ingest") socket={documents};; *) socket={others};; esac\n'
    asking = f"{python} -I -S {shlex.quote(typist.__file__)} $socket"
    for name, command in (("oaflow", asking), ("python", python), ("pytest", f"{python} -m pytest")):
        (programs / name).write_text(f'#!/bin/sh\n{sockets if name == "oaflow" else ""}exec {command} "$@"\n')
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


@pytest.fixture
def served(environment: dict[str, str], used_home: Path) -> Iterator[dict[str, str]]:
    """
    The same, while the private server runs: 0.2 s of CPU less for each command, and 0.5 for the first.
    """
    with Server(used_home):
        yield environment
