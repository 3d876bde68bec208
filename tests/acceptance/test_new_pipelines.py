"""
`oaflow new`, from an empty folder to a run.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import INSTALLED, Command

ROOT = Path(__file__).parents[2]


def pytest_in(command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=command.folder,
        env=command.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_is_begun_in_an_empty_folder_is_checked_tested_and_run_as_it_is(private: Command) -> None:
    private.environment["PYTHONPATH"] = str(ROOT)

    def oaflow(*arguments: str):
        return private(*arguments, program=INSTALLED)

    begun = oaflow("new", "my-letters")

    assert (begun.code, begun.out) == (0, ""), begun.err
    assert begun.err.splitlines() == [
        "wrote my-letters.yml, my_letters_stages.py, test_my_letters.py",
        "run it: oaflow run my-letters.yml -d try Anna Boris",
    ]
    checked = oaflow("check", "my-letters.yml")
    assert (checked.code, checked.out, checked.err) == (0, "", "my-letters.yml: 2 stages, no mistakes\n")
    tried = oaflow("test", "my-letters.yml")
    assert tried.code == 0, tried.out
    tested = pytest_in(private, "test_my_letters.py")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    ran = oaflow("run", "my-letters.yml", "-d", "try", "Anna", "Boris")
    assert ran.code == 0, ran.err
    logs = oaflow("logs")
    assert sorted(line.split()[-1] for line in logs.out.splitlines() if "hello" in line) == ["Anna", "Boris"]


def test_a_pipeline_is_begun_in_a_folder_of_its_own(offline: Command) -> None:
    (offline.folder / "pipelines").mkdir()

    assert offline("new", "pipelines/queue.yml").code == 0
    assert offline("check", "queue").err == "queue: 2 stages, no mistakes\n"
    assert offline("test", "queue").code == 0


def test_what_is_to_be_typed_next_in_a_folder_with_a_blank_in_its_name_is_quoted(offline: Command) -> None:
    (offline.folder / "my own").mkdir()

    begun, refused = offline("new", "my own/letters"), offline("new", "my own/Letters")

    assert begun.err.splitlines()[-1] == "run it: oaflow run 'my own/letters.yml' -d try Anna Boris"
    assert refused.help == "oaflow new 'my own/letters'"


def test_nothing_that_is_there_is_written_over(offline: Command) -> None:
    (offline.folder / "test_letters.py").write_text("mine")

    refused = offline("new", "letters")

    assert (refused.code, refused.error) == (2, "'test_letters.py' already exists")
    assert [path.name for path in offline.folder.iterdir()] == ["test_letters.py"]
    assert (offline.folder / "test_letters.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "error", "help"),
    [
        ("Größte Briefe", "'Größte Briefe' is not a valid name for a pipeline", "oaflow new grosste-briefe"),
        ("1", "'1' is not a valid name for a pipeline", ""),
        ("x" * 61, f"'{'x' * 61}' is not a valid name for a pipeline", ""),
        ("no/such/letters", "there is no folder 'no/such'", "mkdir -p no/such"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_one_that_can(
    offline: Command, name: str, error: str, help: str
) -> None:
    refused = offline("new", name)

    assert refused.code == 2
    assert refused.error.startswith(error)
    assert refused.help == help
    assert list(offline.folder.iterdir()) == []
