"""
Every command and every piece of code in the documentation does what the page says.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.samples import Page, blocks

ROOT = Path(__file__).parents[2]

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
# Made from the examples of the rules, each of which is checked there.
MADE = {ROOT / "docs/reference/rules.md": ROOT / "tests/unit/compiler/test_compiler_rules.py"}
# Typed together: most of what such a page costs is a database and a worker.
TOGETHER = [*ROOT.glob("docs/reference/keys/**/*.md"), *ROOT.glob("docs/coming-from/*.md")]
TESTED_ELSEWHERE = MADE | dict.fromkeys(TOGETHER, ROOT / "tests/docs/test_docs_keys.py")
WITH_SAMPLES = [page for page in PAGES if page not in TESTED_ELSEWHERE and list(blocks(page.read_text("utf-8")))]
# What a newcomer types first: there the first command makes the private server, and each starts and stops it.
FIRST = (ROOT / "README.md", ROOT / "docs/tutorial.md")
RUNS = re.compile(r"^\$ (oaflow run|python) ", re.MULTILINE)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """
    Where the page's commands are typed: README in the repository, an example in its folder, all else in an empty one.
    """
    page: Path = request.node.callspec.params["page"]
    place = tmp_path / "place"
    if page.parent.parent == ROOT / "examples":
        shutil.copytree(page.parent, place, ignore=shutil.ignore_patterns("results", "__pycache__"))
    else:
        place.mkdir()
        if page.name == "README.md":
            (place / "examples").symlink_to(ROOT / "examples")
    return place


@pytest.mark.parametrize("page", WITH_SAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_samples_of_a_page_do_what_it_says(
    request: pytest.FixtureRequest, page: Path, folder: Path, environment: dict[str, str]
):
    text = page.read_text(encoding="utf-8")
    if page not in FIRST and RUNS.search(text):
        request.getfixturevalue("served")
    read = Page(text, folder, environment)

    for mistake in read.mistakes():
        pytest.fail(f"{page.relative_to(ROOT)}, {mistake}", pytrace=False)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page not in MADE], ids=lambda page: str(page.relative_to(ROOT))
)
def test_no_command_stands_in_an_indented_block_that_is_not_run(page: Path):
    starts = ("    oaflow ", "    $ ", "    pip ", "    make ", "    from ", "    import ")

    assert [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(starts)] == []


def test_what_is_tested_elsewhere_is_tested():
    assert [test for test in TESTED_ELSEWHERE.values() if not test.exists()] == []
