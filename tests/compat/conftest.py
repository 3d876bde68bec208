"""
The other side of each comparison, in an environment of its own.
"""

import json
import os
import runpy
import subprocess
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

HERE = Path(__file__).parent
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
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


@contextmanager
def _side(name, uri=NOWHERE):
    """
    A process that answers as long as the block lasts: what it imports takes 2.6 s of CPU.
    """
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

    with subprocess.Popen(
        [python, HERE / "sides" / f"{name}.py"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip

        def ask(command, data):
            print(json.dumps([command, data]), file=process.stdin, flush=True)
            for line in process.stdout:
                if line.startswith("ANSWER"):
                    return json.loads(line.removeprefix("ANSWER"))
            pytest.fail(f"{name} ended with {process.wait(60)}; it says why on stderr")

        yield ask
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture(scope="session")
def oap():
    """
    Asks openaleph-procrastinate and ftmq what needs no database, or names it.
    """
    with _side("oap") as ask:
        yield ask


@pytest.fixture
def oap_there(uri):
    """
    Asks openaleph-procrastinate and ftmq about the test's database.
    """
    with _side("oap", uri) as ask:
        yield ask


@pytest.fixture
def shared_oap(empty_database):
    """
    Asks openaleph-procrastinate about a database in which nobody has been yet.
    """
    # As every role but one named `oaflow`, for which oaflow's schema would come first.
    with _side("oap", f"{_uri(empty_database)}&options=-csearch_path%3Dpublic") as ask:
        yield ask


@pytest.fixture(scope="session")
def store_side():
    """
    Asks followthemoney-store.
    """
    with _side("store") as ask:
        yield ask


@pytest.fixture(params=["oap", "store_side"], ids=["ftmq", "followthemoney-store"])
def fragments(request):
    """
    Asks ftmq, and again followthemoney-store. Each question says in which database: one process answers all tests.
    """
    return request.getfixturevalue(request.param)
