"""
How processes of the program end.
"""

import os
import subprocess
import sys

import pytest

# Asks, when all is over, how much the interpreter still has to look through.
ASKS = """
import atexit, gc, sys
atexit.register(lambda: print(len(gc.get_objects())))
from {module} import main
sys.argv[1:] = {arguments}
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "arguments"), [("oaflow.cli.main", ["explain", "OAF201"]), ("oaflow.runtime.worker", ["--wait"])]
)
def test_nothing_is_looked_through_at_the_end(module: str, arguments: list[str]) -> None:
    nobody = {"OAFLOW_DB_URI": "postgresql://nobody@127.0.0.1:1/nothing"}

    ended = subprocess.run(
        [sys.executable, "-c", ASKS.format(module=module, arguments=arguments)],
        input="",
        capture_output=True,
        text=True,
        env=os.environ | nobody,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.splitlines()[-1]) < 1000  # of 30,000 and more
