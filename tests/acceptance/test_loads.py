"""
What commands load in their own process: a library of half a second is half a second of every command.
"""

import subprocess
import sys

import pytest

from tests.acceptance.conftest import PATIENCE, Command

# A library that costs much, or stands for one that does; typer alone is in every command.
HEAVY = {
    "followthemoney",
    "kreuzberg",
    "networkx",
    "procrastinate",
    "psycopg",
    "pydantic",
    "servicelayer",
    "sqlalchemy",
    "uvloop",
    "yaml",
}

# What the author wrote is read with yaml, into models of pydantic.
AUTHORING = HEAVY - {"pydantic", "yaml"}


def loaded(command: Command, *arguments: str) -> set[str]:
    """
    The top-level modules that Python imports, told by Python: not those of processes that it starts.
    """
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=command.folder,
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_import_oaflow_loads_nothing_heavy(offline: Command) -> None:
    found = loaded(offline, "-c", "import oaflow")

    assert "oaflow" in found
    assert not found & (HEAVY | {"typer", "rich"})


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_loads_nothing_heavy(offline: Command, arguments: tuple[str, ...]) -> None:
    found = loaded(offline, "-m", "oaflow", *arguments)

    assert "typer" in found
    assert not found & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "ingest"),
        ("check", "ingest", "--no-import"),
        ("graph", "ingest"),
        ("graph", "ingest", "-f", "mermaid"),
        ("plan", "ingest"),
        ("explain", "OAF301"),
    ],
    ids=" ".join,
)
def test_a_command_for_authors_loads_nothing_that_runs_pipelines(offline: Command, arguments: tuple[str, ...]) -> None:
    assert not loaded(offline, "-m", "oaflow", *arguments) & AUTHORING
