"""
The stages of the example are plain functions, tested as such; `tests/acceptance` runs its pipeline.
"""

import importlib.util
import re
from pathlib import Path

import pytest

from oaflow import DatasetJob, Out, Reject
from oaflow.compiler.checking import check_data, check_file
from oaflow.compiler.functions import Inspector
from oaflow.compiler.named import load_pipeline

FOLDER = Path(__file__).parents[2] / "examples" / "words"


@pytest.fixture(scope="module")
def words():
    spec = importlib.util.spec_from_file_location("words", FOLDER / "words.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def job(**context) -> DatasetJob:
    return DatasetJob(queue="q", task="t", dataset="d", payload={"context": context})


def test_files_are_named_one_job_each_and_others_go_out_on_a_port_of_their_own(words):
    found = list(words.files(job(), folder=str(FOLDER / "texts")))

    assert [Path(one.context["file"]).name for one in found if not isinstance(one, Out)] == [
        "Zürich.txt",
        "harbour.txt",
        "river.txt",
    ]
    assert [(one.port, Path(one.job.context["file"]).name) for one in found if isinstance(one, Out)] == [
        ("other", "notes.md")
    ]


def test_words_are_counted_and_reported_and_a_second_time_changes_nothing(words, tmp_path):
    counted = words.count(job(file=str(FOLDER / "texts" / "river.txt")))
    for _ in range(2):
        words.report(counted, result=str(tmp_path / "results"))

    assert (tmp_path / "results" / "river.txt").read_text() == "    3 river\n    2 carries\n    2 what\n"


def test_a_file_that_is_no_text_is_rejected(words, tmp_path):
    (tmp_path / "latin.txt").write_bytes("Zürich".encode("latin-1"))

    with pytest.raises(Reject, match=r"latin.txt is not UTF-8"):
        words.count(job(file=str(tmp_path / "latin.txt")))


def test_both_forms_pass_every_check_and_are_one_plan(monkeypatch):
    monkeypatch.chdir(FOLDER)
    from_file = check_file(Path("pipeline.yml"))
    from_python = check_data(load_pipeline("pipeline:words").data, inspect=Inspector((FOLDER,)))

    assert (from_file.diagnostics, from_python.diagnostics) == ((), ())
    assert from_file.plan.digest == from_python.plan.digest


def test_the_code_in_the_readme_runs(monkeypatch):
    monkeypatch.chdir(FOLDER)
    monkeypatch.syspath_prepend(str(FOLDER))
    (program,) = re.findall(r"^```python\n(.*?)^```", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)

    assert "assert" in program
    exec(program, {})
