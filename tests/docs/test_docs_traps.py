"""
Each test that a page names is there, under that name.
"""

import ast
import re

import pytest

from tests.docs.test_docs_samples import ROOT

PAGE = (ROOT / "docs" / "explanation" / "traps.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_a_test_that_shows_how_a_trap_is_avoided_is_there(file: str, name: str):
    module = ast.parse((ROOT / file).read_text("utf-8"))

    assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_trap_has_a_test_or_a_reason():
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|") and "---" not in line]

    assert len(rows) > 30
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
