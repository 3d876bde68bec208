"""
The same mistakes in the Python form: each has its line and a caret, in every format.
"""

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from oaflow import Pipeline
from oaflow.compiler import Checked, check_declared
from oaflow.compiler.child import inspect_here
from oaflow.rendering import render

HERE = Path(__file__).parent / "python"


@pytest.fixture
def module(tmp_path, monkeypatch):
    shutil.copy(HERE / "declared.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("declared")
    del sys.modules["declared"]


def checked(pipeline: Pipeline) -> Checked:
    return check_declared(pipeline.data, lambda: pipeline.spans, inspect_here)


@pytest.mark.parametrize("phase", ["shape", "names", "graph", "functions"])
def test_what_is_wrong_in_python_is_told_where_it_stands(phase, module, request):
    told = render(checked(getattr(module, phase)).diagnostics, "text") + "\n"

    expected = HERE / f"{phase}.txt"
    if request.config.getoption("--bless", default=False):
        expected.write_text(told)
    assert told == expected.read_text()


def test_every_format_has_the_place(module):
    found = checked(module.names).diagnostics
    concise, github = (render(found, form).splitlines() for form in ("concise", "github"))
    objects = json.loads(render(found, "json"))
    results = json.loads(render(found, "sarif"))["runs"][0]["results"]

    lines = Path("declared.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if '"indx"' in text)
    place = {"line": line, "column": 29, "end_line": line, "end_column": 35}
    assert concise[1] == f"declared.py:{line}:29: OAF201 no stage is named 'indx'"
    assert github[1].startswith(f"::error file=declared.py,line={line},col=29,endLine={line},endColumn=35,title=OAF201")
    assert {key: objects[1][key] for key in ("file", *place)} == {"file": "declared.py", **place}
    region = {"startLine": line, "startColumn": 29, "endLine": line, "endColumn": 35}
    location = results[1]["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": "declared.py"}, "region": region}


def test_the_source_is_read_only_where_something_is_wrong(module, monkeypatch):
    monkeypatch.setattr("linecache.getlines", lambda file: pytest.fail("it was read"))
    good = Pipeline("letters", stages={"index": module.index.stage()})

    assert checked(good).plan is not None
    good.to_yaml()


def test_of_a_source_that_has_changed_or_is_gone_the_keys_are_told(module):
    source = Path("declared.py")
    source.write_text("# One line more.\n" + source.read_text())
    changed = [render([one], "concise") for one in checked(module.names).diagnostics]
    source.unlink()
    gone = [render([one], "concise") for one in checked(module.graph).diagnostics]

    assert "declared.py: stages.read.next.default[0]: OAF201 no stage is named 'indx'" in changed
    assert "declared.py: stages.read.next.children: OAF301 stage 'read' leads to itself" in gone


def test_a_python_that_keeps_no_columns_knows_lines(module):
    program = """
from declared import shape
from oaflow.compiler import check_declared
from oaflow.rendering import render

print(render(check_declared(shape.data, lambda: shape.spans).diagnostics, "concise"))
"""
    told = subprocess.run(
        [sys.executable, "-X", "no_debug_ranges", "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert "declared.py:30:9: OAF106 'timeout' must be a duration, but is the text 'soon'" in told
