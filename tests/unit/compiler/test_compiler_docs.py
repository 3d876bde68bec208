"""
What the documentation shows is what the compiler takes.
"""

import re
from pathlib import Path

import pytest

from oaflow.compiler import check_data
from oaflow.compiler.cases import CASE_KEYS
from oaflow.compiler.edges import EDGE_KEYS
from oaflow.compiler.params import PARAM_KEYS
from oaflow.compiler.shape import DEFAULTS_KEYS, PIPELINE_KEYS, STAGE_KEYS
from oaflow.loader import load_text

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "pipeline.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_pipeline_on_the_page_has_no_mistake(block: str):
    loaded = load_text(block)

    assert loaded.diagnostics == ()
    assert [one.message for one in check_data(loaded.data, loaded.spans).diagnostics] == []


@pytest.mark.parametrize(
    ("title", "keys"), [("a pipeline", PIPELINE_KEYS), ("a param", PARAM_KEYS), ("a stage", STAGE_KEYS)]
)
def test_every_key_has_its_row(title: str, keys: tuple[str, ...]):
    section = PAGE.partition(f"## Keys of {title}\n")[2].partition("\n## ")[0]

    assert set(re.findall(r"^\| \[`(\w+)`\]", section, re.MULTILINE)) == set(keys)


def test_every_key_is_named_somewhere():
    for key in (*EDGE_KEYS, *DEFAULTS_KEYS, *CASE_KEYS):
        assert f"`{key}" in PAGE or f"{key}:" in PAGE
