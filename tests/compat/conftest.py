"""
The other side of each comparison, in an environment of its own.
"""

import json
import os
import runpy
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

HERE = Path(__file__).parent
ENVIRONMENT = runpy.run_path(str(HERE / "environment.py"))


@pytest.fixture
def uri(database):
    """
    The test's database as SQLAlchemy takes it.
    """
    return _uri(database)


def _uri(database):
    parts = conninfo_to_dict(database)
    user, name = quote(str(parts["user"])), quote(str(parts["dbname"]))
    return f"postgresql://{user}@/{name}?host={quote(str(parts['host']))}&port={parts.get('port', 5432)}"


def _side(name, uri):
    python = ENVIRONMENT["python"](name)
    if python is None:
        pytest.skip(f"the environment {name!r} was not made: make compat-env")
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment |= {
        "PROCRASTINATE_DB_URI": uri,
        "OPENALEPH_DB_URI": uri,
        "FTM_FRAGMENTS_URI": uri,
        "FTM_STORE_URI": uri,
    }

    def ask(command, data):
        done = subprocess.run(
            [python, HERE / "sides" / f"{name}.py", command],
            input=json.dumps(data), capture_output=True, text=True, timeout=300, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (answer,) = (line for line in done.stdout.splitlines() if line.startswith("ANSWER"))
        return json.loads(answer.removeprefix("ANSWER"))

    return ask


@pytest.fixture
def oap(uri):
    """
    Asks openaleph-procrastinate and ftmq.
    """
    return _side("oap", uri)


@pytest.fixture
def shared_oap(empty_database):
    """
    Asks openaleph-procrastinate about a database in which nobody has been yet.
    """
    # As every role but one named `oaflow`, for which oaflow's schema would come first.
    return _side("oap", f"{_uri(empty_database)}&options=-csearch_path%3Dpublic")


@pytest.fixture(params=["oap", "store"], ids=["ftmq", "followthemoney-store"])
def fragments(request, uri):
    """
    Asks ftmq, and again followthemoney-store.
    """
    return _side(request.param, uri)
