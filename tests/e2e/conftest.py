"""
One server, one browser and a database with a few real runs, for all tests of this folder.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

from tests.conftest import _fresh
from tests.warm import Warm

CHROMIUM = "/usr/bin/chromium"
ROOT = Path(__file__).resolve().parents[2]

# As long as names may be, and without a place to break.
LONG = "letters" + "x" * 52

ARABIC = "تقرير.txt"

# What a document is named by somebody who means harm.
SCRIPT = "<script>alert(1)</script> & co.txt"


@dataclass
class World:
    """
    The server and what is in its database.

    Attributes:
        url: with the token in it.
        ingested, failed: ids of runs.
    """

    folder: Path
    environment: dict[str, str]
    browser: Browser
    warm: Warm
    url: str = ""
    ingested: str = ""
    failed: str = ""

    @property
    def root(self) -> str:
        return self.url.partition("/?")[0]

    def run(self, *arguments: str) -> str:
        code, said, errors = self.warm.run(arguments, self.folder, self.environment)
        assert code in (0, 1), errors.decode()
        return said.decode()

    def start(self, *arguments: str, said: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        streams = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": subprocess.DEVNULL}
        return self.warm.start(arguments, self.folder, self.environment, text=True, **streams)

    def latest(self) -> str:
        return json.loads(self.run("status", "--all", "--json").splitlines()[0])["run"]

    @contextmanager
    def page(self, *, refused: bool = False, **options: Any) -> Iterator[Page]:
        """
        A browser of somebody who has opened the printed address; what it complains of fails the test.

        Args:
            refused: whether it is meant to be told that it may not come in, that there is a bug or no server.
        """
        context = self.browser.new_context(**{"viewport": {"width": 1200, "height": 780}, **options})
        problems: list[str] = []

        def heard(said: ConsoleMessage) -> None:
            if said.type in ("error", "warning") and not (refused and re.search("401|50[02]", said.text)):
                problems.append(said.text)

        def asked(request: Request) -> None:
            if not request.url.startswith(self.root):
                problems.append(f"asked for {request.url}")

        def told(dialog: Dialog) -> None:
            problems.append(f"a script said {dialog.message}")
            dialog.dismiss()

        def opened(page: Page) -> None:
            page.on("console", heard)
            page.on("request", asked)
            page.on("dialog", told)
            page.on("pageerror", lambda error: problems.append(str(error)))

        context.on("page", opened)
        page = context.new_page()
        page.goto(self.url)
        try:
            yield page
        finally:
            context.close()
        assert problems == []


# Not of the session: as long as Playwright is there its thread has a loop that runs, and no other test can run one.
@pytest.fixture(scope="module")
def world(postgres_uri: str, template: str, tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[World]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}: apt install chromium")
    folder = tmp_path_factory.mktemp("world")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OAFLOW_", "PG", "ARCHIVE_", "FTM_")) and name not in ("CI", "DEBUG")
    }
    for database in _fresh(postgres_uri, template):
        environment = kept | {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "acceptance"), str(ROOT)]),
            "OAFLOW_DB_URI": database,
            "OAFLOW_HOME": str(folder / "home"),
            "OAFLOW_EXECUTORS": "1",
        }
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            world = World(folder, environment, browser, warm)
            _fill(world)
            server = world.start("web", "--port", "0")
            try:
                assert server.stdout is not None
                world.url = server.stdout.readline().strip()
                assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/\?token=[\w-]+", world.url)
                yield world
            finally:
                browser.close()
                server.terminate()
                assert server.wait(20) == 0


def _fill(world: World) -> None:
    papers = world.folder / "papers"
    papers.mkdir()
    (papers / SCRIPT.replace("/", "\N{DIVISION SLASH}")).write_text("The canal in Zürich is closed.\n")
    (papers / "letter.txt").write_text("Marta Kühn writes from Zürich to the harbour of Basel.\n")
    (papers / ("x" * 200 + ".txt")).write_text("x" * 300 + "\n")
    (papers / ARABIC).write_text("القناة في Zürich مغلقة\n")
    (papers / "empty.pdf").write_bytes(b"")
    world.run("run", "ingest", "-d", "papers", str(papers), "--workers", "1")
    world.ingested = world.latest()
    stages = {
        "source": {"task": "stages_for_tests.source", "with": {"count": 6}, "next": "fails"},
        "fails": {"task": "stages_for_tests.fails", "with": {"on": ["doc-1", "doc-3"]}, "next": LONG},
        LONG: {"task": "stages_for_tests.end", "queue": "end"},
    }
    (world.folder / "letters.yml").write_text(json.dumps({"pipeline": LONG, "stages": stages}))
    world.run("run", "letters.yml", "-d", LONG, "--workers", "1")
    world.failed = world.latest()
    stages = {
        "source": {"task": "stages_for_tests.source", "with": {"count": 120}, "next": "work"},
        "work": {"task": "stages_for_tests.work", "with": {"seconds": 0.1}, "next": "says"},
        "says": {"task": "stages_for_tests.prints", "with": {"lines": 1}, "next": "end"},
        "end": {"task": "stages_for_tests.end"},
    }
    (world.folder / "slow.yml").write_text(json.dumps({"pipeline": "slow", "stages": stages}))
