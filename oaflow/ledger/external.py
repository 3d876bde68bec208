"""
Jobs of stages that live in services of their own.
"""

from typing import Any, cast

from psycopg import Connection

from oaflow.ledger.statements import sql


def captured(connection: Connection[Any]) -> bool:
    """
    Whether triggers take down what services hand over (`oaflow db migrate --capture`).
    """
    return cast("tuple[bool]", connection.execute(sql("captured")).fetchone())[0]
