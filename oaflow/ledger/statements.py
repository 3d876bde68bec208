"""
SQL by name: `queries/NAME.sql`, read once.
"""

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast


@cache
def sql(name: str) -> LiteralString:
    """
    The text of a named query, with its comments.
    """
    # The files are part of the program, as constant as a string literal.
    return cast(LiteralString, files("oaflow.ledger").joinpath("queries", f"{name}.sql").read_text("utf-8"))
