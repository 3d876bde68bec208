"""
A run with a stage that a service works on, which the tests move on by procrastinate's own functions.
"""

from typing import Any

import orjson

from tests.integration.handovers import Book


class Service(Book):
    """
    A run in which stage `a` is a service's, on queue `s`.
    """

    def ask(self, name: str = "doc", *, emit: str = "success", seal: bool = True) -> int:
        mark = {"run": self.run, "stage": "a", "external": emit, "parent": 7}
        entities = [{"id": name, "schema": "Document", "properties": {}}]
        payload = {"entities": entities, "context": {"lang": "x", "oaflow": mark}}
        args = {"queue": "s", "task": "there.s", "dataset": "x", "payload": payload}
        self.sql(
            "SELECT oaflow.enter_v1(%s, '{s}', '{there.s}', '{a}', '{70}', %s::jsonb, %s::jsonb, %s)",
            self.run, orjson.dumps([args]).decode(), orjson.dumps([[name]]).decode(), seal,
        )  # fmt: skip
        return self.one("SELECT max(id) FROM procrastinate_jobs WHERE queue_name = 's'")

    def fetch(self, worker: int | None = None) -> int:
        return self.one("SELECT id FROM procrastinate_fetch_job_v2('{s}', %s)", worker or self.stock_worker())

    def stock_worker(self) -> int:
        return self.one("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")

    def hands_over(self, job: int, name: str, queue: str = "index") -> int:
        """
        As a service does: all of the context of its job goes along.
        """
        args = self.args(job)
        args = {**args, "queue": queue, "task": f"there.{queue}"}
        args["payload"] = {**args["payload"], "entities": [{"id": name, "schema": "Document"}]}
        return self.defer(queue, args)

    def defer(self, queue: str, args: Any) -> int:
        return self.one(
            "SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(%s, %s, 3, NULL, NULL, %s::jsonb, NULL)]"
            "::procrastinate_job_to_defer_v1[]))",
            queue, f"there.{queue}", orjson.dumps(args).decode(),
        )  # fmt: skip

    def args(self, job: int) -> dict[str, Any]:
        return self.one("SELECT args FROM procrastinate_jobs WHERE id = %s", job)

    def end(self, job: int, status: str = "succeeded", *, delete: bool = False) -> None:
        self.sql("SELECT procrastinate_finish_job_v1(%s, %s, %s)", job, status, delete)

    def again(self, job: int) -> None:
        self.sql("SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", job)

    @property
    def answers(self) -> list[tuple[int, list[str]]]:
        """
        Each answer that waits, with what was handed over.
        """
        rows = self.sql("SELECT id, args FROM procrastinate_jobs WHERE queue_name = 'oaflow' AND status = 'todo'")
        marks = [(id, args["payload"]["context"]["oaflow"]["answered"]) for id, args in sorted(rows)]
        return [(id, [new["payload"]["entities"][0]["id"] for new in mark["returned"]]) for id, mark in marks]

    def take(self, worker: int) -> int:
        """
        Claim the answer, as a worker of oaflow does.
        """
        return self.one(
            "SELECT id FROM oaflow.fetch_v3(%s, '{oaflow}', '{oaflow.stages.answer}', %s, 10)", worker, [self.run]
        )

    def sweep(self) -> None:
        self.sql("SELECT * FROM oaflow.sweep_v2(true)")

    def tell(self, job: int, attempt: int, emitted: list[Any], *, failed: bool) -> bool:
        """
        The end of a job, as a worker that collects says it.
        """
        error = '{"message": "m"}' if failed else None
        return self.one(
            "SELECT oaflow.end_v1(%s, %s, %s::jsonb, %s::jsonb)", job, attempt, orjson.dumps(emitted).decode(), error
        )

    def claimed_answers(self, worker: int) -> list[tuple[int, int, list[str]]]:
        """
        All answers that wait, claimed: each with the job that it is of, and what was handed over.
        """
        rows = self.sql(
            "SELECT id, args FROM oaflow.fetch_v3(%s, '{oaflow}', '{oaflow.stages.answer}', %s, 100)",
            worker,
            [self.run],
        )
        marks = [(id, args["payload"]["context"]["oaflow"]) for id, args in sorted(rows)]
        return [
            (id, mark["parent"], [new["payload"]["entities"][0]["id"] for new in mark["answered"]["returned"]])
            for id, mark in marks
        ]
