"""
Pages that are made from the program are as the program is, links lead somewhere, dependencies are accounted for.
"""

import importlib.metadata
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.docs.test_docs_samples import PAGES, ROOT

MAKER = runpy.run_path(str(ROOT / "tools" / "make_reference.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(one) for one in [*PROJECT["dependencies"], *EXTRAS["documents"], *EXTRAS["lsp"], *EXTRAS["mcp"]]]


@pytest.mark.parametrize("name", ["commands", "json-output", "settings", "pipeline", "operations"])
def test_a_page_made_from_the_program_is_as_the_program_is(name: str):
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text("utf-8")

    assert page == MAKER[f"{name.removeprefix('json-')}_page"](), "python tools/make_reference.py"


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path):
    wrong: list[str] = []
    for target in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            wrong.append(target)

    assert wrong == []


def test_every_page_of_the_docs_can_be_found_from_the_readme():
    found, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            if "://" not in target and (there := (page.parent / target).resolve()).is_file():
                ahead.append(there)

    lost = sorted(str(page.relative_to(ROOT)) for page in set(ROOT.glob("docs/**/*.md")) - found)
    assert lost == [], "these want a line in docs/README.md"


def test_every_direct_dependency_has_its_paragraph():
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text("utf-8")

    assert [one.name for one in DIRECT if f"\n**{one.name}** (" not in page] == []


def test_nothing_that_is_installed_with_oaflow_is_gpl_or_agpl():
    copyleft = re.compile(r"\bA?GPL|(?<!Lesser )General Public License", re.IGNORECASE)
    licences = {name: _licence(name) for name in _installed_with(DIRECT)}

    assert len(licences) > 40
    assert {name: licence for name, licence in licences.items() if copyleft.search(licence)} == {}
    assert sorted(name for name, licence in licences.items() if re.search(r"LGPL|Lesser", licence)) == [
        "psycopg",
        "psycopg-binary",
        "psycopg-pool",
        "python-stdnum",
        "tnefparse",
    ]


def _licence(name: str) -> str:
    metadata = importlib.metadata.metadata(name)
    # The text of a licence may speak of others; its first line names it.
    text = (metadata.get("License") or "").partition("\n")[0]
    classifiers = [one for one in metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    return " ".join([metadata.get("License-Expression") or "", text, *classifiers])


def _installed_with(direct: list[Requirement]) -> set[str]:
    found, ahead = dict[tuple[str, tuple[str, ...]], bool](), [(one.name, tuple(sorted(one.extras))) for one in direct]
    while ahead:
        name, extras = ahead.pop()
        key = (re.sub(r"[-_.]+", "-", name).lower(), extras)
        if key in found:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
            found[key] = True
        except importlib.metadata.PackageNotFoundError:
            # pyicu and mypy, which the locks leave out.
            found[key] = False
            continue
        for one in map(Requirement, requires):
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                ahead.append((one.name, tuple(sorted(one.extras))))
    return {name for (name, _), there in found.items() if there}
