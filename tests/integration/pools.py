"""
A pool with real executors for the tests, and a listener that keeps what it is told.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from oaflow.jobs import DatasetJob
from oaflow.model import Retry
from oaflow.plan import BoundPlan, BoundStage, PlannedEdge
from oaflow.runtime.executors import Executor
from oaflow.runtime.messages import Assignment, Death, Handover
from oaflow.runtime.pool import Pool

HANG = 30.0  # a hang guard, ten times what is expected
MODULE = "tests.integration.pool_stages"


def bound_stage(name: str, task: str, *edges: PlannedEdge, **other: Any) -> BoundStage:
    values: dict[str, Any] = {
        "dropped": (),
        "options": {},
        "retry": Retry(),
        "timeout": None,
        "memory": None,
        "priority": 50,
        "on_error": None,
        "emit": "success",
        "external": False,
        "origin": f"p/{name}",
    }
    return BoundStage(name=name, task=task, queue=f"queue-{name}", edges=edges, **(values | other))


def plan_of(*stages: BoundStage, disabled: dict[str, str] | None = None) -> BoundPlan:
    return BoundPlan(
        digest="d",
        pipeline="p",
        start=(stages[0].name,),
        params={},
        stages={stage.name: stage for stage in stages},
        disabled=disabled or {},
    )


PLAN = plan_of(
    bound_stage("act", f"{MODULE}.act", PlannedEdge(to="end")),
    bound_stage("stream", f"{MODULE}.stream", PlannedEdge(to="end"), emit="stream"),
    bound_stage("end", f"{MODULE}.act"),
)


def args_of(**context: Any) -> bytes:
    mark = {"run": "run-1", "stage": "act"}
    job = DatasetJob(dataset="d", queue="q", task="t", payload={"context": {**context, "oaflow": mark}})
    return orjson.dumps(job.to_wire())


def assigned(job: int, act: str, *, stage: str = "act", **other: Any) -> Assignment:
    limits = {key: other.pop(key) for key in ("timeout", "memory", "chunks") if key in other}
    return Assignment(job=job, attempt=0, run="run-1", stage=stage, args=args_of(act=act, **other), **limits)


class Heard:
    """
    What a pool said.
    """

    def __init__(self) -> None:
        self.handovers: list[Handover] = []
        self.deaths: list[tuple[Executor, Assignment | None, Death, Sequence[Assignment]]] = []
        self.lines: list[tuple[str, str, int | None]] = []
        self.times_ready = 0
        self.back: list[int] = []
        self._waiting: list[Assignment] = []
        self.pool: Pool

    def handed(self, executor: Executor, handovers: Sequence[Handover]) -> None:
        self.handovers += handovers

    def unbegun(self, jobs: Sequence[Assignment]) -> None:
        self.back += [assignment.job for assignment in jobs]
        self._waiting += jobs
        self.ready()

    def died(
        self, executor: Executor, culprit: Assignment | None, reason: Death, returned: Sequence[Assignment]
    ) -> None:
        self.deaths.append((executor, culprit, reason, returned))

    def line(
        self, executor: Executor | None, stream: str, text: str, job: Assignment | None, logged: Any = None
    ) -> None:
        self.lines.append((stream, text, job.job if job else None))

    def ready(self) -> None:
        self.times_ready += 1
        idle = next((executor for executor in self.pool.executors if not executor.load), None)
        if idle is not None and self._waiting:
            self.pool.send(idle, self._waiting)
            self._waiting = []

    def done(self) -> list[int]:
        return [handover.job for handover in self.handovers if handover.outcome != "chunk"]


async def until(condition: Callable[[], Any], *, seconds: float = HANG) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def pool_of(home: Path, *, size: int = 1, **other: Any):
    heard = Heard()
    pool = Pool(size=size, home=home, binder=f"{MODULE}:for_job", settings_json="{}", poll=0.05, **other)
    heard.pool = pool
    pool.know("run-1", PLAN.to_json())
    await pool.start(heard)
    try:
        await until(lambda: len(pool.executors) == size)
        yield pool, heard
    finally:
        await pool.stop()
