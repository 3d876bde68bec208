"""
The page on oaflow's own server, where a run brings its own workers: what is sent again from it is worked on.
"""

import re
import subprocess
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import psutil

from tests.acceptance.conftest import Command

Keep = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]


def test_what_is_sent_again_from_the_page_gets_workers_and_comes_to_its_end(
    private: Command, started: Keep, until: Callable[[Callable[[], Any]], Any]
) -> None:
    stages = {
        "source": {"with": {"count": 1}, "next": "fails_once"},
        "fails_once": {"with": {"marker": str(private.folder / "marker")}, "next": "end"},
        "end": {},
    }
    page = started(private.start("web", "--port", "0"))
    assert page.stdout is not None
    url = page.stdout.readline().strip()
    assert private("run", private.pipeline("again", stages), "-d", "demo").code == 1
    run = private("status", "--json").json["run"]
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    mark = re.search(r'name="mark" value="([^"]+)"', browser.open(url).read().decode())
    assert mark is not None

    root = url.partition("/?")[0]
    answer = browser.open(f"{root}/runs/{run}/retry", urlencode({"mark": mark[1]}).encode())

    assert answer.url == f"{root}/runs/{run}"
    status = until(lambda: (found := private("status", "--json").json)["state"] == "finished" and found)
    assert (status["stages"]["fails_once"]["failed"], status["stages"]["end"]["done"]) == (0, 1)
    # Who has worked on it leaves with it.
    until(lambda: not any(run in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])))
