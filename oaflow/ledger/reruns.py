"""
The jobs and documents of a run that another run will repeat. Synchronous.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from oaflow.ledger.statements import sql
from oaflow.plan.later import Step

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Ended(Step):
    """
    A job that has ended, with the code that ran it; `failed`: it failed for good and was not retried.
    """

    version: str
    failed: bool


def steps_of_run(connection: Connection[Any], run: str) -> list[Ended]:
    """
    The jobs of a run that have ended.

    Args:
        connection: in autocommit mode.
    """
    # A run may have a million of them, which name the same few stages and versions, and each document several times: a
    # text is kept once, and the answer of the server is never here as a whole.
    texts: dict[str, str] = {}
    found: list[Ended] = []
    with connection.transaction(), connection.cursor(name="steps_of_run") as cursor:
        cursor.execute(sql("steps_of_run"), {"run": run})
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            for job, of, parents, stage, documents, kept, version, failed in rows:
                of, stage, version = (texts.setdefault(text, text) for text in (of, stage, version))
                about = tuple(texts.setdefault(document, document) for document in documents)
                found.append(Ended(job, of, tuple(parents), stage, about, kept, version, failed))
    return found


def arrived(connection: Connection[Any], run: str, jobs: Collection[int]) -> dict[int, dict[str, Any]]:
    """
    Some jobs of a run as they arrived at their stages.
    """
    return dict(connection.execute(sql("arrived_of_run"), {"run": run, "jobs": list(jobs)}).fetchall())


def newer(connection: Connection[Any], run: str) -> set[str]:
    """
    The documents of a run that a later run has processed, or that are no longer in the dataset.
    """
    return {document for (document,) in connection.execute(sql("newer"), {"run": run})}


def files_of(connection: Connection[Any], run: str, documents: Collection[str]) -> dict[str, tuple[str, str]]:
    """
    For each of some documents of a run, the crawled file that contains it, and the run in which that was last emitted.
    """
    found = connection.execute(sql("files_of"), {"run": run, "documents": list(documents)})
    return {document: (file, ran) for document, file, ran in found}


def copy_documents(
    connection: Connection[Any], run: str, of: str, documents: Collection[str], anew: Collection[str], why: str
) -> None:
    """
    Report documents in a run as another run has reported them; existing reports stay.

    Args:
        anew: those that start again from the beginning.
    """
    values = {"run": run, "of": of, "documents": list(documents), "anew": list(anew), "why": why}
    connection.execute(sql("copy_documents"), values)
