"""
Pipelines of the stages in `limited_stages`, and what these have noted.
"""

from typing import Any

import psycopg

from tests.acceptance.conftest import Command


def limited_pipeline(
    cli: Command, count: int, seconds: float = 0.0, *, name: str = "limited", task: str = "asks", **limits: Any
) -> str:
    uri = cli.environment["OAFLOW_DB_URI"]
    stages = {
        "source": {"with": {"count": count}, "next": "asks"},
        "asks": {"task": task, "queue": "service", "with": {"uri": uri, "seconds": seconds}, "next": "end", **limits},
        "end": {},
    }
    path = cli.folder / cli.pipeline(name, stages)
    path.write_text(path.read_text().replace("stages_for_tests.asks", "limited_stages.asks"))
    return path.name


def noting(cli: Command) -> psycopg.Connection[Any]:
    """
    A connection to the database, in which the stages can note now.
    """
    connection = psycopg.connect(cli.environment["OAFLOW_DB_URI"], autocommit=True)
    connection.execute(
        "CREATE TABLE asked (document text, beside integer, at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    return connection


def one(connection: psycopg.Connection[Any], query: Any) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None
