"""
SQL by name: `queries/NAME.sql`, read once, with the table of a dataset filled in.
"""

from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

from psycopg.sql import SQL, Identifier

from oaflow.entities.datasets import index_name


@cache
def text(name: str) -> LiteralString:
    """
    The text of a named query.
    """
    # The files are part of the program, as constant as a string literal.
    return cast(LiteralString, files("oaflow.entities").joinpath("queries", f"{name}.sql").read_text("utf-8"))


@cache
def for_table(name: str, table: str) -> bytes:
    """
    A named query for one table and the index that oaflow adds to tables of other programs; the names are quoted.
    """
    # As bytes, because a composed query is rendered again each time it is sent.
    return SQL(text(name)).format(table=Identifier(table), index=Identifier(index_name(table))).as_bytes(None)
