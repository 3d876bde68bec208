"""
A run with a stage that collects, which the tests move on by the very statements of a worker.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from oaflow.ledger import runs
from oaflow.ledger.rows import Completion, Successor
from oaflow.ledger.runs import FirstJob
from oaflow.ledger.statements import sql
from tests.integration.handovers import Book, args_of


class Shelf(Book):
    """
    A run in which stage `a` leads to `b`, which collects.
    """

    def collects(self, size: int = 3, wait: float = 600.0, feeders: Sequence[str] = ("a",)) -> None:
        self.sql(
            "INSERT INTO oaflow.collects VALUES (%s, 'b', %s, %s, %s, 'q', 't.b', 50)",
            self.run, size, wait, list(feeders),
        )  # fmt: skip

    def brings(self, job: int, *documents: str, key: str = "k", stage: str = "a", **more: Any) -> Completion:
        """
        The end of a job that hands over one more, with these documents.
        """
        args = self._waits(documents, key)
        args["payload"]["context"]["oaflow"]["parent"] = job
        collect = orjson.dumps([key, documents]).decode()
        detail = orjson.dumps({"handed": [["b", documents]]})
        successors = (Successor("q", "t.b", "b", 50, orjson.dumps(args), collect),)
        return Completion(job, 0, "done", self.run, stage, None, 1.0, 2.0, detail=detail, successors=successors, **more)

    def begins(self, *documents: str, key: str = "k", seal: bool = False) -> None:
        """
        A first job of `b` with these documents.
        """
        job = FirstJob(
            "q", "t.b", "b", 50, self._waits(documents, key), documents, orjson.dumps([key, documents]).decode()
        )
        runs.enter(self.connection, self.run, [job], seal=seal)

    def seal(self) -> None:
        """
        No more first jobs will come.
        """
        runs.enter(self.connection, self.run, [], seal=True)

    def _waits(self, documents: Sequence[str], key: str) -> dict[str, Any]:
        args = args_of("b", self.run)
        args["payload"]["entities"] = [
            {"id": document, "schema": "Document", "properties": {}} for document in documents
        ]
        args["payload"]["context"] |= {"key": key}
        return args

    def close(self) -> str | None:
        ((_, state),) = self.connection.execute(sql("close_quiet"), {"runs": [self.run]}).fetchall() or [(None, None)]
        return state

    def together(self) -> list[list[str]]:
        """
        The documents of the jobs of `b` that are there, in their order.
        """
        found = self.sql(
            "SELECT args -> 'payload' -> 'entities' FROM procrastinate_jobs WHERE task_name = 't.b' ORDER BY id"
        )
        return [[entity["id"] for entity in entities] for (entities,) in found]

    @property
    def waiting(self) -> int:
        return self.one("SELECT count(*) FROM oaflow.collected WHERE job IS NULL")
