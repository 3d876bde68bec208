"""
Each key of the language has its page, which begins with what the program knows of the key, and whose example does what
the page says: against a real database and a real worker, which serve all pages of a folder. So do those of the pages
for who comes from other tools.
"""

import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.samples import Page, blocks
from tests.docs.test_docs_samples import ROOT
from tests.warm import Warm

KEYS = ROOT / "docs" / "reference" / "keys"
MAKER = runpy.run_path(str(ROOT / "tools" / "make_reference.py"))
PLACES = MAKER["PLACES"]
ALL = [(place, name) for place, known in PLACES.items() for name in known]


def test_every_key_has_its_page_and_every_page_its_key():
    pages = {(page.parent.name, page.stem) for page in KEYS.glob("*/*.md")}

    assert pages == set(ALL)


@pytest.mark.parametrize(("place", "name"), ALL)
def test_a_page_begins_with_what_the_program_knows_of_its_key(place: str, name: str):
    page = (KEYS / place / f"{name}.md").read_text("utf-8")

    assert page == MAKER["key_page"](place, name), "python tools/make_reference.py"


@pytest.mark.parametrize(("place", "name"), ALL)
def test_a_page_shows_its_key_in_a_pipeline_of_its_own(place: str, name: str):
    page = (KEYS / place / f"{name}.md").read_text("utf-8")
    pipelines = [block.body for block in blocks(page) if block.language == "yaml" and "title" in block.options]
    typed = [block.body for block in blocks(page) if block.language == "console"]
    headings = [line for line in page.splitlines() if line.startswith("## ")]

    assert pipelines
    assert any(f"{name}:" in shown for shown in [*pipelines, *typed])
    assert any(f"oaflow {command}" in shown for shown in typed for command in ("run", "test", "check", "graph"))
    assert headings == ["## Example", "## Checked", "## See also"]


@pytest.fixture
def worker(environment: dict[str, str], database: str, folder: Path, tmp_path: Path, warm: Warm) -> Iterator[None]:
    """
    A worker for all runs of the pages, which are then started by commands without workers of their own: 0.5 s of CPU
    for a run in place of 1.2 s. It has more executors than cores, so that what must not be at once could be.
    """
    environment |= {"OAFLOW_DB_URI": database, "OAFLOW_EXECUTORS": "3"}
    program = tmp_path / "bin" / "oaflow"
    script = program.read_text("utf-8")
    program.write_text(script.replace("exec ", 'case "$1" in run|retry) set -- "$@" --workers 0;; esac\nexec ', 1))
    log = tmp_path / "worker.log"
    with log.open("w") as out:
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
        started = warm.start(("worker", "--executors", "3"), folder, environment, **streams)
        try:
            yield
        finally:
            started.terminate()
            started.wait(60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Where the pages of a folder are typed, with the module that those of keys use.
    """
    place = tmp_path / "place"
    place.mkdir()
    [letters] = [block for block in blocks((KEYS / "README.md").read_text("utf-8")) if "title" in block.options]
    (place / letters.options["title"]).write_text(letters.body, encoding="utf-8")
    return place


@pytest.mark.parametrize("pages", [*(f"docs/reference/keys/{place}" for place in PLACES), "docs/coming-from"])
@pytest.mark.usefixtures("worker")
def test_examples_do_what_their_pages_say(pages: str, folder: Path, environment: dict[str, str]):
    mistakes = [
        f"{page.name}, {mistake}"
        for page in sorted((ROOT / pages).glob("*.md"))
        for mistake in Page(page.read_text("utf-8"), folder, environment).mistakes()
    ]

    if mistakes:
        pytest.fail("\n\n".join(mistakes), pytrace=False)
