"""
The SQL files that make the schema: oaflow's own, procrastinate's, the indexes, and capture. Reads files,
touches no database.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import oaflow
from oaflow.errors import EnvironmentProblem

Component = Literal["procrastinate", "oaflow", "index", "capture"]

_INDEX = re.compile(r"CREATE INDEX CONCURRENTLY IF NOT EXISTS (\w+)")
_COMMENT = re.compile(r"--[^\n]*\n")


@dataclass(frozen=True)
class Script:
    """
    One step of a migration.

    Attributes:
        digest: of the text, so that a file that was changed after it was applied is found.
    """

    component: Component
    name: str
    text: str

    @property
    def digest(self) -> str:
        """
        SHA-256 of the text, in hexadecimal.
        """
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def oaflow_scripts() -> tuple[Script, ...]:
    """
    oaflow's own migrations, in order.
    """
    folder = files("oaflow") / "ledger" / "migrations"
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(
        sorted(
            (Script("oaflow", entry.name, entry.read_text("utf-8")) for entry in found), key=lambda script: script.name
        )
    )


@cache
def index_scripts() -> tuple[Script, ...]:
    """
    The indexes on procrastinate's table, one each.
    """
    text = _COMMENT.sub("", (files("oaflow") / "ledger" / "indexes.sql").read_text("utf-8"))
    statements = (statement.strip() for statement in text.split(";") if statement.strip())
    return tuple(Script("index", name, statement) for statement in statements for name in _INDEX.findall(statement))


@cache
def capture_script(wanted: bool) -> Script:
    """
    What makes the triggers that take down what services hand over, or takes them away.
    """
    name = "capture" if wanted else "uncapture"
    return Script("capture", name, (files("oaflow") / "ledger" / f"{name}.sql").read_text("utf-8"))


@cache
def procrastinate_schema() -> Script:
    """
    procrastinate's schema as a whole, for a database that has none.
    """
    return Script("procrastinate", "schema.sql", (_procrastinate() / "schema.sql").read_text("utf-8"))


@cache
def procrastinate_scripts() -> tuple[Script, ...]:
    """
    procrastinate's migrations, in order: the schema as a whole holds all of them.
    """
    return tuple(
        Script("procrastinate", path.name, path.read_text("utf-8"))
        for path in sorted((_procrastinate() / "migrations").glob("*.sql"))
    )


def program() -> str:
    """
    Who applies: for the record.
    """
    return f"oaflow {oaflow.__version__}"


@cache
def query(name: str) -> bytes:
    """
    One of the statements of this package.
    """
    return (files("oaflow.postgres") / "queries" / f"{name}.sql").read_bytes()


def _procrastinate() -> Path:
    # Found, not imported: importing procrastinate costs a third of a second.
    spec = find_spec("procrastinate")
    if spec is None or spec.origin is None:
        raise EnvironmentProblem("the package 'procrastinate' is not installed", help="pip install oaflow")
    return Path(spec.origin).parent / "sql"
