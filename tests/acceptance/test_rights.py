"""
Files and folders that nobody gave the right to: root, who may read and write all, runs the tests of them without that.
"""

import os
import shutil
import subprocess
import sys

import pytest

from tests.acceptance.conftest import PATIENCE, ROOT

TESTS = (
    "tests/unit/test_loader.py",
    "tests/unit/stages/test_stages_crawl.py",
    "tests/integration/test_files.py",
    "tests/integration/test_postgres_server.py",
    "tests/acceptance/test_bad_input.py",
)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="for whom is not root the tests themselves run")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) gives up what lets root read all")
def test_the_tests_of_what_nobody_has_the_right_to_run_for_root_too(clean_environment: dict[str, str]) -> None:
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
    done = subprocess.run(
        [*without, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", "without_the_right"],
        cwd=ROOT,
        env={name: value for name, value in clean_environment.items() if name != "PYTEST_ADDOPTS"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    said = done.stdout.decode(errors="replace")
    assert said.rstrip().splitlines()[-1].startswith("6 passed, "), said
    assert "skipped" not in said
