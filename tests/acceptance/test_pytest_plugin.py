"""
Pipelines among the tests of a project.
"""

import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import PATIENCE

PIPELINE = """
pipeline: letters
stages:
  read: {task: letters.read, next: [{to: index, where: {schema: Email}}, {to: ask, else: true}]}
  index: {task: letters.index}
  ask: {task: letters.ask}
tests:
  - {at: read, description: mails, job: {entities: [{schema: Email}]}, expect: {index: 1}}
  - {at: read, expect: {index: 1}}
"""


LETTERS = """
from oaflow import DatasetJob, stage

@stage
def read(job: DatasetJob) -> DatasetJob: ...

@stage
def index(job: DatasetJob) -> None: ...

@stage
def ask(job: DatasetJob) -> None: ...
"""


def said_by_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "oaflow.testing", "-p", "no:cacheprovider", "-v", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout


def test_a_pipeline_is_checked_and_each_of_its_tests_is_a_test(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "letters.yml").write_text(PIPELINE)
    (tmp_path / "pipelines" / "lost.yml").write_text("pipeline: lost\nstages: {read: {task: letters.raed}}\n")
    (tmp_path / "letters.py").write_text(LETTERS)
    (tmp_path / "other.yml").write_text("not: a pipeline")
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")

    code, out = said_by_pytest(tmp_path)

    assert code == 1
    assert "pipelines/letters.yml::check PASSED" in out
    assert "pipelines/letters.yml::1 at read: mails PASSED" in out
    assert "pipelines/letters.yml::2 at read FAILED" in out
    assert "index: 1 expected, 0 found\nask: 0 expected, 1 found\n" in out
    assert "Traceback" not in out
    assert "pipelines/lost.yml::check FAILED" in out
    assert "error[OAF403] no-function: module 'letters' has no function 'raed'" in out
    assert "2 failed, 3 passed" in out


def test_a_mistake_is_shown_as_check_shows_it_and_nothing_is_tried(tmp_path: Path) -> None:
    (tmp_path / "letters.yml").write_text(PIPELINE.replace("to: ask", "to: aks"))

    code, out = said_by_pytest(tmp_path, "letters.yml")

    assert code == 1
    assert "error[OAF201] unknown-stage: no stage is named 'aks'" in out
    assert "did you mean 'ask'?" in out
    assert "1 failed in" in out


def test_files_of_one_name_and_one_that_cannot_be_read_are_chosen_from_by_several_workers(tmp_path: Path) -> None:
    for folder in ("pipelines", "old/pipelines"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "letters.yml").write_text(PIPELINE.replace("mails", '"mails\\nand more"'))
    (tmp_path / "pipelines" / "torn.yml").write_text("pipeline: torn\nstages: {read: [}\n")

    code, out = said_by_pytest(tmp_path, "-n", "2", "-k", "mails or torn", "-r", "fp")

    assert code == 1
    assert "PASSED pipelines/letters.yml::1 at read: mails\\nand more\n" in out
    assert "PASSED old/pipelines/letters.yml::1 at read: mails\\nand more\n" in out
    assert "error[OAF007] syntax" in out
    assert "1 failed, 2 passed" in out
